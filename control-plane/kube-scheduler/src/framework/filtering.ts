import type { Pod } from "@coracle/api/core/v1";
import type { NodeState } from "../state/node-state.ts";
import type { CycleState, Plugin, Snapshot, Unfit } from "./plugin.ts";

/** A plugin of a profile. */
export interface PluginEntry {
  readonly plugin: Plugin;
  /** Multiplies its scores. */
  readonly weight: number;
}

/** Which plugin said no, and why. */
export interface Refusal {
  readonly plugin: string;
  readonly unfit: Unfit;
}

export interface PreparedFilters {
  /** Those with something to say about the pod. */
  readonly filters: readonly Plugin[];
  /** The only nodes worth looking at; undefined: all. */
  readonly only: ReadonlySet<string> | undefined;
  /** Plugins that made `only`. */
  readonly narrowedBy: ReadonlySet<string>;
  /** Not on any node. */
  readonly rejection: Refusal | undefined;
}

/** Runs the plugins' `preFilter`. */
export function prepareFilters(
  plugins: readonly PluginEntry[],
  state: CycleState,
  pod: Pod,
  snapshot: Snapshot,
): PreparedFilters {
  const filters: Plugin[] = [];
  const narrowedBy = new Set<string>();
  let only: Set<string> | undefined;
  for (const { plugin } of plugins) {
    const result = plugin.preFilter?.(state, pod, snapshot);
    if (result?.rejected !== undefined) {
      const rejection = { plugin: plugin.name, unfit: { reasons: result.rejected, isFinal: true } };
      return { filters, only, narrowedBy, rejection };
    }
    if (result?.nodes !== undefined) {
      const { nodes } = result;
      only = new Set(only === undefined ? nodes : [...only].filter((name) => nodes.has(name)));
      narrowedBy.add(plugin.name);
    }
    if (plugin.filter !== undefined && result?.skip !== true) filters.push(plugin);
  }
  return { filters, only, narrowedBy, rejection: undefined };
}

/** The first filter that does not want the pod on the node. */
export function firstRefusal(
  filters: readonly Plugin[],
  state: CycleState,
  pod: Pod,
  node: NodeState,
): Refusal | undefined {
  for (const plugin of filters) {
    const unfit = plugin.filter?.(state, pod, node);
    if (unfit !== undefined) return { plugin: plugin.name, unfit };
  }
  return undefined;
}

/**
 * Answers, as often as it is asked, whether the pod would fit on `node` as that is then: a copy of the snapshot's node
 * of that name, to be changed at will.
 */
export function tryOn(
  plugins: readonly PluginEntry[],
  pod: Pod,
  node: NodeState,
  snapshot: Snapshot,
): () => Refusal | undefined {
  let nodes: readonly NodeState[] | undefined;
  const changed: Snapshot = {
    nodes: () => (nodes ??= snapshot.nodes().map((each) => (each.name === node.name ? node : each))),
    node: (name) => (name === node.name ? node : snapshot.node(name)),
    nominated: (name) => snapshot.nominated(name),
    nominationOf: (each) => snapshot.nominationOf(each),
    namespaceLabels: (name) => snapshot.namespaceLabels(name),
  };
  return () => {
    const state: CycleState = new Map();
    const { filters, rejection } = prepareFilters(plugins, state, pod, changed);
    return rejection ?? firstRefusal(filters, state, pod, node);
  };
}

/** How often each reason was given. */
export function countReasons(all: Iterable<Unfit>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { reasons } of all) for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return counts;
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`: in order of the text. */
export function explain(total: number, counts: ReadonlyMap<string, number>): string {
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${total} nodes are available: ${parts.join(", ")}.`;
}
