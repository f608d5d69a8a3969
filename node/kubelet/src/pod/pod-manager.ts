import { Pod, type Node } from "@coracle/api/core/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { referenceTo } from "@coracle/client";
import { CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID } from "../cri/labels.ts";
import { admitPod } from "../node/admission.ts";
import { podRequest } from "../resources/qos.ts";
import { PodWorker, type PodWorkerDeps } from "./pod-worker.ts";
import { capacityRefusal, type ResizeRefusal } from "./resize.ts";
import type { RuntimeState } from "./runtime-state.ts";
import { CONFIG_HASH, CONFIG_MIRROR } from "./static-pods.ts";

export interface PodManagerDeps extends Omit<PodWorkerDeps, "gone" | "admitResize" | "freed"> {
  readonly node: () => Node | undefined;
  readonly nodeName: string;
  /** Pods came or went. */
  readonly changed: () => void;
}

/** All pods of this node: those of the API, those of files, and those that only the runtime still knows. */
export class PodManager {
  readonly #deps: PodManagerDeps;
  readonly #workers = new Map<string, PodWorker>();
  /** API objects that show static pods, by the static pod's hash. */
  readonly #mirrors = new Map<string, Pod>();
  #statics = new Map<string, Pod>();
  readonly #refused = new Set<string>();

  constructor(deps: PodManagerDeps) {
    this.#deps = deps;
  }

