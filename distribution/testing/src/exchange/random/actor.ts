import type { KubeObject, ResourceType } from "@coracle/api";
import type { ApiClient, ObjectKey } from "@coracle/client";
import type { Random } from "@coracle/base";
import type { SimulatedNode } from "../../control-plane/simulated-node.ts";

/** The cluster that a history is played in. */
export interface Place {
  readonly admin: ApiClient;
  addNode(node: SimulatedNode): Promise<void>;
  silenceNode(name: string): void;
}

/** Who takes a step of a history: with the same seed, in namespaces that look the same, it does the same everywhere. */
export class Actor {
  readonly place: Place;
  readonly namespace: string;
  readonly #random: Random;
  readonly #ordered: ReadonlyMap<string, readonly KubeObject[]>;

  /** `ordered`: what is in the namespace, in an order that does not depend on made-up names. */
  constructor(
    place: Place,
    namespace: string,
    random: Random,
    ordered: ReadonlyMap<string, readonly KubeObject[]> = new Map(),
  ) {
    this.place = place;
    this.namespace = namespace;
    this.#random = random;
    this.#ordered = ordered;
  }

  get admin(): ApiClient {
    return this.place.admin;
  }

  /** In [0, limit). */
  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  chance(share: number): boolean {
    return this.#random.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error("there is nothing to pick from");
    return from[this.below(from.length)] as T;
  }

  /** Those objects of the type that were there when the step began. */
  all<T extends KubeObject>(type: ResourceType<T>, fits: (object: T) => boolean = () => true): readonly T[] {
    return ((this.#ordered.get(type.kind) ?? []) as readonly T[]).filter(fits);
  }

  /** One of them; a step that finds none has nothing to do. */
  one<T extends KubeObject>(type: ResourceType<T>, fits: (object: T) => boolean = () => true): T {
    const all = this.all(type, fits);
    if (all.length === 0) throw new NothingToDo();
    return this.pick(all);
  }

  key(name: string): ObjectKey & { readonly namespace: string } {
    return { namespace: this.namespace, name };
  }

  async create(type: ResourceType<KubeObject>, object: object): Promise<KubeObject> {
    return await this.admin.create(type, object as KubeObject);
  }

  async merge(type: ResourceType<KubeObject>, object: KubeObject, body: object, subresource?: string): Promise<void> {
    await this.admin.patch(type, keyOf(object), "merge", body, { subresource });
  }

  /** By any of the three policies, or by none in particular. */
  async remove(type: ResourceType<KubeObject>, object: KubeObject): Promise<void> {
    const propagationPolicy = this.pick(["Foreground", "Background", "Orphan", undefined]);
    await this.admin.delete(type, keyOf(object), propagationPolicy === undefined ? {} : { propagationPolicy });
  }
}

export const keyOf = ({ metadata: { namespace, name = "" } }: KubeObject): ObjectKey => ({ namespace, name });

/** The step does not apply to what is there. */
export class NothingToDo extends Error {}

export type Step = (actor: Actor) => Promise<void>;

/** A kind of histories: what is there at first, and what may happen to it. */
export interface Family {
  /** Without a change for so long, all is over that a step has caused. */
  readonly quietMs: number;
  /** So long the sides may differ when nothing changes any more; by then what is retried is due. Default: 25 s. */
  readonly patienceMs?: number;
  readonly begin: Step;
  readonly steps: Readonly<Record<string, Step>>;
}
