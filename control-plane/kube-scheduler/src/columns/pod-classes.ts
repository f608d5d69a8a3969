import type { Pod } from "@coracle/api/core/v1";
import type { PluginEntry } from "../framework/filtering.ts";
import { priorityOf, type Plugin } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import { factsOf, takesKey, type PodFacts } from "../state/pod-facts.ts";
import type { ColumnPlugin } from "./column-plugin.ts";
import { MovingVerdicts } from "./moving-verdicts.ts";
import { NodeVerdicts } from "./node-verdicts.ts";

interface ColumnEntry {
  readonly plugin: Plugin;
  readonly columns: ColumnPlugin;
  readonly order: number;
  readonly weight: number;
}

/** Memory that what is kept for classes may take, and what one node costs in one. */
const MAX_BYTES = 128 * 1024 * 1024;
const BYTES_PER_NODE = 64;
const MAX_CLASSES = 512;
/** Totals up to here are kept in buckets. */
const MAX_BUCKET = 1 << 16;

/** What is kept of classes of pods, for one profile: pods that look alike share it. The longest unused ones go. */
export class PodClasses {
  readonly #state: ClusterState;
  readonly #entries: readonly ColumnEntry[];
  /** Plugins without columns that filter or score, in their order. */
  readonly others: readonly PluginEntry[];
  readonly #isBucketed: boolean;
  readonly #fixed = new Map<string, NodeVerdicts>();
  readonly #moving = new Map<string, MovingVerdicts>();
  #scratch = new Int32Array(0);
  #totals = new Float64Array(0);
  #order = new Int32Array(0);
  #orderOf: unknown;
  #columnsVersion = 0;