  /** The pods of this node, static ones as themselves. */
  pods(): Pod[] {
    return [...this.#workers.values()].map(({ pod }) => ({ ...pod, status: this.#deps.statuses.current(pod) }));
  }

  /** What the runtime has of each pod. */
  states(): RuntimeState[] {
    return [...this.#workers.values()].map(({ state }) => state);
  }

  worker(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  byName(namespace: string, name: string): PodWorker | undefined {
    for (const worker of this.#workers.values()) {
      if (worker.pod.metadata.namespace === namespace && worker.pod.metadata.name === name) return worker;
    }
    return undefined;
  }

  poke(uid: string): void {
    this.#workers.get(uid)?.poke();
  }

  /** The object that shows a pod in the API. */
  shown(pod: Pod): Pod | undefined {
    const hash = pod.metadata.annotations?.[CONFIG_HASH];
    return hash === undefined ? pod : this.#mirrors.get(hash);
  }

  /** A pod of the API was added or changed. */
  upsert(pod: Pod): void {
    const uid = pod.metadata.uid ?? "";
    const mirrored = pod.metadata.annotations?.[CONFIG_MIRROR];
    if (mirrored !== undefined) {
      const isNew = this.#mirrors.get(mirrored)?.metadata.uid !== uid;
      this.#mirrors.set(mirrored, pod);
      const isStale = !this.#statics.has(mirrored) || pod.metadata.deletionTimestamp !== undefined;
      if (isStale) this.#deleteMirror(pod);
      else if (isNew) this.#deps.statuses.rewrite(this.#statics.get(mirrored)?.metadata.uid ?? "");
      return;
    }
    const worker = this.#workers.get(uid);
    if (worker !== undefined) {
      worker.update(pod);
      return;
    }
    if (this.#refused.has(uid) && pod.metadata.deletionTimestamp === undefined) return;
    if (pod.metadata.deletionTimestamp === undefined && !this.#admit(pod)) return;
    this.#start(pod);
  }

  /** A pod is no more in the API. */
  delete(pod: Pod): void {
    const mirrored = pod.metadata.annotations?.[CONFIG_MIRROR];
    if (mirrored !== undefined) {
      this.#mirrors.delete(mirrored);
      const source = this.#statics.get(mirrored);
      if (source !== undefined) this.#createMirror(source);
      return;
    }
    this.#refused.delete(pod.metadata.uid ?? "");
    const worker = this.#workers.get(pod.metadata.uid ?? "");
    if (worker !== undefined) worker.remove();
  }

  /** The pods that files describe now. */
  setStatic(pods: readonly Pod[]): void {
    const wanted = new Map(pods.map((pod) => [pod.metadata.annotations?.[CONFIG_HASH] ?? "", pod]));
    const old = this.#statics;
    this.#statics = wanted;
    for (const [hash, pod] of old) {
      if (wanted.has(hash)) continue;
      this.#workers.get(pod.metadata.uid ?? "")?.remove();
      const mirror = this.#mirrors.get(hash);
      if (mirror !== undefined) this.#deleteMirror(mirror);
    }
    for (const [hash, pod] of wanted) {
      if (!this.#workers.has(pod.metadata.uid ?? "")) this.#start(pod);
      if (!this.#mirrors.has(hash)) this.#createMirror(pod);
    }
  }

  /** Ends what the runtime runs for pods that are in nobody's list any more. */
  async adoptOrphans(): Promise<void> {
    const { cri } = this.#deps;
    const [containers, sandboxes] = await Promise.all([cri.call("ListContainers", {}), cri.call("ListPodSandbox", {})]);
    const orphans = new Map<
      string,
      { readonly labels: Readonly<Record<string, string>>; readonly names: Set<string> }
    >();
    for (const { labels = {} } of [...(sandboxes.items ?? []), ...(containers.containers ?? [])]) {
      const uid = labels[POD_UID];
      if (uid === undefined || this.#workers.has(uid) || this.#refused.has(uid)) continue;
      const orphan = orphans.get(uid) ?? { labels, names: new Set<string>() };
      const name = labels[CONTAINER_NAME];
      if (name !== undefined) orphan.names.add(name);
      orphans.set(uid, orphan);
    }
    for (const [uid, { labels, names }] of orphans) {
      const pod: Pod = {
        metadata: { uid, name: labels[POD_NAME] ?? "", namespace: labels[POD_NAMESPACE] ?? "" },
        spec: { containers: [...names].map((name) => ({ name })), nodeName: this.#deps.nodeName },
      };
      this.#start(pod).remove();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers.values()].map(async (worker) => worker.close()));
  }

  #start(pod: Pod): PodWorker {
    const uid = pod.metadata.uid ?? "";
    const worker = new PodWorker(
      {
        ...this.#deps,
        admitResize: (wanted) => this.#admitResize(wanted),
        freed: () => this.#retryResizes(),
        gone: () => {
          this.#workers.delete(uid);
          this.#retryResizes();
          this.#deps.changed();
        },
      },
      pod,
    );
    this.#workers.set(uid, worker);
    worker.poke();
    this.#deps.changed();
    return worker;
  }

  /** Whether the node has what a pod asks for beside what the others have. */
  #admitResize(pod: Pod): ResizeRefusal | undefined {
    const node = this.#deps.node();
    if (node === undefined) return undefined;
    const requests = { cpu: podRequest(pod, "cpu"), memory: podRequest(pod, "memory") };
    const never = capacityRefusal(requests, node.status?.allocatable ?? {});
    if (never !== undefined) return never;
    const others = this.#living().filter((other) => other.metadata.uid !== pod.metadata.uid);
    const refusal = admitPod(pod, others, node);
    return refusal === undefined ? undefined : { reason: "Deferred", message: refusal.message };
  }

  /** Resources came free: pods that wait for some look again. */
  #retryResizes(): void {
    for (const worker of this.#workers.values()) if (worker.waitsForResources) worker.poke();
  }

  /** The pods that are not over, with what they were granted. */
  #living(): Pod[] {
    return [...this.#workers.values()]
      .map((worker) => worker.pod)
      .filter((other) => !["Failed", "Succeeded"].includes(this.#deps.statuses.current(other).phase ?? ""));
  }

  #admit(pod: Pod): boolean {
    const node = this.#deps.node();
    const wasStarted = (pod.status?.containerStatuses ?? []).some((status) => status.containerID !== undefined);
    const phase = pod.status?.phase;
    if (node === undefined || wasStarted || phase === "Failed" || phase === "Succeeded") return true;
    const refusal = admitPod(pod, this.#living(), node);
    if (refusal === undefined) return true;
    this.#refused.add(pod.metadata.uid ?? "");
    this.#deps.recorder.event(referenceTo(Pod, pod), "Warning", refusal.reason, refusal.message);
    this.#deps.statuses.set(pod, {
      ...pod.status,
      phase: "Failed",
      reason: refusal.reason,
      message: `Pod was rejected: ${refusal.message}`,
      startTime: `${new Date(this.#deps.clock.now()).toISOString().slice(0, 19)}Z`,
    });
    return false;
  }

  #createMirror(pod: Pod): void {
    const { client, logger } = this.#deps;
    const hash = pod.metadata.annotations?.[CONFIG_HASH] ?? "";
    const node = this.#deps.node();
    const { uid: _uid, ...metadata } = pod.metadata;
    const mirror: Pod = {
      ...pod,
      metadata: {
        ...metadata,
        annotations: { ...metadata.annotations, [CONFIG_MIRROR]: hash },
        ...(node?.metadata.uid === undefined
          ? {}
          : {
              ownerReferences: [
                { apiVersion: "v1", kind: "Node", name: this.#deps.nodeName, uid: node.metadata.uid, controller: true },
              ],
            }),
      },
    };
    client.create(Pod, mirror).catch((error: unknown) => {
      if (!isAlreadyExists(error)) logger.warn("a mirror pod was not created", { error });
    });
  }

  #deleteMirror(pod: Pod): void {
    const { namespace, name = "", uid } = pod.metadata;
    this.#deps.client
      .delete(
        Pod,
        { namespace, name },
        { gracePeriodSeconds: 0, ...(uid === undefined ? {} : { preconditions: { uid } }) },
      )
      .catch((error: unknown) => {
        if (!isNotFound(error)) this.#deps.logger.warn("a mirror pod was not deleted", { error });
      });
  }
}
