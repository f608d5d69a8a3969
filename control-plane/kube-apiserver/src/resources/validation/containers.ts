import type {
  Container,
  ContainerPort,
  EphemeralContainer,
  PodSpec,
  VolumeDevice,
  VolumeMount,
} from "@coracle/api/core/v1";
import {
  duplicate,
  fieldNotFound,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { validateEnv, validateEnvFrom } from "./environment.ts";
import { text, type Decoded } from "./decoded.ts";
import { pushInvalid, requiredOneOf, validateLocalDescendingPath } from "./field-values.ts";
import { dns1123Label, portName, portNumber } from "./names.ts";
import { validateSecurityContext } from "./pod-security.ts";
import { validateLifecycle, validateProbe } from "./probes.ts";
import { validateResizePolicy, validateResourceRequirements } from "./resources.ts";

/** What a container's rules must know of its pod. */
export interface ContainerScope {
  readonly spec: Decoded<PodSpec>;
  /** Names of the pod's valid volumes; those that are PersistentVolumeClaims map to true. */
  readonly volumes: ReadonlyMap<string, boolean>;
  readonly claims: ReadonlySet<string>;
  readonly gracePeriodSeconds: number;
}

const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const PULL_POLICIES = ["Always", "IfNotPresent", "Never"];
const RESTART_POLICIES = ["Always", "Never", "OnFailure"];

function validatePorts(errors: FieldError[], path: string, ports: readonly Decoded<ContainerPort>[] | undefined): void {
  const names = new Set<string>();
  ports?.forEach((port, i) => {
    const at = `${path}[${i}]`;
    const name = text(port.name);
    if (name !== "") {
      const messages = portName(name);
      pushInvalid(errors, `${at}.name`, name, messages);
      if (messages.length === 0) {
        if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
        names.add(name);
      }
    }
    const number = port.containerPort ?? 0;
    if (number === 0) errors.push(required(`${at}.containerPort`));
    else pushInvalid(errors, `${at}.containerPort`, number, portNumber(number));
    const host = port.hostPort ?? 0;
    if (host !== 0) pushInvalid(errors, `${at}.hostPort`, host, portNumber(host));
    requiredOneOf(errors, `${at}.protocol`, port.protocol, PROTOCOLS);
  });
}

function validateMounts(
  errors: FieldError[],
  path: string,
  mounts: readonly Decoded<VolumeMount>[] | undefined,
  devices: readonly Decoded<VolumeDevice>[] | undefined,
  scope: ContainerScope,
  privileged: boolean,
): void {
  const paths = new Set<string>();
  mounts?.forEach((mount, i) => {
    const at = `${path}[${i}]`;
    const name = text(mount.name);
    const mountPath = text(mount.mountPath);
    if (name === "") errors.push(required(`${at}.name`));
    if (mountPath === "") errors.push(required(`${at}.mountPath`));
    if (!scope.volumes.has(name)) errors.push(fieldNotFound(`${at}.name`, name));
    if (paths.has(mountPath)) errors.push(invalidValue(`${at}.mountPath`, mountPath, "must be unique"));
    paths.add(mountPath);
    if (devices?.some((d) => d.name === name) === true)
      errors.push(invalidValue(`${at}.name`, name, "must not already exist in volumeDevices"));
    if (devices?.some((d) => d.devicePath === mountPath) === true)
      errors.push(invalidValue(`${at}.mountPath`, mountPath, "must not already exist as a path in volumeDevices"));
    const subPath = text(mount.subPath);
    const subPathExpr = text(mount.subPathExpr);
    if (subPath !== "") validateLocalDescendingPath(errors, `${at}.subPath`, subPath);
    if (subPathExpr !== "") {
      if (subPath !== "")
        errors.push(invalidValue(`${at}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive"));
      validateLocalDescendingPath(errors, `${at}.subPathExpr`, subPathExpr);
    }
    validatePropagation(errors, at, mount, privileged);
  });
}

function validatePropagation(errors: FieldError[], at: string, mount: Decoded<VolumeMount>, privileged: boolean): void {
  const propagation = mount.mountPropagation;
  if (propagation !== undefined) {
    const supported = ["None", "HostToContainer", "Bidirectional"];
    if (!supported.includes(propagation))
      errors.push(notSupported(`${at}.mountPropagation`, propagation, supported.toSorted()));
    else if (propagation === "Bidirectional" && !privileged)
      errors.push(
        forbiddenField(
          `${at}.mountPropagation`,
          "Bidirectional mount propagation is available only to privileged containers",
        ),
      );
  }
  const recursive = mount.recursiveReadOnly;
  if (recursive === undefined) return;
  const supported = ["Disabled", "Enabled", "IfPossible"];
  if (!supported.includes(recursive)) errors.push(notSupported(`${at}.recursiveReadOnly`, recursive, supported));
  else if (recursive !== "Disabled") {
    if (mount.readOnly !== true)
      errors.push(forbiddenField(`${at}.recursiveReadOnly`, "may only be specified when readOnly is true"));
    if (propagation !== undefined && propagation !== "None")
      errors.push(
        forbiddenField(
          `${at}.recursiveReadOnly`,
          "may only be specified when mountPropagation is None or not specified",
        ),
      );
  }
}

function validateDevices(
  errors: FieldError[],
  path: string,
  devices: readonly Decoded<VolumeDevice>[] | undefined,
  scope: ContainerScope,
): void {
  const names = new Set<string>();
  const paths = new Set<string>();
  devices?.forEach((device, i) => {
    const at = `${path}[${i}]`;
    const name = text(device.name);
    const devicePath = text(device.devicePath);
    const isClaim = scope.volumes.get(name);
    if (name === "") errors.push(required(`${at}.name`));
    if (names.has(name)) errors.push(invalidValue(`${at}.name`, name, "must be unique"));
    if (isClaim === false)
      errors.push(
        invalidValue(
          `${at}.name`,
          name,
          "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
        ),
      );
    if (isClaim === undefined) errors.push(fieldNotFound(`${at}.name`, name));
    if (devicePath === "") errors.push(required(`${at}.devicePath`));
    if (devicePath !== "" && devicePath.split("/").includes(".."))
      errors.push(invalidValue(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    else if (paths.has(devicePath)) errors.push(invalidValue(`${at}.devicePath`, devicePath, "must be unique"));
    names.add(name);
    paths.add(devicePath);
  });
}

type AnyContainer = Decoded<Container> | Decoded<EphemeralContainer>;

/** Rules that hold for every sort of container. */
function validateCommon(errors: FieldError[], path: string, container: AnyContainer, scope: ContainerScope): void {
  const name = text(container.name);
  if (name === "") errors.push(required(`${path}.name`));
  else pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
  const image = text(container.image);
  if (image === "") errors.push(required(`${path}.image`));
  else if (image.trim() !== image)
    errors.push(invalidValue(`${path}.image`, image, "must not have leading or trailing whitespace"));
  requiredOneOf(errors, `${path}.terminationMessagePolicy`, container.terminationMessagePolicy, [
    "File",
    "FallbackToLogsOnError",
  ]);
  validatePorts(errors, `${path}.ports`, container.ports);
  validateEnv(errors, `${path}.env`, container.env);
  validateEnvFrom(errors, `${path}.envFrom`, container.envFrom);
  const privileged = container.securityContext?.privileged === true;
  validateMounts(errors, `${path}.volumeMounts`, container.volumeMounts, container.volumeDevices, scope, privileged);
  validateDevices(errors, `${path}.volumeDevices`, container.volumeDevices, scope);
  requiredOneOf(errors, `${path}.imagePullPolicy`, container.imagePullPolicy, PULL_POLICIES);
  validateResourceRequirements(errors, `${path}.resources`, container.resources, scope.claims);
  validateResizePolicy(errors, `${path}.resizePolicy`, container.resizePolicy, scope.spec.restartPolicy);
  validateSecurityContext(errors, `${path}.securityContext`, container.securityContext, scope.spec);
}

function validateHooks(errors: FieldError[], path: string, container: Decoded<Container>, scope: ContainerScope): void {
  const grace = scope.gracePeriodSeconds;
  validateLifecycle(errors, `${path}.lifecycle`, container.lifecycle, grace, text(scope.spec.os?.name));
  validateProbe(errors, `${path}.livenessProbe`, container.livenessProbe, "liveness", grace);
  validateProbe(errors, `${path}.readinessProbe`, container.readinessProbe, "readiness", grace);
  validateProbe(errors, `${path}.startupProbe`, container.startupProbe, "startup", grace);
}

function validateRestart(errors: FieldError[], path: string, container: Decoded<Container>): void {
  if (container.restartPolicy !== undefined && !RESTART_POLICIES.includes(container.restartPolicy))
    errors.push(notSupported(`${path}.restartPolicy`, container.restartPolicy, RESTART_POLICIES));
  const rules = container.restartPolicyRules;
  if (rules === undefined || rules.length === 0) return;
  if (container.restartPolicy === undefined)
    errors.push(required(`${path}.restartPolicy`, "must specify restartPolicy when restart rules are used"));
  if (rules.length > 20) errors.push(tooManyRules(path, rules.length));
  rules.forEach((rule, i) => {
    const at = `${path}.restartPolicyRules[${i}]`;
    if (rule.action !== "Restart" && rule.action !== "RestartAllContainers")
      errors.push(notSupported(`${at}.action`, text(rule.action), ["Restart"]));
    if (rule.exitCodes === undefined) errors.push(required(`${at}.exitCodes`, "must be specified"));
    else if (rule.exitCodes.operator !== "In" && rule.exitCodes.operator !== "NotIn")
      errors.push(notSupported(`${at}.exitCodes.operator`, text(rule.exitCodes.operator), ["In", "NotIn"]));
  });
}
function tooManyRules(path: string, count: number): FieldError {
  return {
    type: "FieldValueTooLong",
    field: `${path}.restartPolicyRules`,
    message: `Too long: may not have more than 20 rules, has ${count}`,
  };
}

function hostPorts(errors: FieldError[], path: string, containers: readonly Decoded<Container>[]): void {
  const used = new Set<string>();
  containers.forEach((container, c) => {
    container.ports?.forEach((port, p) => {
      if ((port.hostPort ?? 0) === 0) return;
      const key = `${text(port.protocol)}/${text(port.hostIP)}/${port.hostPort}`;
      if (used.has(key)) errors.push(duplicate(`${path}[${c}].ports[${p}].hostPort`, key));
      used.add(key);
    });
  });
}

/** `spec.containers`. */
export function validateContainers(errors: FieldError[], path: string, scope: ContainerScope): void {
  const containers = scope.spec.containers ?? [];
  if (containers.length === 0) {
    errors.push(required(path));
    return;
  }
  const names = new Set<string>();
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`;
    validateCommon(errors, at, container, scope);
    const name = text(container.name);
    if (name !== "" && names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    validateHooks(errors, at, container, scope);
    validateRestart(errors, at, container);
  });
  hostPorts(errors, path, containers);
}

/** `spec.initContainers`: those with restartPolicy Always (sidecars) may have probes and hooks. */
export function validateInitContainers(errors: FieldError[], path: string, scope: ContainerScope): void {
  const names = new Set((scope.spec.containers ?? []).map((c) => text(c.name)));
  scope.spec.initContainers?.forEach((container, i) => {
    const at = `${path}[${i}]`;
    validateCommon(errors, at, container, scope);
    const name = text(container.name);
    if (name !== "" && names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    if (container.restartPolicy === "Always") {
      validateHooks(errors, at, container, scope);
    } else {
      for (const field of ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] as const) {
        if (container[field] !== undefined)
          errors.push(
            forbiddenField(`${at}.${field}`, "may not be set for init containers without restartPolicy=Always"),
          );
      }
    }
    validateRestart(errors, at, container);
    hostPorts(errors, path, [container]);
  });
}

const EPHEMERAL_FORBIDDEN = [
  "ports",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
  "resizePolicy",
  "restartPolicy",
] as const;

/** `spec.ephemeralContainers`: debugging containers, without ports, probes, hooks and resources. */
export function validateEphemeralContainers(errors: FieldError[], path: string, scope: ContainerScope): void {
  const spec = scope.spec;
  const others = new Set([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((c) => text(c.name)));
  const names = new Set(others);
  spec.ephemeralContainers?.forEach((container, i) => {
    const at = `${path}[${i}]`;
    validateCommon(errors, at, container, scope);
    const name = text(container.name);
    if (name !== "" && names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    const target = text(container.targetContainerName);
    if (target !== "" && !others.has(target)) errors.push(fieldNotFound(`${at}.targetContainerName`, target));
    for (const field of EPHEMERAL_FORBIDDEN) {
      const value = container[field];
      if (value !== undefined && !(Array.isArray(value) && value.length === 0))
        errors.push(forbiddenField(`${at}.${field}`, "cannot be set for an Ephemeral Container"));
    }
    const resources = container.resources;
    if (resources !== undefined && Object.keys(resources).length > 0)
      errors.push(forbiddenField(`${at}.resources`, "cannot be set for an Ephemeral Container"));
    container.volumeMounts?.forEach((mount, m) => {
      if (text(mount.subPath) !== "")
        errors.push(forbiddenField(`${at}.volumeMounts[${m}].subPath`, "cannot be set for an Ephemeral Container"));
      if (text(mount.subPathExpr) !== "")
        errors.push(forbiddenField(`${at}.volumeMounts[${m}].subPathExpr`, "cannot be set for an Ephemeral Container"));
    });
  });
}
