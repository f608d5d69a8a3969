import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { asDriverSees, SELECTED_NODE } from "@coracle/apimachinery/storage";
import { AssumedObjects } from "./assumed-objects.ts";
import { isReachable } from "./match-volume.ts";
import { isFullyBound, keyOfClaim, type StorageView } from "./storage-view.ts";
import type { StaticBinding } from "./volume-decision.ts";
import type { Node } from "@coracle/api/core/v1";

/** Writes what was decided, and knows what has come of it. */
export interface VolumeWriter {
  /** What was decided and has not come back yet, by all who decide here. */
  readonly assumed: AssumedStorage;
  updateVolume(volume: PersistentVolume): Promise<PersistentVolume>;
  updateClaim(claim: PersistentVolumeClaim): Promise<PersistentVolumeClaim>;
  node(name: string): Node | undefined;
  hasPod(pod: Pod): boolean;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Settles once something about volumes or claims has changed, or after so long. Rejects when all ends. */
  changed(maxWaitMs: number): Promise<void>;
}

/** Volumes and claims as they will be. */
export class AssumedStorage {
  readonly volumes = new AssumedObjects<PersistentVolume>();
  readonly claims = new AssumedObjects<PersistentVolumeClaim>();
}

interface Work {
  readonly bindings: readonly StaticBinding[];
  readonly provisions: readonly PersistentVolumeClaim[];
}

const LOOK_AGAIN_MS = 10_000;

/** Tells the API server which volumes and claims belong together, and waits until its controllers have bound them. */
export async function bindVolumes(
  { view, writer }: { readonly view: StorageView; readonly writer: VolumeWriter },
  pod: Pod,
  nodeName: string,
  { bindings, provisions }: Work,
  timeoutMs: number,
): Promise<void> {
  const written: StaticBinding[] = [];
  for (const { claim, volume } of bindings) written.push({ claim, volume: await writer.updateVolume(volume) });
  const selected: PersistentVolumeClaim[] = [];
  for (const claim of provisions) selected.push(await writer.updateClaim(claim));

  const deadline = writer.nowMs() + timeoutMs;
  for (;;) {
    const state = look(view, writer, pod, nodeName, { bindings: written, provisions: selected });
    if (state === "bound") return;
    if (state !== "pending") throw new Error(`binding volumes: ${state.problem}`);
    const left = deadline - writer.nowMs();
    if (left <= 0) throw new Error("binding volumes: context deadline exceeded");
    await writer.changed(Math.min(left, LOOK_AGAIN_MS));
  }
}

type Progress = "bound" | "pending" | { readonly problem: string };

function look(view: StorageView, writer: VolumeWriter, pod: Pod, nodeName: string, work: Work): Progress {
  const node = writer.node(nodeName);
  if (node === undefined) return { problem: `failed to get node "${nodeName}": node "${nodeName}" not found` };
  if (!writer.hasPod(pod)) return { problem: `pod does not exist any more: pod "${pod.metadata.name}" not found` };
  for (const binding of work.bindings) {
    const progress = lookAtBinding(view, node, binding);
    if (progress !== "bound") return progress;
  }
  for (const claim of work.provisions) {
    const progress = lookAtProvision(view, node, claim);
    if (progress !== "bound") return progress;
  }
  return "bound";
}

function lookAtBinding(view: StorageView, node: Node, { claim, volume }: StaticBinding): Progress {
  const name = volume.metadata.name ?? "";
  const current = view.volume(name);
  if (current === undefined)
    return { problem: `failed to check binding: could not find v1.PersistentVolume "${name}"` };
  const currentClaim = view.claim(claim.metadata.namespace ?? "", claim.metadata.name ?? "");
  if (currentClaim === undefined)
    return { problem: `failed to check binding: could not find v1.PersistentVolumeClaim "${keyOfClaim(claim)}"` };
  if (isOlder(current, volume)) return "pending";
  const conflict = affinityConflict(view, current, node);
  if (conflict !== undefined) return conflict;
  if ((current.spec?.claimRef?.uid ?? "") === "") return { problem: `ClaimRef got reset for pv "${name}"` };
  return isFullyBound(currentClaim) ? "bound" : "pending";
}

function lookAtProvision(view: StorageView, node: Node, claim: PersistentVolumeClaim): Progress {
  const { namespace = "", name = "" } = claim.metadata;
  const current = view.claim(namespace, name);
  if (current === undefined)
    return {
      problem: `failed to check provisioning pvc: could not find v1.PersistentVolumeClaim "${keyOfClaim(claim)}"`,
    };
  if (isOlder(current, claim)) return "pending";
  if (current.metadata.annotations === undefined) return { problem: `selectedNode annotation reset for PVC "${name}"` };
  // The provisioner gives a claim back by taking the annotation away.
  if (current.metadata.annotations[SELECTED_NODE] !== node.metadata.name)
    return { problem: `provisioning failed for PVC "${name}"` };
  const volumeName = current.spec?.volumeName ?? "";
  if (volumeName !== "") {
    const volume = view.volume(volumeName);
    if (volume === undefined) return "pending";
    const conflict = affinityConflict(view, volume, node);
    if (conflict !== undefined) return conflict;
  }
  return isFullyBound(current) ? "bound" : "pending";
}

function affinityConflict(view: StorageView, volume: PersistentVolume, node: Node): Progress | undefined {
  const name = node.metadata.name ?? "";
  if (isReachable(asDriverSees(volume, view.csiNode?.(name)), node)) return undefined;
  const problem = `pv "${volume.metadata.name}" node affinity doesn't match node "${name}": no matching NodeSelectorTerms`;
  return { problem };
}

type Versioned = Pick<PersistentVolume, "metadata">;

/** Whether `seen` is from before `written`. */
function isOlder(seen: Versioned, written: Versioned): boolean {
  return BigInt(seen.metadata.resourceVersion ?? "0") < BigInt(written.metadata.resourceVersion ?? "0");
}
