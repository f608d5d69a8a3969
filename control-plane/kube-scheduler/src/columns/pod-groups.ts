import type { Pod } from "@coracle/api/core/v1";
import { termsOf, type NamespaceLookup, type PodTerms } from "../framework/affinity-term.ts";

/** Placed pods that look alike to the rules about pods: namespace, labels, terms, whether they are leaving. */
export interface PodGroup {
  readonly id: number;
  readonly key: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isLeaving: boolean;
  /** Has terms of its own about other pods. */
  readonly hasTerms: boolean;
  /** One of them, to compile the terms from. */
  readonly sample: Pod;
  /** How many on which node, by node number. */
  readonly nodes: Map<number, number>;
}

const LOG_SIZE = 1 << 15;
const NO_LABELS: Readonly<Record<string, string>> = {};

/** All placed pods by group, and a log of their coming and going that lets readers catch up. */
export class PodGroups {
  readonly #groups = new Map<string, PodGroup>();
  readonly #withTerms = new Set<PodGroup>();
  readonly #terms = new WeakMap<PodGroup, PodTerms>();
  readonly #namespaces: NamespaceLookup;
  readonly #logGroups: (PodGroup | undefined)[] = [];
  /** Node number, or its complement when a pod went. */
  readonly #logSlots = new Int32Array(LOG_SIZE);
  #ids = 0;
  #version = 0;
  #rulesVersion = 0;

  constructor(namespaces: NamespaceLookup) {
    this.#namespaces = namespaces;
  }

  get version(): number {
    return this.#version;
  }

  /** Changes when terms may mean something else than before. */
  get rulesVersion(): number {
    return this.#rulesVersion;
  }

  get all(): Iterable<PodGroup> {
    return this.#groups.values();
  }

  get size(): number {
    return this.#groups.size;
  }

  /** Groups with terms about other pods. */
  get withTerms(): ReadonlySet<PodGroup> {
    return this.#withTerms;
  }

  termsOf(group: PodGroup): PodTerms {
    let terms = this.#terms.get(group);
    if (terms === undefined) this.#terms.set(group, (terms = termsOf(group.sample, this.#namespaces)));
    return terms;
  }

  /** Labels of namespaces changed. */
  namespacesChanged(): void {
    this.#rulesVersion++;
  }

  /** The group of a pod that is about to be counted. */
  groupOf(pod: Pod): PodGroup {
    const { namespace = "", labels = NO_LABELS, deletionTimestamp } = pod.metadata;
    const { affinity } = pod.spec;
    const hasTerms = affinity?.podAffinity !== undefined || affinity?.podAntiAffinity !== undefined;
    let key = deletionTimestamp === undefined ? namespace : `${namespace}\u0001`;
    for (const name in labels) key += `\u0000${name}=${labels[name]}`;
    if (hasTerms) key += `\u0002${JSON.stringify(affinity.podAffinity)}${JSON.stringify(affinity.podAntiAffinity)}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      const isLeaving = deletionTimestamp !== undefined;
      group = { id: ++this.#ids, key, namespace, labels, isLeaving, hasTerms, sample: pod, nodes: new Map() };
    }
    return group;
  }

  add(group: PodGroup, slot: number): void {
    group.nodes.set(slot, (group.nodes.get(slot) ?? 0) + 1);
    if (!this.#groups.has(group.key)) {
      this.#groups.set(group.key, group);
      if (group.hasTerms) this.#withTerms.add(group);
    }
    this.#note(group, slot);
  }

  remove(group: PodGroup, slot: number): void {
    const count = (group.nodes.get(slot) ?? 0) - 1;
    if (count > 0) group.nodes.set(slot, count);
    else group.nodes.delete(slot);
    if (group.nodes.size === 0) {
      this.#groups.delete(group.key);
      this.#withTerms.delete(group);
    }
    this.#note(group, ~slot);
  }

  /** Whether all changes since `version` are still in the log. */
  remembers(version: number): boolean {
    return this.#version - version <= LOG_SIZE;
  }

  groupAt(version: number): PodGroup | undefined {
    return this.#logGroups[version & (LOG_SIZE - 1)];
  }

  /** Where a pod came, or the complement of where one went. */
  slotAt(version: number): number {
    return this.#logSlots[version & (LOG_SIZE - 1)] ?? 0;
  }

  #note(group: PodGroup, slot: number): void {
    const at = this.#version & (LOG_SIZE - 1);
    this.#logGroups[at] = group;
    this.#logSlots[at] = slot;
    this.#version++;
  }
}
