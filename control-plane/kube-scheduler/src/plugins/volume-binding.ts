import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass } from "@coracle/api/storage/v1";
import { equalJson } from "@coracle/apimachinery";
import { boundTo, claimUsesOf, classOfClaim, foreignClaim, SELECTED_NODE } from "@coracle/apimachinery/storage";
import type { ClusterChange, CycleState, Plugin, Snapshot } from "../framework/plugin.ts";
import { AssumedStorage, bindVolumes, type VolumeWriter } from "../storage/bind-volumes.ts";
import { capacityScore, type UtilizationPoint } from "../storage/capacity-score.ts";
import { isFullyBound, keyOfClaim, usesClaim, type StorageView } from "../storage/storage-view.ts";
import { PodClaims, volumeLimit, type StaticBinding } from "../storage/volume-decision.ts";

export type { StorageView as VolumeLookup } from "../storage/storage-view.ts";

const NAME = "VolumeBinding";
const MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins";
const BIND_TIMEOUT_SECONDS = 600;

/** How volumes are bound. */
export interface VolumeBindingOptions {
  /** Absent: claims must be bound by others before their pods are placed. */
  readonly writer?: VolumeWriter | undefined;
  /** How long a pod waits for its volumes once its node is chosen. */
  readonly bindTimeoutSeconds?: number | undefined;
  /** Nodes count by how well their storage would be used; absent: they do not. */
  readonly shape?: readonly UtilizationPoint[] | undefined;
}

/** What one cycle knows. */
interface Cycle {
  readonly claims: PodClaims;
  readonly snapshot: Snapshot;
  bindings: readonly StaticBinding[];
  provisions: readonly PersistentVolumeClaim[];
}

/**
 * Claims that wait for their pod get a volume where the pod goes: one that is there, or one to be made. All others must
 * be bound already, and their volumes reachable.
 */
export function createVolumeBinding(view: StorageView, options: VolumeBindingOptions = {}): Plugin {
  const { writer, shape, bindTimeoutSeconds = BIND_TIMEOUT_SECONDS } = options;
  const { volumes, claims } = writer?.assumed ?? new AssumedStorage();
  const assumedView: StorageView = {
    ...view,
    claim: (namespace, name) => claims.current(`${namespace}/${name}`, view.claim(namespace, name)),
    volume: (name) => volumes.current(name, view.volume(name)),
    volumesOfClass: (className) =>
      (view.volumesOfClass?.(className) ?? []).map((each) => volumes.current(each.metadata.name ?? "", each) ?? each),
  };
  const cycleOf = (state: CycleState): Cycle | undefined => state.get(NAME) as Cycle | undefined;
  const giveBack = (cycle: Cycle): void => {
    for (const { volume } of cycle.bindings) volumes.restore(volume.metadata.name ?? "");
    for (const claim of cycle.provisions) claims.restore(keyOfClaim(claim));
    cycle.bindings = [];
    cycle.provisions = [];
  };
  return {
    name: NAME,
    events: [
      "volume-claim-changed",
      "volume-changed",
      "storage-class-changed",
      "csi-node-changed",
      "csi-driver-changed",
      "csi-capacity-changed",
      "node-added",
      "node-labels-changed",
    ],
    isHelpful: mayBindNow,
    preFilter(state, pod, snapshot) {
      if (claimUsesOf(pod).length === 0) return { skip: true };
      const found = sortClaims(pod, assumedView);
      if (typeof found === "string") return { rejected: [found] };
      state.set(NAME, { claims: found, snapshot, bindings: [], provisions: [] } satisfies Cycle);
      return undefined;
    },
    filter(state, _pod, { node }) {
      const cycle = cycleOf(state);
      if (cycle === undefined || node === undefined) return undefined;
      const decision = cycle.claims.on(node);
      return decision.type === "fits" ? undefined : { reasons: decision.reasons, isFinal: true };
    },
    preScore: (state) => ({ skip: shape === undefined || cycleOf(state)?.claims.isAllBound !== false }),
    score(state, _pod, { node }) {
      const cycle = cycleOf(state);
      if (cycle === undefined || node === undefined || shape === undefined) return 0;
      return capacityScore(cycle.claims.on(node), shape);
    },
    reserve(state, _pod, nodeName) {
      const cycle = cycleOf(state);
      if (cycle === undefined || cycle.claims.isAllBound) return undefined;
      const node = cycle.snapshot.node(nodeName)?.node;
      if (node === undefined) return `no pod volume found for node "${nodeName}"`;
      const decision = cycle.claims.on(node);
      if (decision.type === "unfit") return decision.reasons.join(", ");
      cycle.bindings = decision.bindings.map(({ claim, volume }) => {
        const bound = boundTo(volume, claim);
        volumes.assume(volume.metadata.name ?? "", bound, volume);
        return { claim, volume: bound };
      });
      cycle.provisions = decision.provisions.map(({ claim }) => {
        const annotations = { ...claim.metadata.annotations, [SELECTED_NODE]: nodeName };
        const selected = { ...claim, metadata: { ...claim.metadata, annotations } };
        claims.assume(keyOfClaim(claim), selected, claim);
        return selected;
      });
      return undefined;
    },
    unreserve(state) {
      const cycle = cycleOf(state);
      if (cycle !== undefined) giveBack(cycle);
    },
    needsPreBind(state) {
      const cycle = cycleOf(state);
      return cycle !== undefined && cycle.bindings.length + cycle.provisions.length > 0;
    },
    async preBind(state, pod, nodeName) {
      const cycle = cycleOf(state);
      if (cycle === undefined || cycle.bindings.length + cycle.provisions.length === 0) return;
      if (writer === undefined) throw new Error("binding volumes: nobody here binds volumes");
      await bindVolumes({ view, writer }, pod, nodeName, cycle, bindTimeoutSeconds * 1000);
      // The caches have seen it by now.
      giveBack(cycle);
    },
  };
}

