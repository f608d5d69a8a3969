import type { Pod, PodSpec, ResourceRequirements } from "@coracle/api/core/v1";
import {
  compareQuantities,
  formatQuantity,
  invalidValue,
  parseQuantity,
  podLimits,
  podRequests,
  QuantityError,
  type FieldError,
} from "@coracle/apimachinery";
import type { Draft } from "@coracle/apimachinery";
import type { Decoded } from "./decoded.ts";

/** What a pod asks for as a whole must be as much as its containers ask for, and no less than any one of them may use. */
export function validatePodLevelResources(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  try {
    compare(errors, path, spec);
  } catch (error) {
    // An amount that is none was told where it stands.
    if (!(error instanceof QuantityError)) throw error;
  }
}

function compare(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  const { requests = {}, limits = {} } = (spec.resources ?? {}) as ResourceRequirements;
  const containersOnly = containersOf(spec);
  for (const [name, sum] of podRequests(containersOnly)) {
    const own = requests[name];
    if (own !== undefined && compareQuantities(sum, parseQuantity(own)) > 0)
      errors.push(
        invalidValue(
          `${path}.resources.requests[${name}]`,
          own,
          `must be greater than or equal to aggregate container requests of ${formatQuantity(sum)}`,
        ),
      );
  }
  for (const [name, sum] of podLimits(containersOnly)) {
    const own = limits[name];
    if (name.startsWith("hugepages-") && own !== undefined && compareQuantities(sum, parseQuantity(own)) > 0)
      errors.push(
        invalidValue(
          `${path}.resources.limits[${name}]`,
          own,
          `must be greater than or equal to aggregate container limits of ${formatQuantity(sum)}`,
        ),
      );
  }
  for (const [i, { resources }] of (spec.containers ?? []).entries())
    for (const [name, limit] of Object.entries((resources as ResourceRequirements | undefined)?.limits ?? {})) {
      const own = limits[name];
      if (own !== undefined && compareQuantities(parseQuantity(limit), parseQuantity(own)) > 0)
        errors.push(
          invalidValue(
            // The path is upstream's.
            `${path}.resources.containers[${i}][${name}].limits`,
            limit,
            `must be less than or equal to pod limits of ${own}`,
          ),
        );
    }
}

/** A pod that asks for nothing as a whole. */
const containersOf = (spec: object): Pod =>
  ({ spec: { ...spec, resources: undefined, overhead: undefined } }) as unknown as Pod;

const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
const isOfPods = (name: string): boolean => name === "cpu" || name === "memory" || isHugePages(name);

/** A pod that asks for something as a whole asks as a whole for what its containers ask for beside it, too. */
export function defaultPodLevelResources(spec: Draft): void {
  const resources = spec["resources"] as
    | { requests?: Record<string, string>; limits?: Record<string, string> }
    | undefined;
  const { requests = {}, limits = {} } = resources ?? {};
  if (resources === undefined || Object.keys(requests).length + Object.keys(limits).length === 0) return;
  try {
    for (const [name, sum] of podLimits(containersOf(spec)))
      if (isHugePages(name) && requests[name] === undefined) limits[name] ??= formatQuantity(sum);
    for (const [name, sum] of podRequests(containersOf(spec)))
      if (isOfPods(name) && !isHugePages(name)) requests[name] ??= formatQuantity(sum);
  } catch (error) {
    // What is no amount is refused later.
    if (!(error instanceof QuantityError)) throw error;
  }
  for (const [name, limit] of Object.entries(limits)) if (isOfPods(name)) requests[name] ??= limit;
  if (Object.keys(limits).length > 0) resources.limits = limits;
  if (Object.keys(requests).length > 0) resources.requests = requests;
}
