import * as baseline from "./baseline-checks.ts";
import type { PodCheck, PodView, Violation } from "./pod-view.ts";
import type { LevelVersion } from "./policy.ts";
import * as restricted from "./restricted-checks.ts";

interface Check {
  readonly id: string;
  /** From which minor version on which rule holds. */
  readonly versions: readonly (readonly [minor: number, check: PodCheck])[];
  /** Baseline checks that this one makes superfluous. */
  readonly overrides?: readonly string[];
}

const { unlessInUserNamespace } = baseline;
const { unlessWindows } = restricted;

/** In order of their ids: that is the order of what is found. */
const BASELINE: readonly Check[] = [
  { id: "appArmorProfile", versions: [[0, baseline.appArmorProfile]] },
  { id: "capabilities_baseline", versions: [[0, baseline.defaultCapabilities]] },
  { id: "hostNamespaces", versions: [[0, baseline.hostNamespaces]] },
  { id: "hostPathVolumes", versions: [[0, baseline.hostPathVolumes]] },
  { id: "hostPorts", versions: [[0, baseline.hostPorts]] },
  { id: "hostProbesAndHostLifecycle", versions: [[34, baseline.probeHosts]] },
  { id: "privileged", versions: [[0, baseline.privileged]] },
  {
    id: "procMount",
    versions: [
      [0, baseline.procMount],
      [35, unlessInUserNamespace(baseline.procMount)],
    ],
  },
  {
    id: "seLinuxOptions",
    versions: [
      [0, baseline.seLinuxOptions],
      [31, baseline.seLinuxOptionsFrom31],
    ],
  },
  {
    id: "seccompProfile_baseline",
    versions: [
      [0, baseline.seccompAnnotations],
      [19, baseline.seccompProfile],
    ],
  },
  {
    id: "sysctls",
    versions: [
      [0, baseline.sysctls],
      [27, baseline.sysctlsFrom27],
      [29, baseline.sysctlsFrom29],
      [32, baseline.sysctlsFrom32],
    ],
  },
  { id: "windowsHostProcess", versions: [[0, baseline.windowsHostProcess]] },
];

const RESTRICTED: readonly Check[] = [
  {
    id: "allowPrivilegeEscalation",
    versions: [
      [8, restricted.allowPrivilegeEscalation],
      [25, unlessWindows(restricted.allowPrivilegeEscalation)],
    ],
  },
  {
    id: "capabilities_restricted",
    versions: [
      [22, restricted.droppedCapabilities],
      [25, unlessWindows(restricted.droppedCapabilities)],
    ],
    overrides: ["capabilities_baseline"],
  },
  { id: "procMount_restricted", versions: [[35, baseline.procMount]], overrides: ["procMount"] },
  { id: "restrictedVolumes", versions: [[0, restricted.restrictedVolumes]], overrides: ["hostPathVolumes"] },
  {
    id: "runAsNonRoot",
    versions: [
      [0, restricted.runAsNonRoot],
      [35, unlessInUserNamespace(restricted.runAsNonRoot)],
    ],
  },
  {
    id: "runAsUser",
    versions: [
      [23, restricted.runAsUser],
      [35, unlessInUserNamespace(restricted.runAsUser)],
    ],
  },
  {
    id: "seccompProfile_restricted",
    versions: [
      [19, restricted.seccompProfileSet],
      [25, unlessWindows(restricted.seccompProfileSet)],
    ],
    overrides: ["seccompProfile_baseline"],
  },
];

const checkOf = (check: Check, minor: number): PodCheck | undefined =>
  check.versions.findLast(([from]) => from <= minor)?.[1];

/** All that a pod violates of a policy, in upstream's order. */
export function evaluatePod(pod: PodView, { level, minor = Infinity }: LevelVersion): readonly Violation[] {
  if (level === "privileged") return [];
  const strict = level === "restricted" ? RESTRICTED.filter((check) => checkOf(check, minor) !== undefined) : [];
  const overridden = new Set(strict.flatMap(({ overrides = [] }) => overrides));
  return [...BASELINE.filter(({ id }) => !overridden.has(id)), ...strict].flatMap(
    (check) => checkOf(check, minor)?.(pod) ?? [],
  );
}

/** `privileged (container "a" must not …), host namespaces (hostPID=true)`. */
export const printDetails = (violations: readonly Violation[]): string =>
  violations.map(({ reason, detail }) => (detail === "" ? reason : `${reason} (${detail})`)).join(", ");

/** `privileged, host namespaces`. */
export const printReasons = (violations: readonly Violation[]): string =>
  violations.map(({ reason }) => reason).join(", ");
