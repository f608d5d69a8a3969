import type { AdmissionPlugin } from "./plugin.ts";

/**
 * Refuses changes of pods that ask for what their node has not declared. Like upstream's, it has nothing to say while
 * the feature NodeDeclaredFeatures is off, which it is in v1.35: nodes declare nothing.
 */
export const nodeDeclaredFeatureValidator: AdmissionPlugin = {
  name: "NodeDeclaredFeatureValidator",
  scope: { operations: [] },
};
