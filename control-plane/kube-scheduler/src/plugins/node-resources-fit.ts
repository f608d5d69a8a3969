import type { Node, Pod } from "@coracle/api/core/v1";
import type { DeviceClass } from "@coracle/api/resource/v1";
import { resourceOfClass } from "../devices/extended-resources.ts";
import type { NodePart } from "../columns/column-plugin.ts";
import type { ResourceColumn } from "../columns/node-table.ts";
import { isPod, type ClusterChange, type CycleState, type Plugin, type Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { PodFacts } from "../state/pod-facts.ts";
import { amountsOf, podRequests, requestsToScore, type ResourceAmounts } from "../state/pod-resources.ts";
import { resourceScorer, type ResourceWeight, type ScoringStrategy } from "./resource-scoring.ts";

const NAME = "NodeResourcesFit";

/** What the configuration may say; absent parts are upstream's defaults. */
export interface NodeResourcesFitArgs {
  /** Extended resources that are not looked at. */
  readonly ignoredResources?: readonly string[] | undefined;
  /** Prefixes (what is before the slash) of such. */
  readonly ignoredResourceGroups?: readonly string[] | undefined;
  readonly scoringStrategy?: ScoringStrategy | undefined;
}

/** Resources that devices stand behind where nodes do not have them otherwise: claims to devices see to those. */
export interface BackedResources {
  classOfResource(name: string): object | undefined;
  /** Changes when `classOfResource` may answer otherwise. */
  classesVersion(): number;
}

/** cpu and memory, as much one as the other. */
export const DEFAULT_RESOURCES: readonly ResourceWeight[] = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

interface Needs {
  /** Amounts above 0 that must be there. */
  readonly requests: ResourceAmounts;
  readonly scored: ResourceAmounts;
}
const needsOf = (state: CycleState): Needs => state.get(NAME) as Needs;

/** Requests must fit into what is left; among nodes that fit, the emptier one is better unless told otherwise. */
export function createNodeResourcesFit(args: NodeResourcesFitArgs = {}, backed?: BackedResources): Plugin {
  const strategy = args.scoringStrategy ?? { type: "LeastAllocated" };
  const resources = strategy.resources ?? DEFAULT_RESOURCES;
  const scorer = resourceScorer(strategy, resources);
  const isIgnored = ignores(args);

  const needed = (all: ResourceAmounts): ResourceAmounts => {
    const needs = new Map<string, number>();
    for (const [name, amount] of all) if (amount > 0 && !isIgnored(name)) needs.set(name, amount);
    return needs;
  };

  return {
    name: NAME,
    events: [
      "node-added",
      "node-allocatable-changed",
      "assigned-pod-deleted",
      "assigned-pod-scaled-down",
      "pod-scaled-down",
      ...(backed === undefined ? [] : (["device-class-changed"] as const)),
    ],
    isHelpful(pod, change) {
      const requests = needed(podRequests(pod));
      return change.event === "device-class-changed"
        ? mayStandBehind(requests, change)
        : mayFitNow(pod, requests, change, backed);
    },
    preFilter(state, pod) {
      state.set(NAME, { requests: needed(podRequests(pod)), scored: requestsToScore(pod) } satisfies Needs);
      return undefined;
    },
    filter(state, _, node) {
      const reasons: string[] = [];
      if (node.podCount + 1 > (node.allocatable.get("pods") ?? 0)) reasons.push("Too many pods");
      let isFinal = false;
      for (const [name, amount] of needsOf(state).requests) {
        const allocatable = node.allocatable.get(name) ?? 0;
        if (amount <= allocatable - node.requested(name)) continue;
        if (allocatable === 0 && backed?.classOfResource(name) !== undefined) continue;
        reasons.push(`Insufficient ${name}`);
        // More than the whole node has: no pod that leaves would help.
        if (amount > allocatable) isFinal = true;
      }
      return reasons.length === 0 ? undefined : { reasons, isFinal };
    },
    score(state, _, node) {
      const { scored } = needsOf(state);
      return scorer(
        (i) => {
          const name = resources[i]?.name ?? "";
          return isLeftOut(name, scored) ? 0 : (node.allocatable.get(name) ?? 0);
        },
        (i) => {
          const name = resources[i]?.name ?? "";
          return node.scored(name) + (scored.get(name) ?? 0);
        },
      );
    },
    columns: {
      nodePart(pod, state) {
        const scored = requestsToScore(pod);
        const columns = resources.map(({ name }) => state.table.resource(name));
        const own = resources.map(({ name }) => scored.get(name) ?? 0);
        const isOut = resources.map(({ name }) => isLeftOut(name, scored));
        let slot = 0;
        const allocatable = (i: number): number => (isOut[i] === true ? 0 : (columns[i]?.allocatable[slot] ?? 0));
        const requested = (i: number): number => (columns[i]?.scored[slot] ?? 0) + (own[i] ?? 0);
        return {
          ...fitPart(needed(podRequests(pod)), state, backed),
          score(at) {
            slot = at;
            return scorer(allocatable, requested);
          },
        };
      },
    },
  };
}

/** Whether a change leaves more of what a pod needs (`requests`). */
function mayFitNow(
  pod: Pod,
  requests: ResourceAmounts,
  { event, old, current }: ClusterChange,
  backed: BackedResources | undefined,
): boolean {
  if (event === "pod-scaled-down") return isPod(pod, current);
  if (event === "assigned-pod-deleted" || current === undefined) return true;
  const names = [...requests.keys()];
  if (event === "assigned-pod-scaled-down") {
    if (old === undefined) return true;
    const [before, now] = [podRequests(old as Pod), podRequests(current as Pod)];
    return names.some((name) => (before.get(name) ?? 0) > (now.get(name) ?? 0));
  }
  const now = amountsOf((current as Node).status?.allocatable);
  // Even the empty node would not do.
  const lacks = (name: string): boolean => {
    const has = now.get(name) ?? 0;
    return (requests.get(name) ?? 0) > has && (has > 0 || backed?.classOfResource(name) === undefined);
  };
  if ((now.get("pods") ?? 0) < 1 || names.some(lacks)) return false;
  if (old === undefined) return true;
  const before = amountsOf((old as Node).status?.allocatable);
  return ["pods", ...names].some((name) => (now.get(name) ?? 0) > (before.get(name) ?? 0));
}

/** Whether a class of devices may stand now behind something that a pod needs. */
function mayStandBehind(requests: ResourceAmounts, { old, current }: ClusterChange): boolean {
  const [before, now] = [old as DeviceClass | undefined, current as DeviceClass | undefined];
  const name = now?.spec.extendedResourceName ?? "";
  if (before === undefined && requests.has(resourceOfClass(now?.metadata.name ?? ""))) return true;
  return (before?.spec.extendedResourceName ?? "") !== name && requests.has(name);
}

/** What lacks on a node. The same lacks are the same object, found without putting texts together. */
class Shortage {
  readonly #all: readonly string[];
  readonly #more: (Shortage | undefined)[] = [];
  /** Pods that leave may help. */
  readonly forNow: Unfit;
  readonly forGood: Unfit;

  /** `all`: whatever may lack. */
  constructor(reasons: readonly string[], all: readonly string[]) {
    this.#all = all;
    this.forNow = { reasons, isFinal: false };
    this.forGood = { reasons, isFinal: true };
  }

  /** Number `which` lacks too. */
  and(which: number): Shortage {
    return (this.#more[which] ??= new Shortage([...this.forNow.reasons, this.#all[which] ?? ""], this.#all));
  }
}

/** The filter over columns. */
function fitPart(requests: ResourceAmounts, { table }: ClusterState, backed: BackedResources | undefined): NodePart {
  const names = [...requests.keys()];
  const amounts = [...requests.values()];
  const columns: readonly ResourceColumn[] = names.map((name) => table.resource(name));
  const pods = table.resource("pods");
  const enough = new Shortage([], ["Too many pods", ...names.map((name) => `Insufficient ${name}`)]);
  const fit = (slot: number, morePods: number, more?: readonly PodFacts[]): Unfit | undefined => {
    let short = enough;
    if ((table.podCount[slot] ?? 0) + morePods + 1 > (pods.allocatable[slot] ?? 0)) short = short.and(0);
    let isFinal = false;
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i];
      if (column === undefined) continue;
      const amount = amounts[i] ?? 0;
      const allocatable = column.allocatable[slot] ?? 0;
      let requested = column.requested[slot] ?? 0;
      if (more !== undefined) for (const facts of more) requested += facts.requests.get(column.name) ?? 0;
      if (amount <= allocatable - requested) continue;
      if (allocatable === 0 && backed?.classOfResource(column.name) !== undefined) continue;
      short = short.and(i + 1);
      if (amount > allocatable) isFinal = true;
    }
    if (short === enough) return undefined;
    return isFinal ? short.forGood : short.forNow;
  };
  return {
    kind: "node",
    isStatic: false,
    filter: (slot) => fit(slot, 0),
    filterBeside: (slot, others) => fit(slot, others.length, others),
    ...(backed === undefined ? {} : { version: () => backed.classesVersion() }),
  };
}

/** Extended resources count for the score only if the pod asks for them. */
function isLeftOut(name: string, requests: ResourceAmounts): boolean {
  return (requests.get(name) ?? 0) === 0 && isScalar(name);
}

/** Neither cpu nor memory nor ephemeral storage: counted by name. */
function isScalar(name: string): boolean {
  return name.includes("/") || name.startsWith("hugepages-") || name.startsWith("attachable-volumes-");
}

function ignores({
  ignoredResources = [],
  ignoredResourceGroups = [],
}: NodeResourcesFitArgs): (name: string) => boolean {
  if (ignoredResources.length === 0 && ignoredResourceGroups.length === 0) return () => false;
  return (name) => {
    if (!name.includes("/") || name.startsWith("kubernetes.io/") || name.startsWith("requests.")) return false;
    return ignoredResources.includes(name) || ignoredResourceGroups.includes(name.split("/")[0] ?? "");
  };
}
