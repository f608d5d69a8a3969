import { explain } from "../framework/filtering.ts";
import type { Unfit } from "../framework/plugin.ts";
import type { PodFacts } from "../state/pod-facts.ts";
import type { NodePart } from "./column-plugin.ts";
import type { NodeTable } from "./node-table.ts";
import { RawScores } from "./raw-scores.ts";
import { ScoreBuckets } from "./score-buckets.ts";

/** A part, and the place and weight of its plugin. */
export interface PlacedPart<Part> {
  readonly part: Part;
  readonly plugin: string;
  /** Place in the profile: of several refusals of a node the first one counts. */
  readonly order: number;
  readonly weight: number;
}

/** What keeps pods out of a cluster: who, and in words. */
export interface Refusals {
  readonly plugins: ReadonlySet<string>;
  readonly message: string;
}

/** Why a node is out, and by which plugin. */
export interface OrderedRefusal {
  readonly unfit: Unfit;
  readonly plugin: string;
  readonly order: number;
}

const GONE = -1;

/** A part whose answers depend on the pods of the node. All of the same shape: the engine finds members at once. */
interface Dynamic {
  readonly placed: PlacedPart<NodePart>;
  readonly order: number;
  readonly weight: number;
  readonly filter: NodePart["filter"];
  readonly filterBeside: NodePart["filterBeside"];
  /** Of those that count as they are. */
  readonly score: NodePart["score"];
}

function dynamicOf(placed: PlacedPart<NodePart>): Dynamic {
  const { part, order, weight } = placed;
  const counts = weight !== 0 && part.normalize === undefined;
  const score = counts ? part.score : undefined;
  return { placed, order, weight, filter: part.filter, filterBeside: part.filterBeside, score };
}

/**
 * For one class of pods: of every node whether it fits and what it scores, as far as that depends on the node alone.
 * Catching up costs work for the nodes that changed, not for all.
 */
export class NodeVerdicts {
  readonly #table: NodeTable;
  /** What pods take that wait for this node and go before those of this class; undefined: nobody waits anywhere. */
  readonly #aheadOn: ((slot: number) => readonly PodFacts[] | undefined) | undefined;
  readonly #statics: readonly PlacedPart<NodePart>[];
  /** In their order. */
  readonly #dynamics: readonly Dynamic[];
  readonly raws: readonly RawScores[];
  readonly #refusals: (OrderedRefusal | undefined)[] = [undefined];
  readonly #ids = new Map<Unfit, number>();
  /** Most often it is the one as before. */
  #lastUnfit: Unfit | undefined;
  #lastId = 0;
  /** How many nodes are out for each refusal. */
  #counts: number[] = [0];
  /** As long as no node has another verdict. */
  #summary: Refusals | undefined;
  /** 0: fits; more: number of the refusal; -1: no such node. */
  verdicts = new Int32Array(0);
  /** Somebody keeps `verdicts` as they are: they are copied before one changes. */
  #isKept = false;
  #staticVerdicts = new Int32Array(0);
  /** Weighted scores that need no normalizing. */
  fixed = new Float64Array(0);
  #staticFixed = new Float64Array(0);
  readonly #buckets: ScoreBuckets | undefined;
  #bucketsAt = -1;
  #seen = -1;
  #partsVersion = -1;

  constructor(
    table: NodeTable,
    parts: readonly PlacedPart<NodePart>[],
    isBucketed: boolean,
    aheadOn: ((slot: number) => readonly PodFacts[] | undefined) | undefined,
  ) {
    this.#table = table;
    this.#aheadOn = aheadOn;
    const byScore = (each: PlacedPart<NodePart>): boolean => each.part.normalize !== undefined;
    this.#statics = parts.filter(({ part }) => part.isStatic);
    this.#dynamics = parts.filter(({ part }) => !part.isStatic).map((each) => dynamicOf(each));
    this.raws = parts
      .filter(byScore)
      .flatMap(({ part, weight }) =>
        part.normalize === undefined || part.score === undefined || weight === 0
          ? []
          : [new RawScores(part.score.bind(part), part.normalize, weight)],
      );
    this.#buckets = isBucketed ? new ScoreBuckets() : undefined;
  }

