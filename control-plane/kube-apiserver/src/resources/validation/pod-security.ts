import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
  WindowsSecurityContextOptions,
} from "@coracle/api/core/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { oneOf, requiredOneOf, validateLocalDescendingPath } from "./field-values.ts";

const MAX_ID = 2_147_483_647;
const PROFILE_MAX_BYTES = 4095;
const SYSCTL = /^(?:[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?$/;

function validateId(errors: FieldError[], path: string, id: number | undefined): void {
  if (id !== undefined && (id < 0 || id > MAX_ID))
    errors.push(invalidValue(path, id, `must be between 0 and ${MAX_ID}, inclusive`));
}

function validateSeccomp(errors: FieldError[], path: string, profile: Decoded<SeccompProfile> | undefined): void {
  if (profile === undefined) return;
  requiredOneOf(
    errors,
    `${path}.type`,
    profile.type,
    ["Localhost", "RuntimeDefault", "Unconfined"],
    "type is required when seccompProfile is set",
  );
  if (profile.type === "Localhost") {
    if (profile.localhostProfile === undefined)
      errors.push(required(`${path}.localhostProfile`, "must be set when seccomp type is Localhost"));
    else validateLocalDescendingPath(errors, `${path}.localhostProfile`, profile.localhostProfile);
  } else if (profile.localhostProfile !== undefined) {
    errors.push(invalidValue(`${path}.localhostProfile`, profile, "can only be set when seccomp type is Localhost"));
  }
}

function validateAppArmor(errors: FieldError[], path: string, profile: Decoded<AppArmorProfile> | undefined): void {
  if (profile === undefined) return;
  requiredOneOf(
    errors,
    `${path}.type`,
    profile.type,
    ["Localhost", "RuntimeDefault", "Unconfined"],
    "type is required when appArmorProfile is set",
  );
  const local = profile.localhostProfile;
  if (profile.type === "Localhost") {
    if (local === undefined)
      errors.push(required(`${path}.localhostProfile`, "must be set when AppArmor type is Localhost"));
    else {
      if (local.trim() !== local)
        errors.push(invalidValue(`${path}.localhostProfile`, local, "must not be padded with whitespace"));
      else if (local === "")
        errors.push(required(`${path}.localhostProfile`, "must be set when AppArmor type is Localhost"));
      if (local.length > PROFILE_MAX_BYTES) errors.push(tooLong(`${path}.localhostProfile`, PROFILE_MAX_BYTES));
    }
  } else if (local !== undefined) {
    errors.push(invalidValue(`${path}.localhostProfile`, local, "can only be set when AppArmor type is Localhost"));
  }
}

function validateWindowsOptions(
  errors: FieldError[],
  path: string,
  options: Decoded<WindowsSecurityContextOptions> | undefined,
): void {
  if (options === undefined) return;
  if (options.gmsaCredentialSpec !== undefined) {
    const size = Buffer.byteLength(options.gmsaCredentialSpec);
    if (size === 0)
      errors.push(invalidValue(`${path}.gmsaCredentialSpec`, "", "gmsaCredentialSpec cannot be an empty string"));
    else if (size > 65_536)
      errors.push(
        invalidValue(
          `${path}.gmsaCredentialSpec`,
          options.gmsaCredentialSpec,
          `gmsaCredentialSpec size must be under ${65_536} bytes`,
        ),
      );
  }
  if (options.runAsUserName === "")
    errors.push(invalidValue(`${path}.runAsUserName`, "", "runAsUserName cannot be an empty string"));
}

/** A container's security context. */
export function validateSecurityContext(
  errors: FieldError[],
  path: string,
  context: Decoded<SecurityContext> | undefined,
  spec: Decoded<PodSpec>,
): void {
  if (context === undefined) return;
  validateId(errors, `${path}.runAsUser`, context.runAsUser);
  validateId(errors, `${path}.runAsGroup`, context.runAsGroup);
  if (context.procMount !== undefined) {
    oneOf(errors, `${path}.procMount`, context.procMount, ["Default", "Unmasked"]);
    if (context.procMount === "Unmasked" && spec.hostUsers !== false)
      errors.push(invalidValue(`${path}.procMount`, context.procMount, "`hostUsers` must be false to use `Unmasked`"));
  }
  validateSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile);
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true)
      errors.push(
        invalidValue(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
      );
    if (context.capabilities?.add?.includes("CAP_SYS_ADMIN") === true)
      errors.push(
        invalidValue(
          path,
          context,
          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        ),
      );
  }
  validateWindowsOptions(errors, `${path}.windowsOptions`, context.windowsOptions);
  validateAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile);
}

function validateSysctls(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  const names = new Set<string>();
  spec.securityContext?.sysctls?.forEach((sysctl, i) => {
    const at = `${path}[${i}].name`;
    const name = text(sysctl.name);
    if (name === "") errors.push(required(at));
    else if (name.length > 253 || !SYSCTL.test(name))
      errors.push(
        invalidValue(
          at,
          name,
          "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ),
      );
    else if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
    const dotted = /^[^./]*\//.test(name) ? name.replaceAll(/[./]/g, (c) => (c === "." ? "/" : ".")) : name;
    if (spec.hostNetwork === true && dotted.startsWith("net."))
      errors.push(invalidValue(at, name, "may not be specified when 'hostNetwork' is true"));
    if (
      spec.hostIPC === true &&
      (dotted.startsWith("kernel.shm") ||
        dotted.startsWith("kernel.msg") ||
        dotted === "kernel.sem" ||
        dotted.startsWith("fs.mqueue."))
    )
      errors.push(invalidValue(at, name, "may not be specified when 'hostIPC' is true"));
  });
}

/** The pod's security context. */
export function validatePodSecurityContext(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  const context: Decoded<PodSecurityContext> | undefined = spec.securityContext;
  if (spec.shareProcessNamespace === true && spec.hostPID === true)
    errors.push(
      invalidValue(`${path}.shareProcessNamespace`, true, "ShareProcessNamespace and HostPID cannot both be enabled"),
    );
  if (spec.hostUsers === false) {
    for (const field of ["hostNetwork", "hostPID", "hostIPC"] as const) {
      if (spec[field] === true) errors.push(forbiddenField(`${path}.${field}`, `when \`hostUsers\` is false`));
    }
  }
  if (context === undefined) return;
  validateId(errors, `${path}.fsGroup`, context.fsGroup);
  validateId(errors, `${path}.runAsUser`, context.runAsUser);
  validateId(errors, `${path}.runAsGroup`, context.runAsGroup);
  context.supplementalGroups?.forEach((group, i) => validateId(errors, `${path}.supplementalGroups[${i}]`, group));
  validateSysctls(errors, `${path}.sysctls`, spec);
  if (context.fsGroupChangePolicy !== undefined)
    oneOf(errors, `${path}.fsGroupChangePolicy`, context.fsGroupChangePolicy, ["Always", "OnRootMismatch"]);
  if (context.supplementalGroupsPolicy !== undefined)
    oneOf(errors, `${path}.supplementalGroupsPolicy`, context.supplementalGroupsPolicy, ["Merge", "Strict"]);
  if (context.seLinuxChangePolicy !== undefined) {
    const policy = context.seLinuxChangePolicy;
    if (policy !== "MountOption" && policy !== "Recursive")
      errors.push(notSupported(`${path}.seLinuxChangePolicy`, policy, ["MountOption", "Recursive"]));
  }
  validateSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile);
  validateWindowsOptions(errors, `${path}.windowsOptions`, context.windowsOptions);
  validateAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile);
}
