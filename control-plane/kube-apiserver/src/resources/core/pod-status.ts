import type { Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus } from "@coracle/api/core/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  parseLegacyIp,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain, qualifiedName } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { keepAllButStatus, keepMetadata } from "../validation/status.ts";

type Status = Decoded<PodStatus>;
type Statuses = readonly Decoded<ContainerStatus>[];

/** Conditions whose names have no domain. */
const OWN_CONDITIONS: ReadonlySet<string> = new Set(["PodScheduled", "Ready", "Initialized"]);

/** Everything but the status stays; what of the status a client left out and may not clear comes back. */
export function preparePodStatus(draft: ApiDraft, old: ApiObject): void {
  keepAllButStatus(draft, old);
  keepMetadata(draft, old, ["ownerReferences"]);
  const before = as<Pod>(old).status;
  const status = (draft["status"] ??= {}) as Draft;
  if (text(status["qosClass"] as string | undefined) === "" && before?.qosClass !== undefined)
    status["qosClass"] = before.qosClass;
  if ((status["observedGeneration"] ?? 0) === 0 && (before?.observedGeneration ?? 0) !== 0)
    status["observedGeneration"] = before?.observedGeneration as number;
  alignIps(status);
  keepGenerations((status["conditions"] as Draft[] | undefined) ?? [], before?.conditions ?? []);
}

/** The older field is the first of the newer one; told alone, or when they differ, the older one counts. */
function alignIps(status: Draft): void {
  const { podIP, podIPs } = status as Status;
  const first = text(podIPs?.[0]?.ip);
  if (text(podIP) === "" && first !== "") status["podIP"] = first;
  else if (text(podIP) !== "" && first !== podIP) status["podIPs"] = [{ ip: text(podIP) }];
}

/** Conditions of one type keep their generations in order: there may be several. */
function keepGenerations(conditions: readonly Draft[], before: readonly Decoded<PodCondition>[]): void {
  const known = new Map<string, number[]>();
  for (const { type, observedGeneration = 0 } of before) {
    const list = known.get(text(type));
    if (list === undefined) known.set(text(type), [observedGeneration]);
    else list.push(observedGeneration);
  }
  for (const condition of conditions) {
    const old = known.get(text(condition["type"] as string | undefined))?.shift() ?? 0;
    if ((condition["observedGeneration"] ?? 0) === 0 && old !== 0) condition["observedGeneration"] = old;
  }
}

/** What a status may not become. */
export function validatePodStatus(object: ApiObject, before: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const pod = as<Pod>(object);
  const old = as<Pod>(before);
  const [status, oldStatus] = [pod.status ?? {}, old.status ?? {}];
  const spec = old.spec ?? {};
  validateConditions(errors, status.conditions ?? []);
  validateNominated(errors, status, oldStatus, spec);
  if ((status.observedGeneration ?? 0) < 0)
    errors.push(invalidValue("status.observedGeneration", status.observedGeneration, "must be a non-negative integer"));
  validateImmutable(errors, "status.qosClass", text(status.qosClass), text(oldStatus.qosClass));
  validateStates(errors, "containerStatuses", status, oldStatus, spec, spec.containers ?? []);
  validateStates(errors, "initContainerStatuses", status, oldStatus, spec, spec.initContainers ?? []);
  validateStates(errors, "ephemeralContainerStatuses", status, oldStatus, spec, []);
  validateClaims(errors, status, pod.spec ?? {});
  const ips = (list: readonly { readonly ip?: string | undefined }[] | undefined): string[] =>
    (list ?? []).map(({ ip }) => text(ip));
  validateIps(errors, "status.podIPs", ips(status.podIPs), ips(oldStatus.podIPs), status.podIPs);
  const [hostIp] = ips(status.hostIPs);
  if (hostIp !== undefined && text(status.hostIP) !== hostIp)
    errors.push(invalidValue("status.hostIPs[0].ip", hostIp, "must be equal to `hostIP`"));
  validateIps(errors, "status.hostIPs", ips(status.hostIPs), ips(oldStatus.hostIPs), status.hostIPs);
  return errors;
}