/** The claims of a pod by what they wait for, or why it can run nowhere. */
function sortClaims(pod: Pod, view: StorageView): PodClaims | string {
  const bound = new Map<string, PersistentVolume | undefined>();
  const delayed = new Map<string, PersistentVolumeClaim>();
  let hasUnbound = false;
  let problem: string | undefined;
  for (const { name, isEphemeral } of claimUsesOf(pod)) {
    const claim = view.claim(pod.metadata.namespace ?? "", name);
    if (claim === undefined)
      return isEphemeral
        ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
        : `persistentvolumeclaim "${name}" not found`;
    const { volumeName = "" } = claim.spec ?? {};
    if (claim.status?.phase === "Lost")
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volumeName}"`;
    if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${name}" is being deleted`;
    const foreign = isEphemeral ? foreignClaim(pod, claim) : undefined;
    if (foreign !== undefined) return foreign;
    if (isFullyBound(claim)) {
      bound.set(name, view.volume(volumeName));
      continue;
    }
    const storageClass = view.storageClass(classOfClaim(claim));
    if (storageClass !== undefined && storageClass.volumeBindingMode === undefined)
      problem ??= `VolumeBindingMode not set for StorageClass "${storageClass.metadata.name}"`;
    if (volumeName === "" && storageClass?.volumeBindingMode === "WaitForFirstConsumer") delayed.set(name, claim);
    else hasUnbound = true;
  }
  if (problem !== undefined) return problem;
  if (hasUnbound) return "pod has unbound immediate PersistentVolumeClaims";
  return new PodClaims(view, [...bound.values()], [...delayed.values()], (name) => view.volumesOfClass?.(name) ?? []);
}

/** Whether a change may let a pod's volumes be bound that could not be. */
function mayBindNow(pod: Pod, { event, old, current }: ClusterChange): boolean {
  if (current === undefined) return true;
  switch (event) {
    case "volume-claim-changed":
      return usesClaim(pod, current as PersistentVolumeClaim);
    case "storage-class-changed":
      return old === undefined || !equalJson(topologiesOf(old as StorageClass), topologiesOf(current as StorageClass));
    case "csi-node-changed":
      return old === undefined || migratedPlugins(old as CSINode) !== migratedPlugins(current as CSINode);
    case "csi-capacity-changed": {
      if (old === undefined) return true;
      const before = volumeLimit(old as CSIStorageCapacity);
      const now = volumeLimit(current as CSIStorageCapacity);
      return now !== undefined && (before === undefined || now > before);
    }
    case "csi-driver-changed":
      return (
        (old as CSIDriver | undefined)?.spec.storageCapacity === true &&
        (current as CSIDriver).spec.storageCapacity !== true
      );
    default:
      return true;
  }
}

const topologiesOf = ({ allowedTopologies = [] }: StorageClass): never => allowedTopologies as never;
const migratedPlugins = ({ metadata }: CSINode): string => metadata.annotations?.[MIGRATED_PLUGINS] ?? "";
