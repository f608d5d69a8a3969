import { featureGates } from "@coracle/apimachinery";
import type { Feature, Features } from "../features.ts";
import { versionInfo } from "../discovery/version.ts";
import { family } from "./metric-text.ts";

let last: { readonly features: Features; readonly text: string } | undefined;

/** Feature gates and the version, which never change while a server runs. */
export function featureMetrics(features: Features): string {
  if (last?.features === features) return last.text;
  const { major, minor, minCompatibilityMajor, minCompatibilityMinor, gitVersion } = versionInfo() as Readonly<
    Record<string, string>
  >;
  const binary = (gitVersion ?? "").replace(/^v|\+.*$/g, "");
  const version = `binary="${binary}",component="kube",emulation="${major}.${minor}",min_compat="${minCompatibilityMajor}.${minCompatibilityMinor}"`;
  const gates = featureGates().map(({ name, stage, isOn }): [string, number] => [
    `name="${name}",stage="${stage === "GA" ? "" : stage}"`,
    isOn || features.has(name as Feature) ? 1 : 0,
  ]);
  const text = [
    family("kubernetes_feature_enabled", "gauge", gates),
    family("version_info", "gauge", [[version, 1]]),
  ].join("\n");
  last = { features, text };
  return text;
}
