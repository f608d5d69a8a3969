import type { ResourceQuota, ResourceQuotaStatus } from "@coracle/api/core/v1";
import {
  equalAmounts,
  maskAmounts,
  quotaEvaluatorOf,
  readAmounts,
  usageOf,
  usesResources,
  changesClaimUsage,
  equalJson,
  isTerminatingPod,
  writeAmounts,
  type JsonObject,
} from "@coracle/apimachinery";
import type { Pod, PersistentVolumeClaim, Service } from "@coracle/api/core/v1";
import type { KubeObject } from "@coracle/api";
import type { Instant } from "@coracle/base";

/** A kind that quotas may count. */
export interface CountedKind {
  readonly group: string;
  /** Plural. */
  readonly resource: string;
}

/** The objects of one kind in a quota's namespace. */
export interface CountedObjects extends CountedKind {
  readonly objects: readonly KubeObject[];
}

type List = Record<string, string> | undefined;

/** What the status should say: names of kinds that nobody serves stay as they were. Undefined: it says so already. */
export function quotaStatus(
  quota: ResourceQuota,
  counted: readonly CountedObjects[],
  now: Instant,
): ResourceQuotaStatus | undefined {
  const hard = readAmounts(quota.spec?.hard as List);
  const before = readAmounts(quota.status?.used as List);
  const used = new Map(before);
  for (const { group, resource, objects } of counted) {
    const evaluator = quotaEvaluatorOf(group, resource);
    if (evaluator === undefined) continue;
    const usage = usageOf(quota, evaluator, objects as unknown as readonly JsonObject[], now);
    for (const [name, quantity] of usage) used.set(name, quantity);
  }
  const masked = maskAmounts(used, hard.keys());
  const isSaid =
    quota.status?.hard !== undefined &&
    quota.status.used !== undefined &&
    equalAmounts(hard, readAmounts(quota.status.hard as List)) &&
    equalAmounts(masked, before);
  return isSaid ? undefined : { hard: writeAmounts(hard), used: writeAmounts(masked) };
}

function resourcesInForce({ status }: Pod): unknown {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return Object.fromEntries(all.map(({ name, resources }) => [name, resources ?? null]));
}

/** The type as far as quota is concerned: types without ports or balancers of their own are all the same. */
const chargedType = ({ spec }: Service): string =>
  spec?.type === "NodePort" || spec?.type === "LoadBalancer" ? spec.type : "";

/** Whether a change of an object may have given something back (writes that take more are charged when they happen). */
export function mayReplenish(kind: CountedKind, old: KubeObject, current: KubeObject, now: Instant): boolean {
  switch (`${kind.group}/${kind.resource}`) {
    case "/pods": {
      const [before, after] = [old as Pod, current as Pod];
      return (
        !equalJson(resourcesInForce(before), resourcesInForce(after)) ||
        isTerminatingPod(before) !== isTerminatingPod(after) ||
        (usesResources(before, now) && !usesResources(after, now))
      );
    }
    case "/services":
      return chargedType(old as Service) !== chargedType(current as Service);
    case "/persistentvolumeclaims":
      return changesClaimUsage(current as PersistentVolumeClaim, old as PersistentVolumeClaim);
    default:
      return false;
  }
}
