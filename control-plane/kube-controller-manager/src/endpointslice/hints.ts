import type { Node, Service } from "@coracle/api/core/v1";
import type { Endpoint, EndpointHints, EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson, quantityMilliValue } from "@coracle/apimachinery";
import type { SlicePlan } from "./plan.ts";
import { allocate, redistribute, type Allocation } from "./zone-allocation.ts";

const ZONE = "topology.kubernetes.io/zone";
const MODES = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
const CLOSE: ReadonlySet<string> = new Set(["PreferClose", "PreferSameZone", "PreferSameNode"]);

/** What is told about a service's hints; empty: nothing. */
export interface HintEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: "TopologyAwareHintsEnabled" | "TopologyAwareHintsDisabled";
  readonly message: string;
}

export interface HintedPlan {
  readonly plan: SlicePlan;
  readonly events: readonly HintEvent[];
  /** Endpoints are spread over zones by their share of the CPUs. */
  readonly isSpread: boolean;
}

/** Whether the service asks for endpoints to be spread over zones (`topology-mode: Auto`). */
export function wantsSpread({ metadata: { annotations = {} } }: Service): boolean {
  const mode = MODES.map((name) => annotations[name]).find((value) => value !== undefined);
  return mode === "Auto" || mode === "auto";
}

/** Each zone's share of the CPUs of ready nodes; undefined: not known, or there is only one zone. */
export function zoneShares(nodes: readonly Node[]): ReadonlyMap<string, number> | undefined {
  const cpus = new Map<string, number>();
  let total = 0;
  for (const { metadata, status } of nodes) {
    const { labels = {} } = metadata;
    if ("node-role.kubernetes.io/control-plane" in labels || "node-role.kubernetes.io/master" in labels) continue;
    if (!status?.conditions?.some((each) => each.type === "Ready" && each.status === "True")) continue;
    const zone = labels[ZONE] ?? "";
    const cpu = Number(quantityMilliValue(status.allocatable?.["cpu"] ?? "0"));
    if (zone === "" || cpu === 0) return undefined;
    cpus.set(zone, (cpus.get(zone) ?? 0) + cpu);
    total += cpu;
  }
  if (cpus.size < 2) return undefined;
  return new Map([...cpus].map(([zone, cpu]) => [zone, cpu / total]));
}

const isReadyEndpoint = (endpoint: Endpoint): boolean => endpoint.conditions?.ready === true;

/** The endpoint without hints. */
export function withoutHints(endpoint: Endpoint): Endpoint {
  if (endpoint.hints === undefined) return endpoint;
  const { hints: _, ...rest } = endpoint;
  return rest;
}

const hinted = (endpoint: Endpoint, hints: EndpointHints | undefined): Endpoint =>
  hints === undefined ? withoutHints(endpoint) : { ...endpoint, hints };

/**
 * `plan` with hints: towards the zone or node of each endpoint where the service prefers close ones, spread over zones
 * by their share of CPUs where it asks for that, else none. Slices that were to stay are changed only where they must.
 */
export function withHints(
  service: Service,
  plan: SlicePlan,
  existing: readonly EndpointSlice[],
  shares: ReadonlyMap<string, number> | undefined,
  wasSpread: boolean,
): HintedPlan {
  const touched = new Set([...plan.update, ...plan.delete].map((slice) => slice.metadata.name));
  const unchanged = existing.filter((slice) => !touched.has(slice.metadata.name));
  const { trafficDistribution = "" } = service.spec ?? {};
  if (!wantsSpread(service)) {
    const events = wasSpread ? [disabled("Topology Aware Hints has been disabled", existing[0]?.addressType)] : [];
    const hintsOf = CLOSE.has(trafficDistribution)
      ? (endpoint: Endpoint) => closeHints(endpoint, trafficDistribution === "PreferSameNode")
      : () => undefined;
    return { plan: rehinted(plan, unchanged, hintsOf), events, isSpread: false };
  }
  const families = new Set([...existing, ...plan.create].map((slice) => slice.addressType));
  const parts = [...families].map((family) => {
    const of = (slices: readonly EndpointSlice[]) => slices.filter((slice) => slice.addressType === family);
    const part = { create: of(plan.create), update: of(plan.update), delete: of(plan.delete) };
    return spread(part, of(unchanged), family, shares);
  });
  const isSpread = parts.every((part) => part.problem === undefined);
  const enabled: HintEvent = {
    type: "Normal",
    reason: "TopologyAwareHintsEnabled",
    message: `Topology Aware Hints has been enabled, addressType: ${[...families][0]}`,
  };
  return {
    plan: {
      create: parts.flatMap((part) => part.plan.create),
      update: parts.flatMap((part) => part.plan.update),
      delete: plan.delete,
    },
    events: isSpread && !wasSpread ? [enabled] : parts.flatMap((part) => part.problem ?? []),
    isSpread,
  };
}