  constructor(state: ClusterState, plugins: readonly PluginEntry[]) {
    this.#state = state;
    this.#entries = plugins.flatMap(({ plugin, weight }, order) =>
      plugin.columns === undefined ? [] : [{ plugin, columns: plugin.columns, order, weight }],
    );
    this.others = plugins.filter(
      ({ plugin }) =>
        plugin.columns === undefined &&
        (plugin.filter !== undefined || plugin.preFilter !== undefined || plugin.score !== undefined),
    );
    const weights = this.#entries.map(({ weight }) => weight);
    this.#isBucketed =
      weights.every((weight) => Number.isInteger(weight) && weight >= 0) &&
      weights.reduce((sum, weight) => sum + weight, 0) * 100 < MAX_BUCKET;
  }

  /** Some plugin allows few nodes only. */
  narrows(pod: Pod): boolean {
    return this.#entries.some(({ columns }) => columns.narrows?.(pod) === true);
  }

  /** Weights are such that the best node of a class can be kept at hand. */
  get canRank(): boolean {
    return this.#isBucketed;
  }

  /** What nodes by themselves say to pods like this one. */
  verdictsOf(pod: Pod): NodeVerdicts {
    this.#followColumns();
    const isContested = this.#state.hasNominations;
    const key = isContested ? `${priorityOf(pod)}\u0000${this.keyOf(pod)}` : this.keyOf(pod);
    let verdicts = this.#fixed.get(key);
    if (verdicts === undefined) {
      const parts = this.#entries.flatMap(({ plugin, columns, order, weight }) => {
        const part = columns.nodePart?.(pod, this.#state);
        return part === undefined ? [] : [{ part, plugin: plugin.name, order, weight }];
      });
      const priority = priorityOf(pod);
      const aheadOn = (slot: number): readonly PodFacts[] | undefined => this.#aheadOn(slot, priority);
      verdicts = new NodeVerdicts(this.#state.table, parts, this.#isBucketed, isContested ? aheadOn : undefined);
      this.#makeRoom(this.#fixed);
    } else this.#fixed.delete(key);
    this.#fixed.set(key, verdicts);
    verdicts.catchUp();
    return verdicts;
  }

  /** What other pods mean to pods like this one; undefined: nothing. */
  movingOf(pod: Pod): MovingVerdicts | undefined {
    const asked = this.#entries.filter(({ columns }) => columns.isMoving?.(pod, this.#state) === true);
    if (asked.length === 0) return undefined;
    const { namespace = "", labels = {} } = pod.metadata;
    const { affinity, topologySpreadConstraints } = pod.spec;
    let key = `${asked.length}${namespace}`;
    for (const { plugin } of asked) key += `\u0005${plugin.name}`;
    for (const { columns } of asked) if (columns.key !== undefined) key += `\u0004${columns.key(pod)}`;
    for (const name in labels) key += `\u0000${name}=${labels[name]}`;
    if (affinity !== undefined) key += `\u0001${JSON.stringify(affinity)}`;
    if (topologySpreadConstraints !== undefined)
      key += `\u0002${JSON.stringify(topologySpreadConstraints)}\u0003${whereKey(pod)}`;
    else if (asked.some(({ columns }) => columns.key !== undefined)) key += `\u0003${whereKey(pod)}`;
    let moving = this.#moving.get(key);
    if (moving === undefined) {
      const parts = asked.flatMap(({ plugin, columns, order, weight }) => {
        const part = columns.movingPart?.(pod, this.#state);
        return part === undefined ? [] : [{ part, plugin: plugin.name, order, weight }];
      });
      moving = new MovingVerdicts(this.#state, parts);
      this.#makeRoom(this.#moving);
    } else this.#moving.delete(key);
    this.#moving.set(key, moving);
    moving.catchUp();
    return moving.isIdle() ? undefined : moving;
  }

  /** Other pods, or those that wait for nodes, may have a say about where this one goes. */
  mindsOthers(pod: Pod): boolean {
    return looksAround(pod) || this.#state.hasWaryNominations || this.movingOf(pod) !== undefined;
  }

  /** Room for a list of nodes and their totals: used by one decision at a time. */
  scratch(): { readonly slots: Int32Array; readonly totals: Float64Array } {
    const { capacity } = this.#state.table;
    if (this.#scratch.length < capacity) {
      this.#scratch = new Int32Array(capacity);
      this.#totals = new Float64Array(capacity);
    }
    return { slots: this.#scratch, totals: this.#totals };
  }

  /** Node numbers in the order in which nodes are looked at. */
  order(): Int32Array {
    const nodes = this.#state.nodes();
    if (this.#orderOf !== nodes) {
      this.#order = Int32Array.from(nodes, ({ slot }) => slot);
      this.#orderOf = nodes;
    }
    return this.#order;
  }

  /** What is kept holds columns. */
  #followColumns(): void {
    const { table } = this.#state;
    table.dropOutgrown();
    if (table.columnsVersion === this.#columnsVersion) return;
    this.#columnsVersion = table.columnsVersion;
    this.#fixed.clear();
    this.#moving.clear();
  }

  #aheadOn(slot: number, priority: number): readonly PodFacts[] | undefined {
    const name = this.#state.table.state(slot)?.name;
    const nominated = name === undefined ? [] : this.#state.nominated(name);
    if (nominated.length === 0) return undefined;
    const ahead = nominated.filter((each) => priorityOf(each) >= priority);
    return ahead.length === 0 ? undefined : ahead.map((each) => factsOf(each));
  }

  /** Text that is equal for pods of which nodes by themselves say the same. */
  keyOf(pod: Pod): string {
    let key = `${takesKey(pod)}\u0006${whereKey(pod)}`;
    for (const { image } of pod.spec.containers) key += `\u0001${image ?? ""}`;
    for (const { image } of pod.spec.initContainers ?? []) key += `\u0002${image ?? ""}`;
    return key;
  }

  #makeRoom(kept: Map<string, unknown>): void {
    const most = Math.min(MAX_CLASSES, Math.max(8, MAX_BYTES / (BYTES_PER_NODE * this.#state.table.capacity)));
    while (kept.size >= most) {
      const [oldest] = kept.keys();
      if (oldest === undefined) return;
      kept.delete(oldest);
    }
  }
}

/** What a pod says about nodes. */
function whereKey({ spec }: Pod): string {
  let key = spec.nodeName ?? "";
  if (spec.nodeSelector !== undefined) key += `\u0001${JSON.stringify(spec.nodeSelector)}`;
  if (spec.affinity?.nodeAffinity !== undefined) key += `\u0002${JSON.stringify(spec.affinity.nodeAffinity)}`;
  for (const { key: taint = "", operator = "", value = "", effect = "" } of spec.tolerations ?? [])
    key += `\u0003${taint} ${operator} ${value} ${effect}`;
  return key;
}

/** Whether the pod has rules about other pods: those that wait for nodes count for them. */
export function looksAround({ spec: { affinity, topologySpreadConstraints } }: Pod): boolean {
  return (
    affinity?.podAffinity !== undefined ||
    affinity?.podAntiAffinity !== undefined ||
    topologySpreadConstraints !== undefined
  );
}

/** What is kept for classes of pods, by cluster and profile. */
const classes = new WeakMap<ClusterState, Map<readonly PluginEntry[], PodClasses>>();

/** What is kept for classes of pods of this cluster under this profile. */
export function classesOf(state: ClusterState, plugins: readonly PluginEntry[]): PodClasses {
  let byProfile = classes.get(state);
  if (byProfile === undefined) classes.set(state, (byProfile = new Map()));
  let found = byProfile.get(plugins);
  if (found === undefined) byProfile.set(plugins, (found = new PodClasses(state, plugins)));
  return found;
}
