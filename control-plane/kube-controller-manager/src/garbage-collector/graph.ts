import { apiVersionOf, type KubeObject } from "@coracle/api";
import type { OwnerReference } from "@coracle/api/meta/v1";
import type { DiscoveredResource } from "../discovery/resources.ts";

export const FOREGROUND = "foregroundDeletion";
export const ORPHAN = "orphan";

/** What the collector knows of one object; metadata only. */
export interface GraphNode {
  readonly type: DiscoveredResource;
  readonly uid: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly resourceVersion: string | undefined;
  readonly owners: readonly OwnerReference[];
  readonly isBeingDeleted: boolean;
  readonly finalizers: readonly string[];
}

/** An object as the graph keeps it. */
export function graphNode(type: DiscoveredResource, { metadata }: KubeObject): GraphNode {
  return {
    type,
    uid: metadata.uid ?? "",
    namespace: metadata.namespace,
    name: metadata.name ?? "",
    resourceVersion: metadata.resourceVersion,
    owners: metadata.ownerReferences ?? NONE,
    isBeingDeleted: metadata.deletionTimestamp !== undefined,
    finalizers: metadata.finalizers ?? NONE,
  };
}
const NONE: readonly never[] = [];

/** It goes only after the dependents that block it. */
export const isWaitingForDependents = (node: GraphNode): boolean =>
  node.isBeingDeleted && node.finalizers.includes(FOREGROUND);

/** Its dependents are to be let go before it goes. */
export const isOrphaning = (node: GraphNode): boolean => node.isBeingDeleted && node.finalizers.includes(ORPHAN);

/** What is to be done about one object. */
export type Verdict =
  | { readonly action: "none" }
  /** Ask the server whether these owners exist, then decide again. */
  | { readonly action: "ask"; readonly owners: readonly OwnerReference[] }
  | { readonly action: "removeOwners"; readonly uids: readonly string[] }
  | { readonly action: "delete"; readonly policy: "Background" | "Foreground" | "Orphan" }
  | { readonly action: "removeFinalizer"; readonly finalizer: string }
  /** It may be one of a circle in which each waits for the next: it has to stop blocking its owners. */
  | { readonly action: "unblock" }
  /** Dependents that must go first. */
  | { readonly action: "collectDependents"; readonly uids: readonly string[] };

/** What the server said of an owner that was asked for. */
export type Answer = "solid" | "waiting";

/** Owners that are known not to exist; old entries make room, at worst the server is asked again. */
const MAX_ABSENT = 5000;

