import { featureGates } from "@coracle/apimachinery";
import { versionInfo } from "../discovery/version.ts";
import { family } from "./metric-text.ts";

let text: string | undefined;

/** Feature gates and the version, which never change. */
export function featureMetrics(): string {
  if (text !== undefined) return text;
  const { major, minor, minCompatibilityMajor, minCompatibilityMinor, gitVersion } = versionInfo() as Readonly<
    Record<string, string>
  >;
  const binary = (gitVersion ?? "").replace(/^v|\+.*$/g, "");
  const version = `binary="${binary}",component="kube",emulation="${major}.${minor}",min_compat="${minCompatibilityMajor}.${minCompatibilityMinor}"`;
  const gates = featureGates().map(({ name, stage, isOn }): [string, number] => [
    `name="${name}",stage="${stage === "GA" ? "" : stage}"`,
    isOn ? 1 : 0,
  ]);
  text = [family("kubernetes_feature_enabled", "gauge", gates), family("version_info", "gauge", [[version, 1]])].join(
    "\n",
  );
  return text;
}
