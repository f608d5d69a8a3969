import { COMPONENT_VERSION } from "@coracle/api";
import type { JsonObject } from "@coracle/apimachinery";

/** `/version`: in the form that clients parse. */
export function versionInfo(): JsonObject {
  return {
    major: "1",
    minor: "35",
    emulationMajor: "1",
    emulationMinor: "35",
    minCompatibilityMajor: "1",
    minCompatibilityMinor: "34",
    gitVersion: COMPONENT_VERSION,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "2026-01-01T00:00:00Z",
    goVersion: `node${process.versions.node}`,
    compiler: "v8",
    platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}