  get feasibleCount(): number {
    return this.#counts[0] ?? 0;
  }

  refusal(id: number): OrderedRefusal | undefined {
    return this.#refusals[id];
  }

  /** The verdicts, as they stay whatever changes later. */
  keep(): Int32Array {
    this.#isKept = true;
    return this.verdicts;
  }

  /** What keeps pods of the class out, nodes taken together. */
  refusals(): Refusals {
    if (this.#summary !== undefined) return this.#summary;
    const plugins = new Set<string>();
    const reasons = new Map<string, number>();
    for (const [id, refusal] of this.#refusals.entries()) {
      const count = this.#counts[id] ?? 0;
      if (refusal === undefined || count === 0) continue;
      plugins.add(refusal.plugin);
      for (const reason of refusal.unfit.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
    }
    return (this.#summary = { plugins, message: explain(this.#table.aliveCount, reasons) });
  }

  /** By number of refusal: 1 where the node might fit if pods left it. */
  openRefusals(): Uint8Array {
    return Uint8Array.from(this.#refusals, (refusal) => (refusal?.unfit.isFinal === false ? 1 : 0));
  }

  /** Takes in what changed. */
  catchUp(): void {
    const table = this.#table;
    const partsVersion = this.#versionOfParts();
    const isLost = this.#seen < 0 || !table.remembers(this.#seen) || table.version - this.#seen > table.size;
    if (isLost || partsVersion !== this.#partsVersion || table.capacity > this.verdicts.length) {
      this.#rebuild();
    } else {
      for (let at = this.#seen; at < table.version; at++) {
        const change = table.changeAt(at);
        const slot = change >> 1;
        const isStatic = (change & 1) === 1;
        if (isStatic || !this.#isOutAsBefore(slot)) this.#evaluate(slot, isStatic);
      }
    }
    this.#seen = table.version;
    this.#partsVersion = partsVersion;
  }

  /** One of the nodes with the highest total, if no other pods matter. `random` in [0, 1). -1: none fits. */
  best(random: () => number): number {
    const buckets = this.#buckets;
    if (buckets === undefined) throw new Error("a class of pods that others matter to has no totals of its own");
    // The part of a total that stands for all nodes may have changed with the smallest or largest raw score.
    let extremes = 0;
    for (const raw of this.raws) extremes += raw.settle();
    if (extremes !== this.#bucketsAt) {
      this.#bucketsAt = extremes;
      buckets.clear(this.#table.capacity);
      for (let slot = 0; slot < this.#table.size; slot++)
        if (this.verdicts[slot] === 0) buckets.put(slot, this.totalOf(slot));
    }
    return buckets.best(random);
  }

  /** The total of a fitting node. */
  totalOf(slot: number): number {
    let total = this.fixed[slot] ?? 0;
    for (const raw of this.raws) total += raw.normalized(slot);
    return total;
  }

  /** What is against a node if only `ahead` wait for it. */
  refusalAt(slot: number, ahead: readonly PodFacts[] | undefined): OrderedRefusal | undefined {
    let first: OrderedRefusal | undefined;
    for (const each of [...this.#statics, ...this.#dynamics.map(({ placed }) => placed)]) {
      const { part, plugin, order } = each;
      if (first !== undefined && first.order < order) continue;
      const isBeside = ahead !== undefined && !part.isStatic;
      const unfit = isBeside ? part.filterBeside?.(slot, ahead) : part.filter?.(slot);
      if (unfit !== undefined) first = { unfit, plugin, order };
    }
    return first;
  }

  #versionOfParts(): number {
    let version = 0;
    for (const { part } of this.#statics) version += part.version?.() ?? 0;
    for (const {
      placed: { part },
    } of this.#dynamics)
      version += part.version?.() ?? 0;
    return version;
  }

  #rebuild(): void {
    const { capacity, size } = this.#table;
    this.verdicts = new Int32Array(capacity).fill(GONE);
    this.#isKept = false;
    this.#staticVerdicts = new Int32Array(capacity);
    this.fixed = new Float64Array(capacity);
    this.#staticFixed = new Float64Array(capacity);
    this.#counts = this.#counts.fill(0);
    this.#summary = undefined;
    for (const raw of this.raws) raw.clear(capacity);
    this.#buckets?.clear(capacity);
    for (let slot = 0; slot < size; slot++) this.#evaluate(slot, true);
    this.#bucketsAt = -1;
  }

  /** Whether a node whose pods changed is out, and for the same reason still: most are where a pod fits nowhere. */
  #isOutAsBefore(slot: number): boolean {
    const before = this.#refusals[this.verdicts[slot] ?? 0];
    if (before === undefined || this.#aheadOn !== undefined) return false;
    for (let i = 0; i < this.#dynamics.length; i++) {
      const each = this.#dynamics[i];
      if (each === undefined || each.order > before.order) break; // refused without a look at pods
      const unfit = each.filter?.(slot);
      if (unfit !== undefined) return unfit === before.unfit;
      if (each.order === before.order) return false;
    }
    return true;
  }

  #evaluate(slot: number, isStatic: boolean): void {
    const before = this.verdicts[slot] ?? GONE;
    if (!this.#table.isAlive(slot)) {
      this.#settle(slot, GONE);
      return;
    }
    if (isStatic || before === GONE) this.#evaluateStatics(slot);
    let verdict = this.#staticVerdicts[slot] ?? 0;
    const ahead = this.#aheadOn?.(slot);
    const order = verdict === 0 ? Infinity : this.#orderOf(verdict);
    for (let i = 0; i < this.#dynamics.length; i++) {
      const each = this.#dynamics[i];
      if (each === undefined || each.order >= order) break; // what is known comes first
      const unfit = ahead === undefined ? each.filter?.(slot) : each.filterBeside?.(slot, ahead);
      if (unfit === undefined) continue;
      verdict = this.#idOf(unfit, each.placed);
      break;
    }
    if (verdict === 0) {
      let fixed = this.#staticFixed[slot] ?? 0;
      for (let i = 0; i < this.#dynamics.length; i++) {
        const each = this.#dynamics[i];
        if (each?.score !== undefined) fixed += each.weight * each.score(slot);
      }
      this.fixed[slot] = fixed;
    }
    this.#settle(slot, verdict);
  }

  #evaluateStatics(slot: number): void {
    let verdict = 0;
    let fixed = 0;
    for (const each of this.#statics) {
      const { part, weight } = each;
      const unfit = verdict === 0 ? part.filter?.(slot) : undefined;
      if (unfit !== undefined) verdict = this.#idOf(unfit, each);
      if (weight !== 0 && part.normalize === undefined && part.score !== undefined) fixed += weight * part.score(slot);
    }
    // Raw scores are read again when the node counts again.
    const before = this.verdicts[slot] ?? GONE;
    if (before === 0) this.#settle(slot, GONE);
    this.#staticVerdicts[slot] = verdict;
    this.#staticFixed[slot] = fixed;
  }

  #settle(slot: number, verdict: number): void {
    const before = this.verdicts[slot] ?? GONE;
    if (before !== verdict) {
      this.#summary = undefined;
      if (before !== GONE) this.#counts[before] = (this.#counts[before] ?? 0) - 1;
      if (verdict !== GONE) this.#counts[verdict] = (this.#counts[verdict] ?? 0) + 1;
      if (this.#isKept) {
        this.verdicts = this.verdicts.slice();
        this.#isKept = false;
      }
      this.verdicts[slot] = verdict;
      if (before === 0) for (const raw of this.raws) raw.remove(slot);
      if (verdict === 0) for (const raw of this.raws) raw.add(slot);
    }
    if (this.#bucketsAt < 0) return;
    if (verdict === 0) this.#buckets?.put(slot, this.totalOf(slot));
    else if (before === 0) this.#buckets?.take(slot);
  }

  #orderOf(id: number): number {
    return this.#refusals[id]?.order ?? 0;
  }

  #idOf(unfit: Unfit, { plugin, order }: PlacedPart<NodePart>): number {
    if (unfit === this.#lastUnfit) return this.#lastId;
    let id = this.#ids.get(unfit);
    if (id === undefined) {
      id = this.#refusals.push({ unfit, plugin, order }) - 1;
      this.#counts.push(0);
      this.#ids.set(unfit, id);
    }
    this.#lastUnfit = unfit;
    this.#lastId = id;
    return id;
  }
}
