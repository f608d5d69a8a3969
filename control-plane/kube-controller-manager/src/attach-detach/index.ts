import { Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { CSIDriver, VolumeAttachment } from "@coracle/api/storage/v1";
import { equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import { defineController, mapped, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { podsByNode } from "../node-lifecycle/index.ts";
import { podsByClaim } from "../pods/pod-claims.ts";
import { countedBy } from "../storage-metrics/labels.ts";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import {
  attachableOf,
  attachablesOf,
  attachmentName,
  isTerminated,
  mayAttach,
  type Attachable,
  type StorageLookup,
} from "./attachable.ts";
import { Attachments, attachProblem } from "./attachments.ts";
import { isReachedByNode } from "./inline-volume.ts";
import { isAttached, isManaged, planNode, whyBlocked, type Attachment, type NodePlan, type Wanted } from "./plan.ts";

/** So long a driver has to attach a volume before users are told that it takes long. */
const ATTACH_TIMEOUT_MS = 120_000;

/** Has volumes attached to the nodes whose pods use them, and detached where nobody does any more. */
export function createAttachDetachController(
  deps: ControllerDeps,
  options: { readonly forcesOnTimeout: boolean; readonly monitor: StorageMonitor },
): Controller {
  const { client, informers, clock, recorder } = deps;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: { ...podsByNode, ...podsByClaim } }).lister;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const volumes = informers.informer(PersistentVolume).lister;
  const drivers = informers.informer(CSIDriver).lister;
  const seen = informers.informer(VolumeAttachment).lister;
  const attachments = new Attachments();
  /** What each node said last of volumes in use; of nodes that are gone too. */
  const inUse = new Map<string, readonly string[]>();
  /** By unique name of the volume: nodes that cannot have it while another has, as users were told. */
  const blocked = new Map<string, Set<string>>();
  let wake: (nodeName: string) => void = () => undefined;

  const lookup: StorageLookup = {
    claim: (namespace, name) => claims.get(namespace, name),
    volume: (name) => volumes.byKey(name),
    driver: (name) => drivers.byKey(name),
  };

  const called = (operation: string, unique: string, isFine: boolean, durationMs: number): void =>
    options.monitor.operations.called(pluginOfUnique(unique), operation, isFine, false, durationMs);

  options.monitor.operations.watchAttachments({
    total: () => [
      ...countedBy(attachments.all(), ({ unique }) => [pluginOfUnique(unique), "actual_state_of_world"]),
      ...countedBy(
        nodes.list().flatMap(({ metadata: { name = "" } }) => usersOf(name)),
        ({ attachable }) => [pluginOfUnique(attachable.unique), "desired_state_of_world"],
      ),
    ],
    inUse: () =>
      countedBy(
        pods
          .list()
          .flatMap((pod) =>
            (pod.spec.nodeName ?? "") === ""
              ? []
              : attachablesOf(pod, lookup).map(
                  ({ unique }) => [pod.spec.nodeName ?? "", pluginOfUnique(unique)] as const,
                ),
          ),
        (each) => each,
      ),
  });

  function tell(users: readonly Pod[], type: "Normal" | "Warning", reason: string, message: string): void {
    for (const pod of users) recorder.event(referenceTo(Pod, pod), type, reason, message);
  }

  function usersOf(nodeName: string): readonly Wanted[] {
    const node = nodes.byKey(nodeName);
    if (node === undefined || !isManaged(node)) return [];
    const wanted = new Map<string, { attachable: Attachable; pods: Pod[] }>();
    for (const pod of pods.byIndex("node", nodeName)) {
      if (isTerminated(pod)) continue;
      for (const attachable of attachablesOf(pod, lookup)) {
        const unique = attachable.unique;
        const found = wanted.get(unique);
        if (found === undefined) wanted.set(unique, { attachable, pods: [pod] });
        else if (!found.pods.includes(pod)) found.pods.push(pod);
      }
    }
    return [...wanted.values()];
  }

  function tellBlocked(nodeName: string, all: NodePlan["blocked"]): void {
    const now = new Set(all.map(({ attachable }) => attachable.unique));
    for (const [unique, waiting] of blocked) if (!now.has(unique)) waiting.delete(nodeName);
    for (const { attachable, pods: waiting, nodes: others } of all) {
      const unique = attachable.unique;
      const told = blocked.get(unique) ?? new Set();
      blocked.set(unique, told);
      if (told.has(nodeName)) continue;
      told.add(nodeName);
      const users = others
        .flatMap((other) => usersOf(other))
        .filter((each) => each.attachable.unique === unique)
        .flatMap((each) => each.pods);
      const volumeName = attachable.name;
      for (const pod of waiting) tell([pod], "Warning", "FailedAttachVolume", whyBlocked(pod, volumeName, users));
    }
  }

  /** Says what has come of attachments; answers when to look again. */
  function tellProgress(nodeName: string, wanted: readonly Wanted[]): number | undefined {
    let againMs: number | undefined;
    for (const { attachable, pods: users } of wanted) {
      const known = attachments.get(attachmentName(attachable, nodeName));
      if (known === undefined) continue;
      known.unwantedSince = undefined;
      const attachment = seenOf(known);
      const volumeName = attachable.name;
      if (isAttached(attachment)) {
        if (known.awaitedSince !== undefined) {
          called("volume_attach", attachable.unique, true, clock.now() - known.awaitedSince);
          tell(users, "Normal", "SuccessfulAttachVolume", `AttachVolume.Attach succeeded for volume "${volumeName}" `);
        }
        known.awaitedSince = undefined;
        known.problem = undefined;
        continue;
      }
      const now = clock.now();
      known.awaitedSince ??= now;
      let problem = attachProblem(attachment);
      if (problem === undefined && now - known.awaitedSince >= ATTACH_TIMEOUT_MS) {
        known.awaitedSince = now;
        known.problem = undefined; // told each time
        problem = `timed out waiting for external-attacher of ${attachable.by?.driver} CSI driver to attach volume ${attachable.by?.handle}`;
      }
      if (problem !== undefined && problem !== known.problem) {
        const message = `AttachVolume.Attach failed for volume "${volumeName}" : ${problem}`;
        called("volume_attach", attachable.unique, false, now - known.awaitedSince);
        tell(users, "Warning", "FailedAttachVolume", message);
      }
      known.problem = problem;
      againMs = Math.min(againMs ?? ATTACH_TIMEOUT_MS, known.awaitedSince + ATTACH_TIMEOUT_MS - now);
    }
    return againMs;
  }

  async function attach(nodeName: string, { attachable }: Wanted, signal: AbortSignal): Promise<void> {
    if (attachable.by === undefined) return;
    const name = attachmentName(attachable, nodeName);
    const { driver, source } = attachable.by;
    try {
      const spec = { attacher: driver, nodeName, source };
      await client.create(VolumeAttachment, { metadata: { name }, spec }, { signal });
    } catch (error) {
      if (isAlreadyExists(error)) return;
      attachments.remove(name);
      throw error;
    }
  }

  async function detach(
    { name, unique, nodeName, force }: NodePlan["detach"][number],
    signal: AbortSignal,
  ): Promise<void> {
    if (force === undefined && (await isInUse(nodeName, unique, signal))) return; // the node says when it is done
    if (isReachedByNode(unique)) {
      attachments.remove(name);
      if (force !== undefined) options.monitor.forcedDetach(force);
      for (const waiting of blocked.get(unique) ?? []) wake(waiting);
      return;
    }
    const known = attachments.get(name);
    if (known !== undefined) known.leavingSince ??= clock.now();
    try {
      await client.delete(VolumeAttachment, { name }, { signal });
      if (force !== undefined) options.monitor.forcedDetach(force);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      attachments.remove(name);
    }
  }

  async function isInUse(nodeName: string, unique: string, signal: AbortSignal): Promise<boolean> {
    try {
      const node = await client.get(Node, { name: nodeName }, { signal });
      return node.status?.volumesInUse?.includes(unique) === true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** What is attached to a node is told there: its kubelet mounts nothing else. */
  async function report(nodeName: string, attached: readonly string[], signal: AbortSignal): Promise<void> {
    const node = nodes.byKey(nodeName);
    if (node === undefined) return;
    const told = (node.status?.volumesAttached ?? []).map(({ name }) => name).toSorted();
    if (equalJson(told, attached)) return;
    const volumesAttached = attached.length === 0 ? null : attached.map((name) => ({ name, devicePath: "" }));
    const options = { subresource: "status", signal };
    try {
      await client.patch(Node, { name: nodeName }, "merge", { status: { volumesAttached } }, options);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The volume that an attachment is of; undefined: none that is attached so. */
  function uniqueOf({ source }: VolumeAttachment["spec"]): string | undefined {
    const { persistentVolumeName = "", inlineVolumeSpec: inline } = source;
    const volume = inline === undefined ? volumes.byKey(persistentVolumeName) : { metadata: {}, spec: inline };
    return volume === undefined ? undefined : attachableOf(volume, lookup)?.unique;
  }

  /** What is in the cache of an attachment. What the node reaches by itself needs none. */
  const seenOf = ({ name, unique }: Attachment): VolumeAttachment | undefined =>
    isReachedByNode(unique) ? REACHED : seen.byKey(name);

  /** Nodes to look at when an attachment has changed. */
  function nodesOf({ metadata: { name = "" }, spec }: VolumeAttachment): readonly string[] {
    if (seen.byKey(name) !== undefined) return attachments.get(name) === undefined ? [] : [spec.nodeName];
    const gone = attachments.remove(name);
    if (gone?.leavingSince !== undefined) called("volume_detach", gone.unique, true, clock.now() - gone.leavingSince);
    return gone === undefined ? [] : [gone.nodeName, ...(blocked.get(gone.unique) ?? [])];
  }

  return defineController<Node>(deps, {
    name: "attach-detach",
    for: Node,
    changed(node, old) {
      inUse.set(node.metadata.name ?? "", node.status?.volumesInUse ?? []);
      return old === undefined || !equalJson(whatMatters(node), whatMatters(old));
    },
    watches: [
      mapped(Pod, (pod, old) => {
        const { nodeName = "" } = pod.spec;
        if (nodeName === "" || !mayAttach(pod)) return [];
        const isSame = old?.spec.nodeName === nodeName && isTerminated(old) === isTerminated(pod);
        return isSame && pods.byKey(cacheKeyOf(pod)) !== undefined ? [] : [nodeName];
      }),
      mapped(PersistentVolumeClaim, (claim) =>
        pods.byIndex("claim", cacheKeyOf(claim)).flatMap(({ spec }) => spec.nodeName ?? []),
      ),
      mapped(VolumeAttachment, nodesOf),
      mapped(CSIDriver, () => []),
      mapped(PersistentVolume, ({ spec }) =>
        spec?.claimRef === undefined
          ? []
          : pods
              .byIndex("claim", `${spec.claimRef.namespace}/${spec.claimRef.name}`)
              .flatMap((pod) => pod.spec.nodeName ?? []),
      ),
    ],
    workers: 10,
    started({ enqueue }) {
      wake = enqueue;
      for (const { metadata, status } of nodes.list())
        for (const { name: unique } of status?.volumesAttached ?? []) {
          const { name: nodeName = "" } = metadata;
          if (!isReachedByNode(unique)) continue;
          attachments.add({ name: attachmentName({ unique, by: undefined }, nodeName), unique, nodeName }, undefined);
          enqueue(nodeName);
        }
      for (const { metadata, spec, status } of seen.list()) {
        const unique = uniqueOf(spec);
        if (unique === undefined) continue;
        const { nodeName } = spec;
        const attachment = { name: metadata.name ?? "", unique, nodeName };
        attachments.add(attachment, status?.attached === true ? undefined : clock.now());
        enqueue(nodeName);
      }
    },
    async reconcile(nodeName, { signal }) {
      const wanted = usersOf(nodeName);
      const plan = planNode({
        nodeName,
        node: nodes.byKey(nodeName),
        inUse: inUse.get(nodeName) ?? [],
        wanted,
        attachments: attachments.onNode(nodeName),
        seen: seenOf,
        nodesWith: (unique) => attachments.nodesWith(unique),
        unwantedSince: (attachment) => sinceWhen(attachment),
        now: clock.now(),
        forcesOnTimeout: options.forcesOnTimeout,
      });
      if (nodes.byKey(nodeName) === undefined && attachments.onNode(nodeName).length === 0) inUse.delete(nodeName);
      // Known before anything is waited for: another node must not take the volume meanwhile.
      for (const { attachable } of plan.attach) {
        const name = attachmentName(attachable, nodeName);
        attachments.add({ name, unique: attachable.unique, nodeName }, clock.now());
      }
      tellBlocked(nodeName, plan.blocked);
      await report(nodeName, plan.attached, signal);
      await settled([
        ...plan.detach.map((each) => detach(each, signal)),
        ...plan.attach.map((each) => attach(nodeName, each, signal)),
      ]);
      const progressMs = tellProgress(nodeName, wanted);
      return requeueAfter(plan.againMs === undefined ? progressMs : Math.min(plan.againMs, progressMs ?? plan.againMs));
    },
  });

  function sinceWhen({ name }: Attachment): number {
    const known = attachments.get(name);
    const since = known?.unwantedSince ?? clock.now();
    if (known !== undefined) known.unwantedSince = since;
    return since;
  }
}

/** `kubernetes.io/csi:DRIVER`, `kubernetes.io/iscsi`: the plugin of a volume with this name. */
const pluginOfUnique = (unique: string): string =>
  unique
    .replace(/^kubernetes\.io\/csi\/([^^]*)\^.*$/s, "kubernetes.io/csi:$1")
    .replace(/^(kubernetes\.io\/[^/:]+)\/.*$/s, "$1");

const REACHED: VolumeAttachment = {
  metadata: {},
  spec: { attacher: "", nodeName: "", source: {} },
  status: { attached: true },
};

/** What of a node decides about its volumes. */
const whatMatters = ({ metadata, spec, status }: Node): unknown => [
  metadata.annotations,
  spec?.taints ?? [],
  status?.volumesInUse ?? [],
  status?.volumesAttached ?? [],
  status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "",
];

/** All to their ends; then the first failure. */
async function settled(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
}
