import type { Node, NodeCondition, Taint } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";

const PREFIX = "node.kubernetes.io/";
export const NOT_READY = `${PREFIX}not-ready`;
export const UNREACHABLE = `${PREFIX}unreachable`;

export const conditionOf = (node: Node, type: string): NodeCondition | undefined =>
  node.status?.conditions?.find((condition) => condition.type === type);

/** The conditions of a node that has not been heard of for too long; undefined when they say so already. */
export function silentConditions(node: Node, now: Instant): readonly NodeCondition[] | undefined {
  const present = node.status?.conditions ?? [];
  const at = timestamp(now);
  let changed = false;
  const conditions = [...present];
  for (const type of ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]) {
    const index = conditions.findIndex((condition) => condition.type === type);
    const before = conditions[index];
    if (before === undefined) {
      changed = true;
      conditions.push({
        type,
        status: "Unknown",
        reason: "NodeStatusNeverUpdated",
        message: "Kubelet never posted node status.",
        lastHeartbeatTime: node.metadata.creationTimestamp,
        lastTransitionTime: at,
      });
    } else if (before.status !== "Unknown") {
      changed = true;
      conditions[index] = {
        ...before,
        status: "Unknown",
        reason: "NodeStatusUnknown",
        message: "Kubelet stopped posting node status.",
        lastTransitionTime: at,
      };
    }
  }
  return changed ? conditions : undefined;
}

const CONDITION_TAINTS: readonly (readonly [type: string, status: string, key: string])[] = [
  ["Ready", "False", NOT_READY],
  ["Ready", "Unknown", UNREACHABLE],
  ["MemoryPressure", "True", `${PREFIX}memory-pressure`],
  ["DiskPressure", "True", `${PREFIX}disk-pressure`],
  ["NetworkUnavailable", "True", `${PREFIX}network-unavailable`],
  ["PIDPressure", "True", `${PREFIX}pid-pressure`],
];
const OWN_NO_SCHEDULE: ReadonlySet<string> = new Set([
  ...CONDITION_TAINTS.map(([, , key]) => key),
  `${PREFIX}unschedulable`,
]);

/**
 * The taints that follow from the node's conditions. NoSchedule ones always; the NoExecute one only with `mayEvict`
 * (it drives pods away), and one that is there stays until the node's state changes, or no node is left that is ready.
 */
export function taintsFor(node: Node, mayEvict: boolean, now: Instant, areAllDown = false): readonly Taint[] {
  const present = node.spec?.taints ?? [];
  const keep = present.filter(
    (taint) =>
      !(taint.effect === "NoSchedule" && OWN_NO_SCHEDULE.has(taint.key)) &&
      !(taint.effect === "NoExecute" && (taint.key === NOT_READY || taint.key === UNREACHABLE)),
  );
  const wanted: Taint[] = [...keep];
  const add = (key: string, effect: string): void => {
    const before = present.find((taint) => taint.key === key && taint.effect === effect);
    wanted.push(before ?? { key, effect, timeAdded: timestamp(now) });
  };
  for (const [type, status, key] of CONDITION_TAINTS)
    if (conditionOf(node, type)?.status === status) add(key, "NoSchedule");
  if (node.spec?.unschedulable === true) add(`${PREFIX}unschedulable`, "NoSchedule");
  const key = unreadyKey(node);
  const isThere = present.some((taint) => taint.key === key && taint.effect === "NoExecute");
  if (key !== undefined && (mayEvict || (isThere && !areAllDown))) add(key, "NoExecute");
  return wanted;
}

/** The key of the taint that drives pods away; undefined: the node is ready, or has not said anything yet. */
export function unreadyKey(node: Node): string | undefined {
  const status = conditionOf(node, "Ready")?.status;
  return status === "False" ? NOT_READY : status === "Unknown" ? UNREACHABLE : undefined;
}

/** Same taints whatever their order and age. */
export function sameTaints(a: readonly Taint[], b: readonly Taint[]): boolean {
  const key = (taint: Taint): string => `${taint.key}=${taint.value ?? ""}:${taint.effect}`;
  return a.length === b.length && new Set([...a, ...b].map(key)).size === new Set(a.map(key)).size;
}

export type ZoneState = "Normal" | "PartialDisruption" | "FullDisruption";

/** How bad it is in one zone. */
export function zoneState(ready: number, notReady: number, threshold: number): ZoneState {
  if (ready === 0 && notReady > 0) return "FullDisruption";
  if (notReady > 2 && notReady / (notReady + ready) >= threshold) return "PartialDisruption";
  return "Normal";
}

/** How many nodes of a zone are ready, and how many are not. */
export interface ZoneCount {
  ready: number;
  notReady: number;
}

/** Counts the nodes of each zone, but for those whose label says that they come and go as they like. */
export function countZones(nodes: readonly Node[]): ReadonlyMap<string, ZoneCount> {
  const zones = new Map<string, ZoneCount>();
  for (const node of nodes) {
    if (Object.hasOwn(node.metadata.labels ?? {}, EXCLUDED)) continue;
    const zone = zones.get(zoneOf(node)) ?? { ready: 0, notReady: 0 };
    if (unreadyKey(node) === undefined) zone.ready++;
    else zone.notReady++;
    zones.set(zoneOf(node), zone);
  }
  return zones;
}

const EXCLUDED = `${PREFIX}exclude-disruption`;

/** Former labels follow today's. */
const FORMER_LABELS: readonly (readonly [today: string, former: string])[] = [
  ["kubernetes.io/os", "beta.kubernetes.io/os"],
  ["kubernetes.io/arch", "beta.kubernetes.io/arch"],
];

/** Labels that the node lacks or has with a former value; undefined: none. */
export function formerLabels({ metadata: { labels = {} } }: Node): Readonly<Record<string, string>> | undefined {
  const wanted: Record<string, string> = {};
  for (const [today, former] of FORMER_LABELS) {
    const value = labels[today];
    if (value !== undefined && labels[former] !== value) wanted[former] = value;
  }
  return Object.keys(wanted).length === 0 ? undefined : wanted;
}

/** Nodes of one failure domain fail together. */
export function zoneOf(node: Node): string {
  const { labels } = node.metadata;
  return `${labels?.["topology.kubernetes.io/region"] ?? ""}:\0:${labels?.["topology.kubernetes.io/zone"] ?? ""}`;
}

/** A zone as metrics name it; the only one of a cluster without zones has no name. */
export const zoneLabel = (zone: string): string => (zone === ":\0:" ? "" : zone.replace("\0", ""));
