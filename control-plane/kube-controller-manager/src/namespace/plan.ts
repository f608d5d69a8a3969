import type { NamespaceCondition } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";

/** What one attempt to empty a namespace left behind. */
export interface Emptying {
  readonly discoveryFailures: readonly string[];
  readonly deletionFailures: readonly string[];
  /** `pods.`, `deployments.apps` → how many are left. */
  readonly remaining: ReadonlyMap<string, number>;
  /** Finalizer → how many objects it holds. */
  readonly finalizers: ReadonlyMap<string, number>;
}

export const isEmptied = (result: Emptying): boolean =>
  result.discoveryFailures.length === 0 && result.deletionFailures.length === 0 && result.remaining.size === 0;

/** The conditions that tell a user why a namespace is still there. */
export function namespaceConditions(
  present: readonly NamespaceCondition[],
  result: Emptying,
  now: Instant,
): readonly NamespaceCondition[] {
  const { discoveryFailures, deletionFailures, remaining, finalizers } = result;
  const verdicts: Omit<NamespaceCondition, "lastTransitionTime">[] = [
    verdict(
      "NamespaceDeletionDiscoveryFailure",
      discoveryFailures.length > 0 && {
        reason: "DiscoveryFailed",
        message: `Discovery failed for some groups, ${discoveryFailures.length} failing: unable to retrieve the complete list of server APIs: ${discoveryFailures.map((each) => `${each}: stale GroupVersion discovery: ${each}`).join(", ")}`,
      },
      { reason: "ResourcesDiscovered", message: "All resources successfully discovered" },
    ),
    verdict("NamespaceDeletionGroupVersionParsingFailure", false, {
      reason: "ParsedGroupVersions",
      message: "All legacy kube types successfully parsed",
    }),
    verdict(
      "NamespaceDeletionContentFailure",
      deletionFailures.length > 0 && {
        reason: "ContentDeletionFailed",
        message: `Failed to delete all resource types, ${deletionFailures.length} remaining: ${deletionFailures.toSorted().join(", ")}`,
      },
      { reason: "ContentDeleted", message: "All content successfully deleted, may be waiting on finalization" },
    ),
    verdict(
      "NamespaceContentRemaining",
      remaining.size > 0 && {
        reason: "SomeResourcesRemain",
        message: `Some resources are remaining: ${counted(remaining, (name, count) => `${name} has ${count} resource instances`)}`,
      },
      { reason: "ContentRemoved", message: "All content successfully removed" },
    ),
    verdict(
      "NamespaceFinalizersRemaining",
      finalizers.size > 0 && {
        reason: "SomeFinalizersRemain",
        message: `Some content in the namespace has finalizers remaining: ${counted(finalizers, (name, count) => `${name} in ${count} resource instances`)}`,
      },
      { reason: "ContentHasNoFinalizers", message: "All content-preserving finalizers finished" },
    ),
  ];
  const own = new Set(verdicts.map((each) => each.type));
  return [
    ...present.filter((each) => !own.has(each.type)),
    ...verdicts.map((each) => {
      const before = present.find((known) => known.type === each.type);
      const isSame = before?.status === each.status && before.reason === each.reason;
      return { ...each, lastTransitionTime: isSame ? before.lastTransitionTime : timestamp(now) };
    }),
  ];
}

type Why = Pick<NamespaceCondition, "reason" | "message">;

function verdict(type: string, bad: Why | false, good: Why): Omit<NamespaceCondition, "lastTransitionTime"> {
  return bad === false ? { type, status: "False", ...good } : { type, status: "True", ...bad };
}

function counted(counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string): string {
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => text(name, count))
    .join(", ");
}