const disabled = (text: string, addressType = "IPv4"): HintEvent => ({
  type: "Warning",
  reason: "TopologyAwareHintsDisabled",
  message: `${text}, addressType: ${addressType}`,
});

/** Traffic is to stay in the zone, or on the node, of the endpoint. */
function closeHints(endpoint: Endpoint, onNode: boolean): EndpointHints | undefined {
  const { zone, nodeName } = endpoint;
  if (!isReadyEndpoint(endpoint)) return undefined;
  const hints: EndpointHints = {
    ...(zone === undefined ? {} : { forZones: [{ name: zone }] }),
    ...(onNode && nodeName !== undefined ? { forNodes: [{ name: nodeName }] } : {}),
  };
  return Object.keys(hints).length === 0 ? undefined : hints;
}

/** Each endpoint with the hints it should have; slices that stay are rewritten only if one of theirs is wrong. */
function rehinted(
  plan: SlicePlan,
  unchanged: readonly EndpointSlice[],
  hintsOf: (endpoint: Endpoint) => EndpointHints | undefined,
): SlicePlan {
  const rehint = (slice: EndpointSlice): EndpointSlice => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).map((endpoint) => hinted(endpoint, hintsOf(endpoint))),
  });
  const wrong = unchanged.filter((slice) =>
    slice.endpoints?.some((endpoint) => !equalJson(endpoint.hints, hintsOf(endpoint))),
  );
  return {
    create: plan.create.map(rehint),
    update: [...plan.update.map(rehint), ...wrong.map(rehint)],
    delete: plan.delete,
  };
}

/** Endpoints of one family spread over the zones; with `problem` none has hints. */
function spread(
  plan: SlicePlan,
  unchanged: readonly EndpointSlice[],
  addressType: string,
  shares: ReadonlyMap<string, number> | undefined,
): { readonly plan: SlicePlan; readonly problem: HintEvent | undefined } {
  const fail = (text: string) => ({
    plan: rehinted(plan, unchanged, () => undefined),
    problem: disabled(text, addressType),
  });
  const ready = (slices: readonly EndpointSlice[]): readonly Endpoint[] =>
    slices.flatMap((slice) => slice.endpoints ?? []).filter(isReadyEndpoint);
  const total = ready([...plan.create, ...plan.update, ...unchanged]).length;
  const allocations = allocate(shares, total);
  if (typeof allocations === "string") return fail(allocations);

  const allocated = new Map<string, number>();
  const update = [...plan.update];
  for (const slice of unchanged) {
    const counts = hintCounts(slice, allocated, allocations);
    if (counts === undefined) update.push(slice);
    else for (const [zone, count] of counts) allocated.set(zone, (allocated.get(zone) ?? 0) + count);
  }
  const open = ready([...plan.create, ...update]);
  if (open.some((endpoint) => (endpoint.zone ?? "") === ""))
    return fail("One or more endpoints do not have a zone specified");
  for (const { zone = "" } of open) allocated.set(zone, (allocated.get(zone) ?? 0) + 1);
  const zones = redistribute(
    open.map((endpoint) => endpoint.zone ?? ""),
    allocations,
    allocated,
  );
  const zoneOf = new Map(open.map((endpoint, i) => [endpoint, zones[i] ?? ""]));
  if (allocated.size === 0) return fail("No hints allocated for zones");
  const rehint = (slice: EndpointSlice): EndpointSlice => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).map((endpoint) => {
      const zone = zoneOf.get(endpoint);
      return hinted(endpoint, zone === undefined ? undefined : { forZones: [{ name: zone }] });
    }),
  });
  return {
    plan: { create: plan.create.map(rehint), update: update.map(rehint), delete: plan.delete },
    problem: undefined,
  };
}

/** How many hints a slice gives to each zone; undefined: it has to be done anew. */
function hintCounts(
  slice: EndpointSlice,
  allocated: ReadonlyMap<string, number>,
  allocations: ReadonlyMap<string, Allocation>,
): ReadonlyMap<string, number> | undefined {
  const counts = new Map<string, number>();
  for (const { hints } of (slice.endpoints ?? []).filter(isReadyEndpoint)) {
    if ((hints?.forZones ?? []).length === 0) return undefined;
    for (const { name } of hints?.forZones ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const [zone, count] of counts)
    if (count + (allocated.get(zone) ?? 0) > (allocations.get(zone)?.maximum ?? -1)) return undefined;
  return counts;
}
