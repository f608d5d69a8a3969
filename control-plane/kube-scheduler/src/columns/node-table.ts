import type { NodeState } from "../state/node-state.ts";
import type { PodFacts } from "../state/pod-facts.ts";
import { ImageIndex } from "./image-index.ts";
import { LabelColumn } from "./label-column.ts";

/** One resource over all nodes. Arrays are replaced when the table grows: not to be kept. */
export interface ResourceColumn {
  readonly name: string;
  allocatable: Float64Array;
  requested: Float64Array;
  /** As `requested`, with defaults for pods that request nothing. */
  scored: Float64Array;
}

const FIRST_CAPACITY = 64;
const LOG_SIZE = 1 << 16;
/** More columns than these are of names that pods made up, and more values than these of nodes that are gone. */
const MAX_COLUMNS = 1_000;
const MAX_VALUES = 1_000;

/**
 * Nodes by dense numbers, and what is looked at most in columns over these numbers. A log of changed nodes lets
 * readers catch up with little work.
 */
export class NodeTable {
  readonly images = new ImageIndex();
  readonly #states: (NodeState | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #resources = new Map<string, ResourceColumn>();
  readonly #labels = new Map<string, LabelColumn>();
  #capacity = FIRST_CAPACITY;
  #podCount = new Int32Array(FIRST_CAPACITY);
  #isAlive = new Uint8Array(FIRST_CAPACITY);
  #aliveCount = 0;
  readonly #log = new Int32Array(LOG_SIZE);
  #version = 0;
  #staticVersion = 0;
  #columnsVersion = 0;

  /** Numbers are below that. */
  get size(): number {
    return this.#states.length;
  }

  /** Length of every column. */
  get capacity(): number {
    return this.#capacity;
  }

  /** How many nodes have an object. */
  get aliveCount(): number {
    return this.#aliveCount;
  }

  /** Pods by node number. */
  get podCount(): Int32Array {
    return this.#podCount;
  }

  /** Counts changes of any kind. */
  get version(): number {
    return this.#version;
  }

  /** Counts changes of node objects (not of what runs there). */
  get staticVersion(): number {
    return this.#staticVersion;
  }

  /** Changes when all columns are others than before: those that somebody holds are kept up to date no more. */
  get columnsVersion(): number {
    return this.#columnsVersion;
  }

  /** How many there are. */
  get columnCount(): number {
    return this.#resources.size + this.#labels.size;
  }

  /** Drops all columns if they have become too many or too long for what nodes have: each is read anew when asked for. */
  dropOutgrown(): void {
    let isOutgrown = this.columnCount > MAX_COLUMNS;
    for (const { valueCount } of this.#labels.values())
      if (valueCount > MAX_VALUES && valueCount > 4 * this.#aliveCount) isOutgrown = true;
    if (!isOutgrown) return;
    this.#resources.clear();
    this.#labels.clear();
    this.#columnsVersion++;
  }

  isAlive(slot: number): boolean {
    return this.#isAlive[slot] === 1;
  }

  state(slot: number): NodeState | undefined {
    return this.#states[slot];
  }

  resource(name: string): ResourceColumn {
    let column = this.#resources.get(name);
    if (column === undefined) {
      const make = (): Float64Array => new Float64Array(this.#capacity);
      column = { name, allocatable: make(), requested: make(), scored: make() };
      this.#resources.set(name, column);
      for (const [slot, state] of this.#states.entries()) {
        if (state === undefined) continue;
        column.allocatable[slot] = state.allocatable.get(name) ?? 0;
        column.requested[slot] = state.requested(name);
        column.scored[slot] = state.scored(name);
      }
    }
    return column;
  }

  label(key: string): LabelColumn {
    let column = this.#labels.get(key);
    if (column === undefined) {
      column = new LabelColumn(key, this.#capacity);
      this.#labels.set(key, column);
      for (const [slot, state] of this.#states.entries()) column.read(slot, state);
    }
    return column;
  }

  /** Gives a node a number. */
  add(state: NodeState): number {
    const slot = this.#free.pop() ?? this.#states.length;
    if (slot >= this.#capacity) this.#grow();
    this.#states[slot] = state;
    return slot;
  }

  /** Takes the number back; no pod may be counted there. */
  remove(slot: number): void {
    this.nodeChanged(slot, undefined);
    this.#states[slot] = undefined;
    this.#free.push(slot);
  }

  /** Reads the node's object again; `state.node` undefined: it is gone. */
  nodeChanged(slot: number, state: NodeState | undefined): void {
    const isAlive = state?.node !== undefined;
    if (isAlive !== this.isAlive(slot)) {
      this.#aliveCount += isAlive ? 1 : -1;
      this.#isAlive[slot] = isAlive ? 1 : 0;
    }
    for (const column of this.#resources.values()) column.allocatable[slot] = state?.allocatable.get(column.name) ?? 0;
    for (const name of state?.allocatable.keys() ?? []) this.resource(name);
    for (const column of this.#labels.values()) column.read(slot, state);
    this.images.read(slot, state?.node?.status?.images);
    this.#staticVersion++;
    this.#note(slot, 1);
  }

  /** Counts a pod (`sign` 1) or takes it out (-1), which the node's state has done already. */
  count(slot: number, facts: PodFacts, sign: 1 | -1): void {
    this.#podCount[slot] = (this.#podCount[slot] ?? 0) + sign;
    const isEmpty = this.#podCount[slot] === 0; // whatever absurd amounts did to the sum is gone
    // Nobody has asked for a column that is not there.
    for (const [name, amount] of facts.requests) {
      const requested = this.#resources.get(name)?.requested;
      if (requested !== undefined) requested[slot] = isEmpty ? 0 : (requested[slot] ?? 0) + sign * amount;
    }
    for (const [name, amount] of facts.scored) {
      const scored = this.#resources.get(name)?.scored;
      if (scored !== undefined) scored[slot] = isEmpty ? 0 : (scored[slot] ?? 0) + sign * amount;
    }
    this.#note(slot, 0);
  }

  /** Something else about the node changed that readers look at. */
  touch(slot: number): void {
    this.#note(slot, 0);
  }

  /** Whether all changes since `version` are still in the log. */
  remembers(version: number): boolean {
    return this.#version - version <= LOG_SIZE;
  }

  /** The node of a change: twice its number, plus one if its object changed. */
  changeAt(version: number): number {
    return this.#log[version & (LOG_SIZE - 1)] ?? 0;
  }

  #note(slot: number, isStatic: 0 | 1): void {
    this.#log[this.#version & (LOG_SIZE - 1)] = slot * 2 + isStatic;
    this.#version++;
  }

  #grow(): void {
    this.#capacity *= 2;
    const grown = (old: Float64Array): Float64Array => {
      const column = new Float64Array(this.#capacity);
      column.set(old);
      return column;
    };
    const podCount = new Int32Array(this.#capacity);
    podCount.set(this.#podCount);
    this.#podCount = podCount;
    const isAlive = new Uint8Array(this.#capacity);
    isAlive.set(this.#isAlive);
    this.#isAlive = isAlive;
    for (const column of this.#resources.values()) {
      column.allocatable = grown(column.allocatable);
      column.requested = grown(column.requested);
      column.scored = grown(column.scored);
    }
    for (const column of this.#labels.values()) column.grow(this.#capacity);
  }
}
