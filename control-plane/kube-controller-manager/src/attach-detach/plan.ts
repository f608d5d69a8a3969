import type { Node, Pod } from "@coracle/api/core/v1";
import type { VolumeAttachment } from "@coracle/api/storage/v1";
import type { Instant } from "@coracle/base";
import { attachmentName, mayBeShared, type Attachable } from "./attachable.ts";

/** After so long a volume is taken from a node that is not ready, though it may be in use there. */
export const MAX_WAIT_FOR_UNMOUNT_MS = 360_000;
const OUT_OF_SERVICE = "node.kubernetes.io/out-of-service";
const MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach";

/** A volume, and the pods of the node that use it. */
export interface Wanted {
  readonly attachable: Attachable;
  readonly pods: readonly Pod[];
}

/** An attachment that this controller looks after. */
export interface Attachment {
  readonly name: string;
  /** The volume's name among those of the node. */
  readonly unique: string;
  readonly nodeName: string;
}

/** What is seen of a node and its volumes. */
export interface NodeView {
  readonly nodeName: string;
  /** Undefined: it is gone. */
  readonly node: Node | undefined;
  /** Unique names of volumes that are in use, as the node said last. */
  readonly inUse: readonly string[];
  readonly wanted: readonly Wanted[];
  readonly attachments: readonly Attachment[];
  /** Undefined: not in the cache yet. Of what the node reaches by itself: as if it were there. */
  seen(attachment: Attachment): VolumeAttachment | undefined;
  /** Other nodes that have the volume, or may. */
  nodesWith(unique: string): readonly string[];
  /** Since when nobody has wanted it. */
  unwantedSince(attachment: Attachment): Instant;
  readonly now: Instant;
  readonly forcesOnTimeout: boolean;
}

/** Why a volume is taken from a node that may still use it; undefined: it is only if the node does not. */
export type Force = "timeout" | "out-of-service" | undefined;

/** What to do about the volumes of a node. */
export interface NodePlan {
  readonly attach: readonly Wanted[];
  /** Another node has these, alone. */
  readonly blocked: readonly (Wanted & { readonly nodes: readonly string[] })[];
  /** Not to be told as attached any more, then to be detached. */
  readonly detach: readonly (Attachment & { readonly force: Force })[];
  /** Unique names that the node is told of. */
  readonly attached: readonly string[];
  /** When to look again though nothing changes. */
  readonly againMs: number | undefined;
}

/** Whether the node leaves attaching to this controller. */
export const isManaged = (node: Node): boolean => node.metadata.annotations?.[MANAGED] === "true";

/** Decides for one node. What is to go goes before what is to come: it may be the same volume, for another. */
export function planNode(view: NodeView): NodePlan {
  const wantedNames = new Set(view.wanted.map(({ attachable }) => attachable.unique));
  const had = new Set(view.attachments.map(({ name }) => name));
  const detach: (Attachment & { force: Force })[] = [];
  const waits: number[] = [];
  for (const attachment of view.attachments) {
    if (wantedNames.has(attachment.unique)) continue;
    const decision = planDetach(view, attachment);
    if (decision.action === "detach") detach.push({ ...attachment, force: decision.force });
    else if (decision.againMs !== undefined) waits.push(decision.againMs);
  }
  const leaving = new Set(detach.map(({ name }) => name));
  const missing = view.wanted.filter(({ attachable }) => !had.has(attachmentName(attachable, view.nodeName)));
  const blocked = missing.flatMap((wanted) => {
    const nodes = mayBeShared(wanted.attachable) ? [] : view.nodesWith(wanted.attachable.unique);
    return nodes.length === 0 ? [] : [{ ...wanted, nodes }];
  });
  const isBlocked = new Set(blocked.map(({ attachable }) => attachable));
  return {
    attach: missing.filter(({ attachable }) => !isBlocked.has(attachable)),
    blocked,
    detach,
    attached: view.attachments
      .filter((each) => !leaving.has(each.name) && isAttached(view.seen(each)))
      .map(({ unique }) => unique)
      .toSorted(),
    againMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
}

/** Attached, and to stay so. */
export const isAttached = (attachment: VolumeAttachment | undefined): boolean =>
  attachment?.status?.attached === true && attachment.metadata.deletionTimestamp === undefined;

type DetachDecision =
  | { readonly action: "detach"; readonly force: Force }
  | { readonly action: "wait"; readonly againMs: number | undefined };

function planDetach(view: NodeView, attachment: Attachment): DetachDecision {
  if (view.seen(attachment)?.metadata.deletionTimestamp !== undefined) return { action: "wait", againMs: undefined };
  const leftMs = view.unwantedSince(attachment) + MAX_WAIT_FOR_UNMOUNT_MS - view.now;
  const mayForce = view.forcesOnTimeout && leftMs < 0;
  const isOut = view.node?.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE) === true;
  const isHealthy = view.node?.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
  const isMounted = view.inUse.includes(attachment.unique);
  if (isMounted && !isOut && (isHealthy || !mayForce)) {
    const isHopeless = isHealthy || !view.forcesOnTimeout;
    return { action: "wait", againMs: isHopeless ? undefined : leftMs + 1 };
  }
  return { action: "detach", force: mayForce ? "timeout" : isOut ? "out-of-service" : undefined };
}

/** Why a volume cannot be attached while other nodes have it, in words for one of the pods that want it. */
export function whyBlocked(pod: Pod, volumeName: string, users: readonly Pod[]): string {
  const start = `Multi-Attach error for volume "${volumeName}"`;
  if (users.length === 0)
    return `${start} Volume is already exclusively attached to one node and can't be attached to another`;
  const near = users.filter(({ metadata }) => metadata.namespace === pod.metadata.namespace);
  const far = users.length - near.length;
  // Names of other namespaces are not for this pod's users.
  if (near.length === 0) return `${start} Volume is already used by ${far} pod(s) in different namespaces`;
  const names = near.map(({ metadata }) => metadata.name).join(", ");
  const rest = far === 0 ? "" : ` and ${far} pod(s) in different namespaces`;
  return `${start} Volume is already used by pod(s) ${names}${rest}`;
}
