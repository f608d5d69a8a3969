import type { Condition } from "@coracle/api/meta/v1";
import type { StorageVersionMigration } from "@coracle/api/storagemigration/v1beta1";
import type { Instant } from "@coracle/base";
import type { DiscoveredResource } from "../discovery/resources.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";

/** How far a migration is. */
export type MigrationState = "Running" | "Succeeded" | "Failed";

const REASONS: Readonly<Record<MigrationState, string>> = {
  Running: "StorageVersionMigrationInProgress",
  Succeeded: "StorageVersionMigrationSucceeded",
  Failed: "StorageVersionMigrationFailed",
};
const VERBS = ["update", "patch", "list"];
const WAIT_FOR_KIND_MS = 60_000;

const isTrue = ({ status }: StorageVersionMigration, type: MigrationState): boolean =>
  status?.conditions?.some((each) => each.type === type && each.status === "True") ?? false;

/** Nothing more will be done for it. */
export const isOver = (migration: StorageVersionMigration): boolean =>
  isTrue(migration, "Succeeded") || isTrue(migration, "Failed");

/** The status once a migration is so far; each state is told once, and ends the one before. */
export function migrationStatus(
  { status = {} }: StorageVersionMigration,
  state: MigrationState,
  message: string,
  now: Instant,
): NonNullable<StorageVersionMigration["status"]> {
  const { conditions = [] } = status;
  if (conditions.some(({ type }) => type === state)) return status;
  const earlier = conditions.map((each): Condition => (each.type === "Running" ? { ...each, status: "False" } : each));
  const condition: Condition = {
    type: state,
    status: "True",
    lastTransitionTime: timestamp(now),
    reason: REASONS[state],
    message,
  };
  return { ...status, conditions: [...earlier, condition] };
}

/** What is to be migrated: a kind, or why there is none; a kind that was just defined may still come. */
export type MigrationTarget =
  | { readonly kind: "found"; readonly resource: DiscoveredResource }
  | { readonly kind: "late" }
  | { readonly kind: "never"; readonly why: string };

/** Looks for what a migration names among what is served. */
export function findTarget(
  { metadata, spec }: StorageVersionMigration,
  served: readonly DiscoveredResource[],
  now: Instant,
): MigrationTarget {
  const { group, resource: plural } = spec.resource;
  const resource = served.find((each) => each.group === group && each.plural === plural);
  if (resource === undefined) {
    const made = instantOf(metadata.creationTimestamp) ?? now;
    return made + WAIT_FOR_KIND_MS > now
      ? { kind: "late" }
      : { kind: "never", why: "resource does not exist in discovery" };
  }
  if (VERBS.every((verb) => resource.verbs.has(verb))) return { kind: "found", resource };
  const name = JSON.stringify(`${group}/${resource.version}, Resource=${plural}`);
  return { kind: "never", why: `resource ${name} does not support discovery operations: [${VERBS.join(" ")}]` };
}

const WELL_FORMED = /^[1-9]\d*$/;

/** Whether a resource's versions can be put in order. */
export const isOrdered = (resourceVersion: string): boolean => WELL_FORMED.test(resourceVersion);

/** Whether an object was written after that moment, and so in today's version. */
export const isWrittenAfter = (moment: string, resourceVersion = ""): boolean =>
  isOrdered(resourceVersion) && BigInt(resourceVersion) > BigInt(moment);
