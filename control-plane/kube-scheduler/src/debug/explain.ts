import type { Pod } from "@coracle/api/core/v1";
import { refusalBeside } from "../cycle/decision.ts";
import { firstRefusal, prepareFilters, type Refusal } from "../framework/filtering.ts";
import type { CycleState, Snapshot } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import type { NodeState } from "../state/node-state.ts";

/** What one plugin thinks of a node that fits. */
export interface PluginScore {
  /** 0 to 100. */
  readonly score: number;
  readonly weight: number;
}

/** What the plugins say to one node. */
export interface NodeExplanation {
  readonly node: string;
  /** The first plugin that does not want the pod there, and why; absent: it fits. */
  readonly refusedBy?: string;
  readonly reasons?: readonly string[];
  /** Whether it could fit if other pods left. */
  readonly mayMakeRoom?: boolean;
  /** By plugin; only of nodes that fit. */
  readonly scores?: Readonly<Record<string, PluginScore>>;
  /** Scores by their weights. */
  readonly total?: number;
}

/** Why a pod goes where it goes, or nowhere. */
export interface Explanation {
  readonly pod: string;
  readonly schedulerName: string;
  /** Where it is placed. */
  readonly nodeName?: string;
  /** Keeps it out of the queue. */
  readonly gate?: { readonly plugin: string; readonly reason: string };
  /** The best first, then those that do not fit. */
  readonly nodes: readonly NodeExplanation[];
}

/** Asks every plugin about every node, one by one: what a decision leaves out to be fast. Changes nothing. */
export function explainPod(
  pod: Pod,
  { schedulerName, plugins }: Pick<Profile, "schedulerName" | "plugins">,
  snapshot: Snapshot,
): Explanation {
  const { namespace, name } = pod.metadata;
  const nodeName = pod.spec.nodeName ?? "";
  const waiting: Pod = { ...pod, spec: { ...pod.spec, nodeName: undefined } };
  const explanation = {
    pod: `${namespace}/${name}`,
    schedulerName,
    ...(nodeName === "" ? {} : { nodeName }),
  };
  for (const { plugin } of plugins) {
    const reason = nodeName === "" ? plugin.preEnqueue?.(waiting) : undefined;
    if (reason !== undefined) return { ...explanation, gate: { plugin: plugin.name, reason }, nodes: [] };
  }
  const state: CycleState = new Map();
  const { filters, rejection, only, narrowedBy } = prepareFilters(plugins, state, waiting, snapshot);
  const unwanted = (node: NodeState): Refusal | undefined => {
    if (rejection !== undefined) return rejection;
    if (only?.has(node.name) === false) {
      const names = [...narrowedBy].sort();
      return {
        plugin: names[0] ?? "",
        unfit: { reasons: [`node(s) didn't satisfy plugin(s) [${names.join(" ")}]`], isFinal: true },
      };
    }
    try {
      return refusalBeside(plugins, waiting, node, snapshot) ?? firstRefusal(filters, state, waiting, node);
    } catch (error) {
      // It would end the search: no node is chosen at all.
      return { plugin: "", unfit: { reasons: [(error as Error).message], isFinal: true } };
    }
  };
  const fitting: NodeState[] = [];
  const refused: NodeExplanation[] = [];
  for (const node of snapshot.nodes()) {
    const refusal = unwanted(node);
    if (refusal === undefined) fitting.push(node);
    else {
      const { plugin, unfit } = refusal;
      refused.push({ node: node.name, refusedBy: plugin, reasons: unfit.reasons, mayMakeRoom: !unfit.isFinal });
    }
  }
  const nodes = scored(waiting, { schedulerName, plugins }, state, fitting, snapshot);
  return { ...explanation, nodes: [...nodes, ...refused] };
}

function scored(
  pod: Pod,
  { plugins }: Pick<Profile, "plugins" | "schedulerName">,
  state: CycleState,
  nodes: readonly NodeState[],
  snapshot: Snapshot,
): NodeExplanation[] {
  const byNode = nodes.map((node) => ({ node: node.name, scores: {} as Record<string, PluginScore>, total: 0 }));
  for (const { plugin, weight } of plugins) {
    if (plugin.score === undefined || plugin.preScore?.(state, pod, nodes, snapshot)?.skip === true) continue;
    const scores = nodes.map((node) => plugin.score?.(state, pod, node) ?? 0);
    plugin.normalize?.(state, pod, scores, nodes);
    for (const [i, entry] of byNode.entries()) {
      const score = scores[i] ?? 0;
      entry.scores[plugin.name] = { score, weight };
      entry.total += score * weight;
    }
  }
  return byNode.sort((a, b) => b.total - a.total);
}

/** For people: a line a node, the best first. */
export function explanationText({ pod, schedulerName, nodeName, gate, nodes }: Explanation): string {
  const lines = [`pod ${pod}, scheduler ${schedulerName}, ${nodeName === undefined ? "waiting" : `on ${nodeName}`}`];
  if (gate !== undefined) lines.push(`held at the gate by ${gate.plugin}: ${gate.reason}`);
  const fitting = nodes.filter(({ refusedBy }) => refusedBy === undefined).length;
  lines.push(`${fitting}/${nodes.length} nodes fit`);
  for (const { node, refusedBy, reasons = [], scores = {}, total, mayMakeRoom } of nodes) {
    if (refusedBy === undefined) {
      const parts = Object.entries(scores).map(([plugin, { score, weight }]) => `${plugin} ${score}×${weight}`);
      lines.push(`${node}  fits, ${total}${parts.length === 0 ? "" : ` = ${parts.join(" + ")}`}`);
    } else {
      lines.push(
        `${node}  no: ${refusedBy}: ${reasons.join(", ")}${mayMakeRoom === true ? "" : " (preemption would not help)"}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
