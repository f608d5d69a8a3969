import type { KubeObject } from "@coracle/api";
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

/** Owners that are known not to exist; old entries make room, at worst the server is asked again. */
const MAX_ABSENT = 5000;

/** Who owns whom, over all objects the server can list. Decides; touches nothing. */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();
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
    this.#absent.delete(node.uid);
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
      if (ownerNode === undefined || ownerNode.isBeingDeleted || !isReachable(ownerNode, node)) look.push(node.uid);
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
    this.markAbsent(uid);
    const look = [...(this.#dependents.get(uid) ?? NONE)];
    for (const owner of node.owners) {
      this.#unlink(owner.uid, uid);
      if (this.#isWaiting(owner.uid)) look.push(owner.uid);
    }
    return look;
  }

  markAbsent(uid: string): void {
    this.#absent.add(uid);
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

  decide(uid: string): Verdict {
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
      if (ownerNode !== undefined && isReachable(ownerNode, node)) {
        if (isWaitingForDependents(ownerNode)) waiting.push(owner);
        else solid++;
      } else if (ownerNode !== undefined || this.#absent.has(owner.uid)) dangling.push(owner);
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

/** An owner in another namespace is no owner. */
function isReachable(owner: GraphNode, dependent: GraphNode): boolean {
  return !owner.type.namespaced || owner.namespace === dependent.namespace;
}
