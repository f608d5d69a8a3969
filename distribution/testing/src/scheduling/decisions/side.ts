import type { KubeObject, ResourceType } from "@coracle/api";
import { Event, Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { ResourceClaim, type AllocationResult } from "@coracle/api/resource/v1";
import { isNotFound } from "@coracle/apimachinery";
import { sleep, systemClock } from "@coracle/base";
import type { ApiClient, ObjectKey } from "@coracle/client";
import type { NodeSeed, Seed } from "./random-cluster.ts";

/** What became of a pod. */
export interface Outcome {
  readonly node: string;
  /** `REASON: MESSAGE` of its condition, when it has no node. */
  readonly why: string;
  readonly nominated: string;
  /** Claim → node that it waits for. */
  readonly selected: Readonly<Record<string, string>>;
  /** Claim → its devices. */
  readonly allocated: Readonly<Record<string, unknown>>;
}

const OUTCOME_WITHIN_MS = 10_000;
const ASK_EVERY_MS = 4;
/** Why a pod has no node of which nothing is said. */
export const NOTHING = "nothing became of it";
const SELECTED_NODE = "volume.kubernetes.io/selected-node";

export const keyOf = ({ metadata }: Pod): string => `${metadata.namespace}/${metadata.name}`;

/** A scheduler at a server of its own, and in place of a kubelet and of controllers who drives the test. */
export class Side implements AsyncDisposable {
  readonly #admin: ApiClient;
  /** What was said of each pod first: some are tried again before anybody can ask. By its uid. */
  readonly #decided = new Map<string, Pod>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  constructor(admin: ApiClient) {
    this.#admin = admin;
    this.#watching = this.#watch();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const event of this.#admin.watch(Pod, { signal })) {
        if (event.type !== "MODIFIED" || !isDecided(event.object)) continue;
        const { uid = "" } = event.object.metadata;
        if (!this.#decided.has(uid)) this.#decided.set(uid, event.object);
      }
      if (!signal.aborted) throw new Error("the watch of pods ended");
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async create({ type, object, status }: Seed): Promise<void> {
    await this.#admin.create(type, object);
    const { namespace, name = "" } = object.metadata ?? {};
    if (status !== undefined)
      await this.#admin.patch(type, { namespace, name }, "merge", { status }, { subresource: "status" });
  }

  async createNode(node: NodeSeed): Promise<void> {
    await this.create(node);
    await this.#admin.patch(Node, { name: node.name }, "merge", { spec: node.spec });
  }

  /** The pod as the server would have it, which has none; undefined: it would be refused. */
  async imagine(pod: Pod): Promise<Pod | undefined> {
    try {
      return await this.#admin.create(Pod, pod, { dryRun: true });
    } catch {
      return undefined;
    }
  }

  async pods(): Promise<ReadonlyMap<string, Pod>> {
    const { items } = await this.#admin.list(Pod);
    return new Map(items.flatMap((pod) => (pod.metadata.deletionTimestamp === undefined ? [[keyOf(pod), pod]] : [])));
  }

  /** Creates the pod, and waits for a node or for the reason why there is none. */
  async place(pod: Pod): Promise<Outcome> {
    const created = await this.#admin.create(Pod, pod);
    if (isDecided(created)) return await this.#describe(created);
    const until = systemClock.monotonicMs() + OUTCOME_WITHIN_MS;
    for (;;) {
      const decided = this.#decided.get(created.metadata.uid ?? "");
      if (decided !== undefined) return await this.#describe(decided);
      if (systemClock.monotonicMs() > until) return { ...(await this.#describe(created)), why: NOTHING };
      await this.#bindVolumes(created);
      await sleep(systemClock, ASK_EVERY_MS);
    }
  }

  /** The node of a pod that gets one in the end; empty: it takes too long. */
  async nodeOf({ metadata: { namespace, name = "" } }: Pod): Promise<string> {
    const until = systemClock.monotonicMs() + OUTCOME_WITHIN_MS;
    for (;;) {
      const pod = await this.#admin.get(Pod, { namespace, name });
      const { nodeName = "" } = pod.spec;
      if (nodeName !== "" || systemClock.monotonicMs() > until) return nodeName;
      await this.#bindVolumes(pod);
      await sleep(systemClock, ASK_EVERY_MS);
    }
  }

  async #describe(pod: Pod): Promise<Outcome> {
    const condition = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
    const node = pod.spec.nodeName ?? "";
    const claims = await this.#volumeClaims(pod);
    const devices = await this.#resourceClaims(pod);
    return {
      node,
      why: node === "" ? `${condition?.reason}: ${condition?.message}` : "",
      nominated: node === "" ? (pod.status?.nominatedNodeName ?? "") : "",
      selected: Object.fromEntries(
        claims.flatMap(({ metadata }) => {
          const selected = metadata.annotations?.[SELECTED_NODE];
          return selected === undefined ? [] : [[metadata.name ?? "", selected]];
        }),
      ),
      allocated: Object.fromEntries(
        devices.flatMap(({ metadata, status }) =>
          status?.allocation === undefined ? [] : [[metadata.name ?? "", status.allocation]],
        ),
      ),
    };
  }

  async #volumeClaims({ metadata, spec }: Pod): Promise<PersistentVolumeClaim[]> {
    const names = (spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) => claim?.claimName ?? []);
    return await this.#found(PersistentVolumeClaim, metadata.namespace, names);
  }

  async #resourceClaims({ metadata, spec }: Pod): Promise<ResourceClaim[]> {
    const names = (spec.resourceClaims ?? []).flatMap(({ resourceClaimName }) => resourceClaimName ?? []);
    return await this.#found(ResourceClaim, metadata.namespace, names);
  }

  async #found<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    names: readonly string[],
  ): Promise<T[]> {
    const found: T[] = [];
    for (const name of names) {
      try {
        found.push(await this.#admin.get(type, { namespace, name }));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    return found;
  }

  /** In place of a provisioner and of the controller that binds: does what the scheduler waits for. */
  async #bindVolumes(pod: Pod): Promise<void> {
    for (const claim of await this.#volumeClaims(pod)) {
      const { namespace, name = "", uid, annotations = {} } = claim.metadata;
      if ((claim.spec.volumeName ?? "") !== "") continue;
      const { accessModes, storageClassName, resources } = claim.spec;
      let volume = (await this.#admin.list(PersistentVolume)).items.find(({ spec }) => spec.claimRef?.uid === uid);
      if (volume === undefined && annotations[SELECTED_NODE] !== undefined)
        volume = await this.#admin.create(PersistentVolume, {
          metadata: { name: `made-for-${name}` },
          spec: {
            accessModes,
            storageClassName,
            capacity: resources?.requests,
            claimRef: { kind: "PersistentVolumeClaim", namespace, name, uid },
            hostPath: { path: "/data" },
          },
        });
      if (volume === undefined) continue;
      const key = { namespace, name };
      const completed = { "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes" };
      await this.#status(PersistentVolume, { name: volume.metadata.name ?? "" }, { phase: "Bound" });
      await this.#admin.patch(PersistentVolumeClaim, key, "merge", {
        metadata: { annotations: completed },
        spec: { volumeName: volume.metadata.name },
      });
      await this.#status(PersistentVolumeClaim, key, { phase: "Bound" });
    }
  }

  async #status(type: ResourceType<KubeObject>, key: ObjectKey, status: object): Promise<void> {
    await this.#admin.patch(type, key, "merge", { status }, { subresource: "status" });
  }

  /** As its kubelet would say. */
  async started({ metadata: { namespace, name = "" } }: Pod, startTime: string): Promise<void> {
    await this.#status(Pod, { namespace, name }, { startTime });
  }

  /** The pod is gone afterwards, if it was there. */
  async remove({ metadata: { namespace, name = "" } }: Pod): Promise<void> {
    try {
      await this.#admin.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0 });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The pod was put there by hand. */
  async putOn(pod: Pod, nodeName: string): Promise<void> {
    await this.remove(pod);
    await this.#admin.create(Pod, { ...pod, spec: { ...pod.spec, nodeName, schedulingGates: undefined } });
  }

  /** Text that tells what the pod's claims have and wait for. */
  async claimsOf(pod: Pod): Promise<string> {
    const { selected, allocated } = await this.#describe(pod);
    const volumes = (await this.#volumeClaims(pod)).map(({ spec }) => spec.volumeName ?? "");
    return JSON.stringify([
      Object.entries(selected),
      volumes,
      Object.keys(allocated).map((name) => devicesOf(allocated[name])),
    ]);
  }

  /** Takes away what the pod claimed: volumes and their claims go, devices are free. */
  async release(pod: Pod): Promise<void> {
    for (const { metadata, spec } of await this.#volumeClaims(pod)) {
      const key = { namespace: metadata.namespace, name: metadata.name ?? "" };
      if (metadata.annotations?.[SELECTED_NODE] === undefined && !/^(late|made)/.test(spec.storageClassName ?? ""))
        continue;
      await this.#admin.patch(PersistentVolumeClaim, key, "merge", { metadata: { finalizers: null } });
      await this.#admin.delete(PersistentVolumeClaim, key);
      const volumes = (await this.#admin.list(PersistentVolume)).items;
      for (const volume of volumes.filter(({ spec: { claimRef } }) => claimRef?.name === key.name)) {
        const name = volume.metadata.name ?? "";
        await this.#admin.patch(PersistentVolume, { name }, "merge", { metadata: { finalizers: null } });
        await this.#admin.delete(PersistentVolume, { name });
      }
    }
    for (const { metadata } of await this.#resourceClaims(pod))
      await this.#status(
        ResourceClaim,
        { namespace: metadata.namespace, name: metadata.name ?? "" },
        { allocation: null, reservedFor: null },
      );
  }

  /** `NAMESPACE/NAME` → reasons and messages of its events. */
  async events(): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = new Map<string, string[]>();
    for (const { involvedObject: about, reason, message } of (await this.#admin.list(Event)).items) {
      const key = `${about.namespace}/${about.name}`;
      found.set(key, [...(found.get(key) ?? []), `${reason}: ${message}`]);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }
}

const devicesOf = (allocation: unknown): unknown => (allocation as AllocationResult).devices?.results;

const isDecided = ({ spec, status }: Pod): boolean =>
  (spec.nodeName ?? "") !== "" ||
  status?.conditions?.some(({ type, status: said }) => type === "PodScheduled" && said === "False") === true;