function validateConditions(errors: FieldError[], conditions: readonly Decoded<PodCondition>[]): void {
  for (const [i, { type, observedGeneration = 0 }] of conditions.entries()) {
    const path = `status.conditions[${i}]`;
    if (observedGeneration < 0)
      errors.push(invalidValue(`${path}.observedGeneration`, observedGeneration, "must be a non-negative integer"));
    if (!OWN_CONDITIONS.has(text(type))) pushInvalid(errors, `${path}.Type`, text(type), qualifiedName(text(type)));
  }
}

function validateNominated(errors: FieldError[], status: Status, old: Status, spec: Decoded<PodSpec>): void {
  const path = "status.nominatedNodeName";
  const name = text(status.nominatedNodeName);
  if (name === "" || name === text(old.nominatedNodeName)) return;
  pushInvalid(errors, path, name, dns1123Subdomain(name));
  if (text(spec.nodeName) !== "")
    errors.push(forbiddenField(path, "may not be set on pods that are already bound to a node"));
}

/** Whether a container that ended so may run again. */
function mayRestart(container: Decoded<Container>, spec: Decoded<PodSpec>, exitCode: number): boolean {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const isListed = (exitCodes?.values ?? []).includes(exitCode);
    if (action === "Restart" && exitCodes !== undefined && (exitCodes.operator === "NotIn" ? !isListed : isListed))
      return true;
  }
  const policy = container.restartPolicy ?? spec.restartPolicy;
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}

/** What has ended for good does not run again. */
function validateStates(
  errors: FieldError[],
  field: "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses",
  status: Status,
  old: Status,
  spec: Decoded<PodSpec>,
  containers: readonly Decoded<Container>[],
): void {
  const now: Statuses = status[field] ?? [];
  for (const [i, { name, state }] of ((old[field] ?? []) as Statuses).entries()) {
    const ended = state?.terminated;
    const present = now.find((each) => each.name === name);
    if (ended === undefined || present === undefined || present.state?.terminated !== undefined) continue;
    const container = containers.find((each) => each.name === name);
    if (container !== undefined && mayRestart(container, spec, ended.exitCode ?? 0)) continue;
    errors.push(forbiddenField(`status.${field}[${i}].state`, "may not be transitioned to non-terminated state"));
  }
}

function validateClaims(errors: FieldError[], status: Status, spec: Decoded<PodSpec>): void {
  const claims = new Set((spec.resourceClaims ?? []).map(({ name }) => text(name)));
  const seen = new Set<string>();
  for (const [i, { name, resourceClaimName }] of (status.resourceClaimStatuses ?? []).entries()) {
    const path = `status.resourceClaimStatuses[${i}].name`;
    const claim = text(name);
    if (!claims.has(claim))
      errors.push(invalidValue(path, claim, "must match the name of an entry in `spec.resourceClaims`"));
    if (seen.has(claim)) errors.push(duplicate(path, claim));
    seen.add(claim);
    if (resourceClaimName !== undefined)
      pushInvalid(errors, path, resourceClaimName, dns1123Subdomain(resourceClaimName));
  }
}

function validateIps(
  errors: FieldError[],
  path: string,
  ips: readonly string[],
  before: readonly string[],
  value: unknown,
): void {
  for (const [i, ip] of ips.entries())
    if (parseLegacyIp(ip) === undefined && !before.includes(ip))
      errors.push(invalidValue(`${path}[${i}]`, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
  if (ips.length < 2) return;
  const families = new Set(ips.map((ip) => parseLegacyIp(ip)?.family));
  if (ips.length > 2 || families.size < 2)
    errors.push(invalidValue(path, value as never, "may specify no more than one IP for each IP family"));
}
