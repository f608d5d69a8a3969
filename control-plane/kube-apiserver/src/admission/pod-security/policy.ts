import { invalidValue, type FieldError } from "@coracle/apimachinery";

/** How strict a policy is. */
export type Level = "privileged" | "baseline" | "restricted";

/** A level as one version of Kubernetes defined it: `v1.N` as N, `latest` as undefined. */
export interface LevelVersion {
  readonly level: Level;
  readonly minor: number | undefined;
}

/** What is done to pods of a namespace. */
export interface Policy {
  readonly enforce: LevelVersion;
  readonly audit: LevelVersion;
  readonly warn: LevelVersion;
}

/** Prefix of the labels on namespaces, and of the audit annotations. */
export const POD_SECURITY_PREFIX = "pod-security.kubernetes.io/";

const STRICTNESS: readonly Level[] = ["privileged", "baseline", "restricted"];

/** `restricted:latest`, `baseline:v1.28`. */
export const printLevel = ({ level, minor }: LevelVersion): string =>
  `${level}:${minor === undefined ? "latest" : `v1.${minor}`}`;

/** Negative when `a` is less strict than `b`. */
export const compareLevels = (a: Level, b: Level): number => STRICTNESS.indexOf(a) - STRICTNESS.indexOf(b);

/** True when both say the same. */
export const sameLevel = (a: LevelVersion, b: LevelVersion): boolean => a.level === b.level && a.minor === b.minor;

/** True when nothing is looked at. */
export const isFullyPrivileged = ({ enforce, audit, warn }: Policy): boolean =>
  [enforce, audit, warn].every(({ level }) => level === "privileged");

/** True when both ask the same of pods. */
export const isEquivalent = (a: Policy, b: Policy): boolean =>
  (["enforce", "audit", "warn"] as const).every(
    (mode) => (a[mode].level === "privileged" && b[mode].level === "privileged") || sameLevel(a[mode], b[mode]),
  );

/** Undefined: there is no such level. */
export const parseLevel = (text: string): Level | undefined => STRICTNESS.find((level) => level === text);

/** Undefined: that is no version. */
export function parsePolicyVersion(text: string): { readonly minor: number | undefined } | undefined {
  if (text === "latest") return { minor: undefined };
  const match = /^v1\.([0-9]|[1-9][0-9]*)$/.exec(text);
  return match === null ? undefined : { minor: Number(match[1]) };
}

export const LEVEL_MESSAGE = "must be one of privileged, baseline, restricted";
export const VERSION_MESSAGE = 'must be "latest" or "v1.x"';

/** The policy of a namespace with these labels. What cannot be read counts as the strictest when it is enforced. */
export function readPolicy(
  labels: Readonly<Record<string, string>> | undefined,
  defaults: Policy,
): { readonly policy: Policy; readonly errors: readonly FieldError[] } {
  const errors: FieldError[] = [];
  if (labels === undefined || Object.keys(labels).length === 0) return { policy: defaults, errors };
  let isEnforceSet = false;
  const read = (mode: "enforce" | "audit" | "warn"): LevelVersion => {
    let { level, minor } = defaults[mode];
    const levelText = labels[`${POD_SECURITY_PREFIX}${mode}`];
    if (levelText !== undefined) {
      const parsed = parseLevel(levelText);
      if (parsed === undefined) errors.push(labelError(mode, levelText, LEVEL_MESSAGE));
      else if (mode === "enforce") isEnforceSet = true;
      // Who mistypes what is to be told is told nothing; who mistypes what is to be enforced gets the strictest.
      level = parsed ?? (mode === "enforce" ? "restricted" : "privileged");
    }
    const versionText = labels[`${POD_SECURITY_PREFIX}${mode}-version`];
    if (versionText !== undefined) {
      const parsed = parsePolicyVersion(versionText);
      if (parsed === undefined) errors.push(labelError(`${mode}-version`, versionText, VERSION_MESSAGE));
      minor = parsed?.minor;
    }
    return { level, minor };
  };
  const enforce = read("enforce");
  const audit = read("audit");
  let warn = read("warn");
  const isWarnUnset = labels[`${POD_SECURITY_PREFIX}warn`] === undefined;
  if (isWarnUnset && isEnforceSet && compareLevels(enforce.level, warn.level) > 0) {
    const isVersionUnset = labels[`${POD_SECURITY_PREFIX}warn-version`] === undefined;
    warn = { level: enforce.level, minor: isVersionUnset ? enforce.minor : warn.minor };
  }
  return { policy: { enforce, audit, warn }, errors };
}

const labelError = (label: string, value: string, why: string): FieldError =>
  invalidValue(`metadata.labels[${POD_SECURITY_PREFIX}${label}]`, value, why);
