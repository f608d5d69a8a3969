import type { Endpoint, EndpointSlice } from "@coracle/api/discovery/v1";
import { canonicalJson } from "../templates/hash.ts";
import type { SlicePlan } from "./plan.ts";

/** What a service's slices are after a plan, and what is new in them. */
export interface SliceOutcome {
  readonly added: number;
  readonly removed: number;
  readonly endpoints: number;
  readonly slices: number;
  /** As many as would be enough if each were full; never none. */
  readonly fewestSlices: number;
}

const endpointsOf = (slice: EndpointSlice): readonly Endpoint[] => slice.endpoints ?? [];
const identityOf = ({ addresses, targetRef }: Endpoint): string => `${addresses[0]} ${targetRef?.uid ?? ""}`;

/** Counts what a plan makes of the slices there are; an endpoint that moves is neither added nor removed. */
export function outcomeOf(existing: readonly EndpointSlice[], plan: SlicePlan, maxPerSlice: number): SliceOutcome {
  const touched = new Set([...plan.update, ...plan.delete].map(({ metadata }) => metadata.name));
  const isTouched = ({ metadata }: EndpointSlice): boolean => touched.has(metadata.name);
  const before = new Set(existing.filter(isTouched).flatMap(endpointsOf).map(identityOf));
  const written = [...plan.create, ...plan.update];
  const after = new Set(written.flatMap(endpointsOf).map(identityOf));
  const left = [...existing.filter((slice) => !isTouched(slice)), ...written];
  const perGroup = new Map<string, number>();
  for (const slice of left) {
    const group = `${slice.addressType} ${canonicalJson(slice.ports ?? [])}`;
    perGroup.set(group, (perGroup.get(group) ?? 0) + endpointsOf(slice).length);
  }
  const counts = [...perGroup.values()];
  return {
    added: [...after].filter((each) => !before.has(each)).length,
    removed: [...before].filter((each) => !after.has(each)).length,
    endpoints: counts.reduce((total, count) => total + count, 0),
    slices: left.length,
    fewestSlices: Math.max(
      1,
      counts.reduce((total, count) => total + Math.ceil(count / maxPerSlice), 0),
    ),
  };
}
