import type { LoadBalancerStatus, NodeAddress } from "@coracle/api/core/v1";
import type { InstanceMetadata, Route } from "./cloud-provider.ts";

/** A provider is somebody else's program: what it answers is looked at before anything is deleted for it. */
class NonsenseError extends Error {
  constructor(what: string, value: unknown) {
    super(`the cloud provider's answer makes no sense: ${what} is ${textOf(value)}`);
  }
}

const MOST_LETTERS = 100;

function textOf(value: unknown): string {
  if (value === undefined) return "missing";
  try {
    return (JSON.stringify(value) ?? typeof value).slice(0, MOST_LETTERS);
  } catch {
    return typeof value;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(what: string, value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new NonsenseError(what, value);
  return value as Fields;
}

function listOf(what: string, value: unknown): readonly Fields[] {
  if (!Array.isArray(value)) throw new NonsenseError(what, value);
  return value.map((each, i) => fieldsOf(`${what}[${i}]`, each));
}

function needText(what: string, value: unknown): void {
  if (typeof value !== "string" || value === "") throw new NonsenseError(what, value);
}

function needTextIfAny(what: string, value: unknown): void {
  if (value !== undefined && typeof value !== "string") throw new NonsenseError(what, value);
}

/** True or false, and nothing that only counts as such. */
export function checkBoolean(value: unknown): boolean {
  if (typeof value !== "boolean") throw new NonsenseError("it", value);
  return value;
}

function checkAddresses(what: string, value: unknown): readonly NodeAddress[] {
  return listOf(what, value).map((each, i) => {
    needText(`${what}[${i}].type`, each["type"]);
    needText(`${what}[${i}].address`, each["address"]);
    return each as unknown as NodeAddress;
  });
}

/** What a machine is; undefined: nothing can be said yet. */
export function checkMetadata(value: unknown): InstanceMetadata | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = fieldsOf("it", value);
  for (const name of ["providerId", "instanceType", "zone", "region"]) needTextIfAny(name, fields[name]);
  if (fields["addresses"] !== undefined) checkAddresses("addresses", fields["addresses"]);
  const { additionalLabels = {} } = fields;
  for (const [label, text] of Object.entries(fieldsOf("additionalLabels", additionalLabels)))
    if (typeof text !== "string") throw new NonsenseError(`additionalLabels[${label}]`, text);
  return value as InstanceMetadata;
}

/** Where a machine is. */
export function checkZone(value: unknown): Pick<InstanceMetadata, "zone" | "region"> {
  const fields = fieldsOf("it", value);
  for (const name of ["zone", "region"]) needTextIfAny(name, fields[name]);
  return fields;
}

/** Routes that the provider made. */
export function checkRoutes(value: unknown): readonly Route[] {
  return listOf("it", value).map((route, i) => {
    for (const name of ["name", "destinationCidr"]) needText(`[${i}].${name}`, route[name]);
    needTextIfAny(`[${i}].targetNode`, route["targetNode"]);
    const { targetNodeAddresses } = route;
    if (targetNodeAddresses !== undefined) checkAddresses(`[${i}].targetNodeAddresses`, targetNodeAddresses);
    return { targetNode: "", ...route } as unknown as Route;
  });
}

/** Where a Service is reached. */
export function checkBalancer(value: unknown): LoadBalancerStatus {
  const { ingress } = fieldsOf("it", value);
  if (ingress !== undefined && ingress !== null)
    listOf("ingress", ingress).forEach((each, i) => {
      needTextIfAny(`ingress[${i}].ip`, each["ip"]);
      needTextIfAny(`ingress[${i}].hostname`, each["hostname"]);
      if (each["ip"] === undefined && each["hostname"] === undefined) throw new NonsenseError(`ingress[${i}]`, each);
    });
  return value as LoadBalancerStatus;
}

/** Where a Service is reached, if it is. */
export const checkBalancerIfAny = (value: unknown): LoadBalancerStatus | undefined =>
  value === undefined || value === null ? undefined : checkBalancer(value);
