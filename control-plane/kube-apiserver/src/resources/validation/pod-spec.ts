import type { PodSpec, PodTemplateSpec } from "@coracle/api/core/v1";
import { duplicate, forbiddenField, invalidValue, required, type FieldError } from "@coracle/apimachinery";
import {
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
  type ContainerScope,
} from "./containers.ts";
import { text, type Decoded } from "./decoded.ts";
import { oneOf, pushInvalid, requiredOneOf } from "./field-values.ts";
import { dns1123Label, dns1123Subdomain, qualifiedName } from "./names.ts";
import { validateAnnotations, validateLabels } from "./object-meta.ts";
import { validateDnsConfig, validateDnsPolicy, validateHostAliases } from "./pod-dns.ts";
import { validateAffinity, validateTolerations, validateTopologySpread } from "./pod-scheduling.ts";
import { validatePodSecurityContext } from "./pod-security.ts";
import { validatePodLevelResources } from "./pod-level-resources.ts";
import { validateContainerResourceName, validateResourceQuantity, validateResourceRequirements } from "./resources.ts";
import { validateVolumes } from "./volumes.ts";

const RESTART_POLICIES = ["Always", "OnFailure", "Never"];
const MAX_INT32 = 2_147_483_647;

function validateResourceClaims(errors: FieldError[], path: string, spec: Decoded<PodSpec>): Set<string> {
  const names = new Set<string>();
  spec.resourceClaims?.forEach((claim, i) => {
    const at = `${path}.resourceClaims[${i}]`;
    const name = text(claim.name);
    if (name === "") errors.push(required(`${at}.name`));
    else if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    else {
      pushInvalid(errors, `${at}.name`, name, dns1123Label(name));
      names.add(name);
    }
    const { resourceClaimName, resourceClaimTemplateName } = claim;
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined)
      errors.push(
        invalidValue(at, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
      );
    else if (resourceClaimName === undefined && resourceClaimTemplateName === undefined)
      errors.push(invalidValue(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"));
    if (resourceClaimName !== undefined)
      pushInvalid(errors, `${at}.resourceClaimName`, resourceClaimName, dns1123Subdomain(resourceClaimName));
    if (resourceClaimTemplateName !== undefined)
      pushInvalid(
        errors,
        `${at}.resourceClaimTemplateName`,
        resourceClaimTemplateName,
        dns1123Subdomain(resourceClaimTemplateName),
      );
  });
  return names;
}

function validateGates(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  spec.readinessGates?.forEach((gate, i) =>
    pushInvalid(
      errors,
      `${path}.readinessGates[${i}].conditionType`,
      text(gate.conditionType),
      qualifiedName(text(gate.conditionType)),
    ),
  );
  const names = new Set<string>();
  spec.schedulingGates?.forEach((gate, i) => {
    const name = text(gate.name);
    pushInvalid(errors, `${path}.schedulingGates[${i}]`, name, qualifiedName(name));
    if (names.has(name)) errors.push(duplicate(`${path}.schedulingGates[${i}]`, name));
    names.add(name);
  });
}

type NameOfPodSpec =
  | "serviceAccountName"
  | "nodeName"
  | "runtimeClassName"
  | "priorityClassName"
  | "hostname"
  | "subdomain";

function validateNames(
  errors: FieldError[],
  path: string,
  spec: Decoded<PodSpec>,
  fields: readonly NameOfPodSpec[],
  grammar: (name: string) => string[],
): void {
  for (const field of fields) {
    const name = text(spec[field]);
    if (name !== "") pushInvalid(errors, `${path}.${field}`, name, grammar(name));
  }
}

/** The whole spec of a pod or a template; `podName` is empty in templates. */
export function validatePodSpec(errors: FieldError[], path: string, spec: Decoded<PodSpec>, podName: string): void {
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  const volumes = validateVolumes(errors, `${path}.volumes`, spec, podName);
  const claims = validateResourceClaims(errors, path, spec);
  const scope: ContainerScope = { spec, volumes, claims, gracePeriodSeconds: grace < 0 ? 1 : grace };
  validateContainers(errors, `${path}.containers`, scope);
  if (spec.initContainers !== undefined) validateInitContainers(errors, `${path}.initContainers`, scope);
  if (spec.ephemeralContainers !== undefined) validateEphemeralContainers(errors, `${path}.ephemeralContainers`, scope);
  if (spec.resources !== undefined) {
    validateResourceRequirements(errors, `${path}.resources`, spec.resources, claims);
    validatePodLevelResources(errors, path, spec);
  }
  if (spec.hostNetwork === true) validateHostNetworkPorts(errors, `${path}.containers`, spec);
  requiredOneOf(errors, `${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES);
  validateDnsPolicy(errors, `${path}.dnsPolicy`, spec.dnsPolicy);
  validateLabels(errors, `${path}.nodeSelector`, spec.nodeSelector);
  validatePodSecurityContext(errors, `${path}.securityContext`, spec);
  validateAffinity(errors, `${path}.affinity`, spec.affinity);
  validateDnsConfig(errors, `${path}.dnsConfig`, spec);
  validateGates(errors, path, spec);
  validateTopologySpread(errors, `${path}.topologySpreadConstraints`, spec.topologySpreadConstraints);
  validateNames(errors, path, spec, ["serviceAccountName", "nodeName"], dns1123Subdomain);
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > MAX_INT32))
    errors.push(
      invalidValue(`${path}.activeDeadlineSeconds`, deadline, `must be between 1 and ${MAX_INT32}, inclusive`),
    );
  validateNames(errors, path, spec, ["hostname", "subdomain"], dns1123Label);
  validateTolerations(errors, `${path}.tolerations`, spec.tolerations);
  validateHostAliases(errors, `${path}.hostAliases`, spec.hostAliases);
  validateNames(errors, path, spec, ["priorityClassName", "runtimeClassName"], dns1123Subdomain);
  if (spec.preemptionPolicy !== undefined)
    oneOf(errors, `${path}.preemptionPolicy`, spec.preemptionPolicy, ["PreemptLowerPriority", "Never"]);
  for (const [name, value] of Object.entries(spec.overhead ?? {})) {
    validateContainerResourceName(errors, `${path}.overhead[${name}]`, name);
    validateResourceQuantity(errors, `${path}.overhead[${name}]`, name, value);
  }
  if (spec.os !== undefined) requiredOneOf(errors, `${path}.os.name`, spec.os.name, ["linux", "windows"]);
}

function validateHostNetworkPorts(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  spec.containers?.forEach((container, i) =>
    container.ports?.forEach((port, j) => {
      if (port.hostPort !== port.containerPort)
        errors.push(
          invalidValue(
            `${path}[${i}].ports[${j}].containerPort`,
            port.containerPort ?? 0,
            "must match `hostPort` when `hostNetwork` is true",
          ),
        );
    }),
  );
}

/** A pod template: labels, annotations, spec. */
export function validatePodTemplateSpec(
  errors: FieldError[],
  path: string,
  template: Decoded<PodTemplateSpec> | undefined,
): void {
  validateLabels(errors, `${path}.labels`, template?.metadata?.labels);
  validateAnnotations(errors, `${path}.annotations`, template?.metadata?.annotations);
  const spec = template?.spec ?? {};
  validatePodSpec(errors, `${path}.spec`, spec, "");
  if ((spec.ephemeralContainers?.length ?? 0) > 0)
    errors.push(forbiddenField(`${path}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template"));
}
