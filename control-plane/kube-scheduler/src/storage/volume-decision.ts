import type { Node, PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm } from "@coracle/api/core/v1";
import type { CSIStorageCapacity, StorageClass } from "@coracle/api/storage/v1";
import { compileLabelSelector, quantityValue } from "@coracle/apimachinery";
import {
  asDriverSees,
  candidatesFor,
  classOfClaim,
  requestOf,
  SELECTED_NODE,
  type Candidates,
} from "@coracle/apimachinery/storage";
import { chooseVolume, compareClaims, isReachable } from "./match-volume.ts";
import { keyOfClaim, type StorageView } from "./storage-view.ts";

const NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind";
const NOT_ENOUGH_SPACE = "node(s) did not have enough free storage";
const VOLUME_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const NO_PROVISIONER = "kubernetes.io/no-provisioner";

/** A volume that is there, for a claim. */
export interface StaticBinding {
  readonly claim: PersistentVolumeClaim;
  readonly volume: PersistentVolume;
}

/** A volume to be made for a claim; `capacity` is where its room was found, if that is known. */
export interface Provision {
  readonly claim: PersistentVolumeClaim;
  readonly capacity: CSIStorageCapacity | undefined;
}

/** What a pod's claims come to on one node: what to bind and what to make, or why not there. */
export type VolumeDecision =
  | { readonly type: "fits"; readonly bindings: readonly StaticBinding[]; readonly provisions: readonly Provision[] }
  | { readonly type: "unfit"; readonly reasons: readonly string[] };

/** The claims of a pod that has no claim left to wait for. */
export class PodClaims {
  readonly #view: StorageView;
  readonly #bound: readonly (PersistentVolume | undefined)[];
  /** Not bound, and to be bound where the pod goes; the smallest first. */
  readonly #delayed: readonly PersistentVolumeClaim[];
  readonly #volumesOf: (className: string) => readonly PersistentVolume[];
  readonly #candidates = new Map<PersistentVolumeClaim, Candidates>();

  constructor(
    view: StorageView,
    bound: readonly (PersistentVolume | undefined)[],
    delayed: readonly PersistentVolumeClaim[],
    volumesOf: (className: string) => readonly PersistentVolume[],
  ) {
    this.#view = view;
    this.#bound = bound;
    this.#delayed = delayed.toSorted(compareClaims);
    this.#volumesOf = volumesOf;
  }

  /** Nothing will have to be bound, wherever the pod goes. */
  get isAllBound(): boolean {
    return this.#delayed.length === 0;
  }

  on(node: Node): VolumeDecision {
    const problem = this.#boundProblem(node);
    const reasons: string[] = problem === undefined ? [] : [problem];
    const bindings: StaticBinding[] = [];
    const provisions: Provision[] = [];
    const refusal = this.#delayed.length === 0 ? undefined : this.#serve(node, bindings, provisions);
    if (refusal !== undefined) reasons.push(refusal);
    // Reasons come in this order, whichever was found first.
    reasons.sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
    return reasons.length > 0 ? { type: "unfit", reasons } : { type: "fits", bindings, provisions };
  }

  #boundProblem(node: Node): string | undefined {
    if (this.#bound.length === 0) return undefined;
    const csiNode = this.#view.csiNode?.(node.metadata.name ?? "");
    for (const volume of this.#bound) {
      if (volume === undefined) return VOLUME_GONE;
      if (!isReachable(asDriverSees(volume, csiNode), node)) return NODE_CONFLICT;
    }
    return undefined;
  }

  #serve(node: Node, bindings: StaticBinding[], provisions: Provision[]): string | undefined {
    const toMake: PersistentVolumeClaim[] = [];
    const taken = new Set<string>();
    for (const claim of this.#delayed) {
      const selected = claim.metadata.annotations?.[SELECTED_NODE];
      if (selected === undefined) continue;
      if (selected !== node.metadata.name) return BIND_CONFLICT;
      toMake.push(claim);
    }
    for (const claim of this.#delayed) {
      if (claim.metadata.annotations?.[SELECTED_NODE] !== undefined) continue;
      const volume = chooseVolume(this.#candidatesFor(claim), node, taken);
      if (volume === undefined) {
        toMake.push(claim);
        continue;
      }
      taken.add(volume.metadata.name ?? "");
      bindings.push({ claim, volume });
    }
    for (const claim of toMake) {
      const provision = this.#provision(claim, node);
      if (typeof provision === "string") return provision;
      provisions.push(provision);
    }
    return undefined;
  }

  #candidatesFor(claim: PersistentVolumeClaim): Candidates {
    let candidates = this.#candidates.get(claim);
    if (candidates === undefined)
      this.#candidates.set(claim, (candidates = candidatesFor(claim, this.#volumesOf(classOfClaim(claim)))));
    return candidates;
  }

  #provision(claim: PersistentVolumeClaim, node: Node): Provision | string {
    const className = classOfClaim(claim);
    if (className === "") return `no class for claim "${keyOfClaim(claim)}"`;
    const storageClass = this.#view.storageClass(className);
    if (storageClass === undefined) return `failed to find storage class "${className}"`;
    const { provisioner, allowedTopologies = [] } = storageClass;
    if (provisioner === "" || provisioner === NO_PROVISIONER) return BIND_CONFLICT;
    if (!isAllowed(allowedTopologies, node)) return BIND_CONFLICT;
    return this.#findRoom(claim, storageClass, node) ?? NOT_ENOUGH_SPACE;
  }

  #findRoom(claim: PersistentVolumeClaim, storageClass: StorageClass, node: Node): Provision | undefined {
    const request = requestOf(claim);
    const driver = this.#view.csiDriver?.(storageClass.provisioner);
    if (request === undefined || driver?.spec.storageCapacity !== true) return { claim, capacity: undefined };
    const bytes = quantityValue(request);
    const capacities = this.#view.capacitiesOfClass?.(storageClass.metadata.name ?? "") ?? [];
    const capacity = capacities.find((each) => (volumeLimit(each) ?? -1) >= bytes && hasAccess(node, each));
    return capacity === undefined ? undefined : { claim, capacity };
  }
}

const ORDER = [NODE_CONFLICT, BIND_CONFLICT, NOT_ENOUGH_SPACE, VOLUME_GONE];

/** The largest volume that can be made there, in bytes; undefined: none. */
export function volumeLimit({ maximumVolumeSize, capacity }: CSIStorageCapacity): number | undefined {
  const limit = maximumVolumeSize ?? capacity;
  return limit === undefined ? undefined : quantityValue(limit);
}

function hasAccess(node: Node, { nodeTopology }: CSIStorageCapacity): boolean {
  return nodeTopology !== undefined && compileLabelSelector(nodeTopology).matches(node.metadata.labels ?? {});
}

/** Whether some term accepts the node; no term at all accepts every node. */
function isAllowed(terms: readonly TopologySelectorTerm[], node: Node): boolean {
  if (terms.length === 0) return true;
  return terms.some(({ matchLabelExpressions = [] }) => {
    if (matchLabelExpressions.length === 0) return false;
    return matchLabelExpressions.every(({ key, values }) => values.includes(node.metadata.labels?.[key] ?? NO_VALUE));
  });
}

/** No label has it. */
const NO_VALUE = "\0";
