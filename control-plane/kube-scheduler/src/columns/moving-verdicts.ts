import type { ClusterState } from "../state/cluster-state.ts";
import type { Effect, MovingPart } from "./column-plugin.ts";
import type { PlacedPart, OrderedRefusal } from "./node-verdicts.ts";
import type { PodGroup } from "./pod-groups.ts";

const NO_EFFECTS: readonly Effect[] = [];

/** For one class of pods: what other pods mean for it. Catching up costs work for the pods that came and went. */
export class MovingVerdicts {
  readonly parts: readonly PlacedPart<MovingPart>[];
  readonly #state: ClusterState;
  readonly #seesAllPods: boolean;
  readonly #effects = new Map<PodGroup, readonly Effect[]>();
  #seen = -1;
  #staticVersion = -1;
  #rulesVersion = -1;

  constructor(state: ClusterState, parts: readonly PlacedPart<MovingPart>[]) {
    this.#state = state;
    this.parts = parts;
    this.#seesAllPods = parts.some(({ part }) => part.seesAllPods);
  }

  isIdle(): boolean {
    return this.parts.every(({ part }) => part.isIdle());
  }

  catchUp(): void {
    const { groups, table } = this.#state;
    const isSameWorld = this.#staticVersion === table.staticVersion && this.#rulesVersion === groups.rulesVersion;
    if (this.#seen < 0 || !isSameWorld || !groups.remembers(this.#seen)) this.#rebuild();
    else {
      for (let at = this.#seen; at < groups.version; at++) {
        const group = groups.groupAt(at);
        if (group === undefined || (!this.#seesAllPods && !group.hasTerms)) continue;
        const slot = groups.slotAt(at);
        for (const { table: domains, weight } of this.#effectsOf(group)) {
          if (slot >= 0) domains.add(slot, weight);
          else domains.add(~slot, -weight);
        }
      }
    }
    this.#seen = groups.version;
    this.#staticVersion = table.staticVersion;
    this.#rulesVersion = groups.rulesVersion;
  }

  /** The first part that does not want the pod there. */
  refusalAt(slot: number): OrderedRefusal | undefined {
    for (const { part, plugin, order } of this.parts) {
      const unfit = part.isIdle() ? undefined : part.refusalAt(slot);
      if (unfit !== undefined) return { unfit, plugin, order };
    }
    return undefined;
  }

  /** Leaves only fitting nodes at the front of the list, and says how many. */
  narrow(slots: Int32Array, count: number): number {
    let left = count;
    for (const { part } of this.parts) if (part.narrow !== undefined && !part.isIdle()) left = part.narrow(slots, left);
    return left;
  }

  addScores(slots: Int32Array, count: number, totals: Float64Array): void {
    for (const { part, weight } of this.parts)
      if (weight !== 0 && !part.isIdle()) part.addScores(slots, count, weight, totals);
  }

  #rebuild(): void {
    const { groups } = this.#state;
    this.#effects.clear();
    for (const { part } of this.parts) part.reset();
    for (const group of this.#seesAllPods ? groups.all : groups.withTerms) {
      for (const { table, weight } of this.#effectsOf(group))
        for (const [slot, count] of group.nodes) table.add(slot, weight * count);
    }
  }

  #effectsOf(group: PodGroup): readonly Effect[] {
    let effects = this.#effects.get(group);
    if (effects === undefined) {
      const found = this.parts.flatMap(({ part }) => part.effectsOf(group));
      effects = found.length === 0 ? NO_EFFECTS : found;
      // Groups that are gone are not told of: forgotten together with the others now and then.
      if (this.#effects.size > 2 * this.#state.groups.size + 1_000) this.#effects.clear();
      this.#effects.set(group, effects);
    }
    return effects;
  }
}