/** Who owns whom, over all objects the server can list. Decides; touches nothing. */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();
  /** By what references say of them: with another name or kind the same uid may be there. */
  readonly #absent = new Set<string>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): readonly GraphNode[] {
    const nodes: GraphNode[] = [];
    for (const dependent of this.#dependents.get(uid) ?? NONE) {
      const node = this.#nodes.get(dependent);
      if (node !== undefined) nodes.push(node);
    }
    return nodes;
  }

  /** Puts the present state in; returns the uids that are worth a look. */
  upsert(node: GraphNode): readonly string[] {
    const old = this.#nodes.get(node.uid);
    this.#nodes.set(node.uid, node);
    this.#absent.delete(coordinatesOf(referenceTo(node), node.namespace));
    const look: string[] = [];
    if (old !== undefined) {
      for (const owner of old.owners) {
        const kept = node.owners.find((each) => each.uid === owner.uid);
        if (kept === undefined) this.#unlink(owner.uid, node.uid);
        // An owner that waits may now have one dependent less that blocks it.
        if (kept === undefined || (owner.blockOwnerDeletion === true && kept.blockOwnerDeletion !== true))
          if (this.#isWaiting(owner.uid)) look.push(owner.uid);
      }
    }
    for (const owner of node.owners) {
      const known = this.#dependents.get(owner.uid);
      if (known === undefined) this.#dependents.set(owner.uid, new Set([node.uid]));
      else known.add(node.uid);
      const ownerNode = this.#nodes.get(owner.uid);
      if (ownerNode === undefined || ownerNode.isBeingDeleted || !isMeant(ownerNode, owner, node)) look.push(node.uid);
    }
    if (isWaitingForDependents(node)) look.push(node.uid, ...this.dependentsOf(node.uid).map((each) => each.uid));
    if (isOrphaning(node)) look.push(node.uid);
    return look;
  }

  /** The object is gone; returns the uids that are worth a look. */
  remove(uid: string): readonly string[] {
    const node = this.#nodes.get(uid);
    if (node === undefined) return NONE;
    this.#nodes.delete(uid);
    this.#markAbsent(coordinatesOf(referenceTo(node), node.namespace));
    const look = [...(this.#dependents.get(uid) ?? NONE)];
    for (const owner of node.owners) {
      this.#unlink(owner.uid, uid);
      if (this.#isWaiting(owner.uid)) look.push(owner.uid);
    }
    return look;
  }

  /** The server has nothing of this kind, name and uid where `dependent` may have its owners. */
  markAbsent(owner: OwnerReference, dependent: GraphNode, isNamespaced: boolean): void {
    this.#markAbsent(coordinatesOf(owner, isNamespaced ? dependent.namespace : undefined));
  }

  #markAbsent(coordinates: string): void {
    this.#absent.add(coordinates);
    if (this.#absent.size > MAX_ABSENT) for (const oldest of this.#absent) return void this.#absent.delete(oldest);
  }

  /** Owners that exist, but in another namespace. */
  outOfReach(node: GraphNode): readonly OwnerReference[] {
    return node.owners.filter(({ uid }) => {
      const owner = this.#nodes.get(uid);
      return owner !== undefined && !isReachable(owner, node);
    });
  }

  /** All nodes of one resource, for when it is no longer served. */
  ofType(isIt: (type: DiscoveredResource) => boolean): readonly string[] {
    return [...this.#nodes.values()].filter((node) => isIt(node.type)).map((node) => node.uid);
  }

  #isAbsent(owner: OwnerReference, dependent: GraphNode): boolean {
    return (
      this.#absent.has(coordinatesOf(owner, undefined)) || this.#absent.has(coordinatesOf(owner, dependent.namespace))
    );
  }

  /** What is to be done about an object. `answers`: what the server said when it was asked before. */
  decide(uid: string, answers: ReadonlyMap<OwnerReference, Answer> = new Map()): Verdict {
    const node = this.#nodes.get(uid);
    if (node === undefined) return { action: "none" };
    if (isOrphaning(node)) return { action: "none" }; // handled by whoever lets the dependents go
    if (isWaitingForDependents(node)) return this.#decideWaiting(node);
    if (node.isBeingDeleted || node.owners.length === 0) return { action: "none" };

    const unknown: OwnerReference[] = [];
    const dangling: OwnerReference[] = [];
    const waiting: OwnerReference[] = [];
    let solid = 0;
    for (const owner of node.owners) {
      const ownerNode = this.#nodes.get(owner.uid);
      if (ownerNode !== undefined && isMeant(ownerNode, owner, node)) {
        if (isWaitingForDependents(ownerNode)) waiting.push(owner);
        else solid++;
      } else if (this.#isAbsent(owner, node)) dangling.push(owner);
      else if (answers.get(owner) === "solid") solid++;
      else if (answers.get(owner) === "waiting") waiting.push(owner);
      else unknown.push(owner);
    }
    if (unknown.length > 0) return { action: "ask", owners: unknown };
    if (solid > 0) {
      const uids = [...dangling, ...waiting].map((owner) => owner.uid);
      return uids.length === 0 ? { action: "none" } : { action: "removeOwners", uids };
    }
    const dependents = this.dependentsOf(uid);
    if (waiting.length > 0 && dependents.length > 0) {
      const isBlocking = node.owners.some((owner) => owner.blockOwnerDeletion === true);
      if (isBlocking && dependents.some(isWaitingForDependents)) return { action: "unblock" };
      return { action: "delete", policy: "Foreground" };
    }
    if (node.finalizers.includes(ORPHAN)) return { action: "delete", policy: "Orphan" };
    return { action: "delete", policy: node.finalizers.includes(FOREGROUND) ? "Foreground" : "Background" };
  }

  #decideWaiting(node: GraphNode): Verdict {
    const blocking = this.dependentsOf(node.uid).filter((dependent) =>
      dependent.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion === true),
    );
    if (blocking.length === 0) return { action: "removeFinalizer", finalizer: FOREGROUND };
    const uids = blocking.filter((dependent) => !dependent.isBeingDeleted).map((dependent) => dependent.uid);
    return uids.length === 0 ? { action: "none" } : { action: "collectDependents", uids };
  }

  #isWaiting(uid: string): boolean {
    const node = this.#nodes.get(uid);
    return node !== undefined && isWaitingForDependents(node);
  }

  #unlink(owner: string, dependent: string): void {
    const known = this.#dependents.get(owner);
    if (known?.delete(dependent) === true && known.size === 0) this.#dependents.delete(owner);
  }
}

const referenceTo = ({ type, name, uid }: GraphNode): OwnerReference => ({
  apiVersion: apiVersionOf(type),
  kind: type.kind,
  name,
  uid,
});

/** All that a reference says of where its owner is. */
const coordinatesOf = ({ apiVersion, kind, name, uid }: OwnerReference, namespace = ""): string =>
  [apiVersion, kind, namespace, name, uid].join("\n");

/** The reference is to this owner in all that it says, and the owner can own the dependent. */
function isMeant(owner: GraphNode, reference: OwnerReference, dependent: GraphNode): boolean {
  const { kind, name } = reference;
  const isSame = kind === owner.type.kind && name === owner.name && reference.apiVersion === apiVersionOf(owner.type);
  return isSame && isReachable(owner, dependent);
}

/** An owner in another namespace is no owner. */
function isReachable(owner: GraphNode, dependent: GraphNode): boolean {
  return !owner.type.namespaced || owner.namespace === dependent.namespace;
}
