import type { APIServiceCondition } from "@coracle/api/apiregistration/v1";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { ServiceReference } from "./api-service.ts";

/** What is said about an APIService. */
export interface Availability {
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
}

const no = (reason: string, message: string): Availability => ({ status: "False", reason, message });

/** Of a service that this server is itself. */
export const LOCAL: Availability = {
  status: "True",
  reason: "Local",
  message: "Local APIServices are always available",
};
/** Of one that answered. */
export const PASSED: Availability = { status: "True", reason: "Passed", message: "all checks passed" };
/** Of one that did not. */
export const failedDiscovery = (message: string): Availability => no("FailedDiscoveryCheck", message);

/** What stands in the way before anybody is asked; undefined: nothing. */
export function serviceProblem(
  { namespace, name, port }: ServiceReference,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): Availability | undefined {
  const at = `service/${name} in ${JSON.stringify(namespace)}`;
  if (service === undefined) return no("ServiceNotFound", `${at} is not present`);
  if ((service.spec?.type ?? "ClusterIP") !== "ClusterIP") return undefined;
  const found = service.spec?.ports?.find((one) => one.port === port);
  if (found === undefined) return no("ServicePortError", `${at} is not listening on port ${port}`);
  if (slices.length === 0) return no("EndpointsNotFound", `cannot find endpointslices for ${at}`);
  const portName = found.name ?? "";
  const isActive = slices.some(
    (slice) =>
      (slice.endpoints ?? []).some((endpoint) => endpoint.conditions?.ready !== false) &&
      (slice.ports ?? []).some((one) => (one.name ?? "") === portName && one.port !== undefined),
  );
  if (isActive) return undefined;
  return no(
    "MissingEndpoints",
    `endpointslices for ${at} have no addresses with port name ${JSON.stringify(portName)}`,
  );
}

/** The conditions after a check; undefined when nothing is new. The time is that of the last change of status. */
export function withAvailability(
  conditions: readonly APIServiceCondition[],
  { status, reason, message }: Availability,
  now: number,
): readonly APIServiceCondition[] | undefined {
  const before = conditions.find(({ type }) => type === "Available");
  if (before?.status === status && before.reason === reason && before.message === message) return undefined;
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, "Z");
  const lastTransitionTime = before?.status === status ? (before.lastTransitionTime ?? time) : time;
  const after: APIServiceCondition = { type: "Available", status, lastTransitionTime, reason, message };
  return before === undefined ? [...conditions, after] : conditions.map((one) => (one === before ? after : one));
}
