import type { DeviceRequestAllocationResult, ResourceClaim } from "@coracle/api/resource/v1";

/** How far the devices of a claim are: ready to be used on the node, on their way, or never. */
export type Readiness = "ready" | "pending" | { readonly problem: string };

const resultsOf = ({ status }: ResourceClaim): readonly DeviceRequestAllocationResult[] =>
  status?.allocation?.devices?.results ?? [];

/** Whether some device of the claim must be made ready before the pod may be bound. */
export const mustBecomeReady = (claim: ResourceClaim): boolean =>
  resultsOf(claim).some(({ bindingConditions = [] }) => bindingConditions.length > 0);

/** What drivers say of the devices that must be made ready. */
export function readinessOf(claim: ResourceClaim): Readiness {
  if (claim.status?.allocation === undefined) return "pending";
  for (const { driver, pool, device, bindingConditions = [], bindingFailureConditions = [] } of resultsOf(claim)) {
    if (bindingConditions.length === 0) continue;
    const said = claim.status.devices?.find(
      (each) => each.device === device && each.driver === driver && each.pool === pool,
    );
    if (said === undefined) return "pending";
    const isTrue = (type: string) => said.conditions?.find((each) => each.type === type && each.status === "True");
    for (const type of bindingFailureConditions) {
      const failure = isTrue(type);
      if (failure === undefined) continue;
      const { reason, message } = failure;
      return {
        problem: `claim ${claim.metadata.name} binding failed: reason=${reason}, message=${JSON.stringify(message)}`,
      };
    }
    if (!bindingConditions.every((type) => isTrue(type) !== undefined)) return "pending";
  }
  return "ready";
}

/** Whether the devices had more than `timeoutMs` to become ready. `now`: epoch milliseconds. */
export function isOverdue(claim: ResourceClaim, now: number, timeoutMs: number): boolean {
  const since = Date.parse(claim.status?.allocation?.allocationTimestamp ?? "");
  return !Number.isNaN(since) && mustBecomeReady(claim) && since + timeoutMs < now;
}
