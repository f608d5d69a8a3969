import type { Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { ClusterState, createDefaultPreemption, defaultPlugins, schedulePod } from "@coracle/kube-scheduler";
import type { Workload } from "./workloads.ts";

/** The core by itself: a cluster in memory whose pods are placed one after the other. */
export class CoreCluster {
  readonly state = new ClusterState();
  readonly #random = createSeededRandom(7);
  readonly #plugins = defaultPlugins({
    binder: () => Promise.resolve(),
    budgets: () => [],
    owners: { selectorOf: () => undefined },
    volumes: NO_VOLUMES,
  } as unknown as Parameters<typeof defaultPlugins>[0]);
  readonly #preemption = createDefaultPreemption(
    () => this.#plugins,
    () => [],
  );
  #startAt = 0;

  /** Nodes, namespaces and the pods that are there before. */
  setUp(workload: Workload): void {
    for (let i = 0; i < workload.nodes; i++) this.state.setNode(workload.node(i));
    for (const [name, labels] of Object.entries(workload.namespaces)) this.state.setNamespace(name, labels);
    for (let i = 0; i < workload.initPods; i++) this.place(workload.initPod(i));
  }

  /** Decides and counts the pod; what the API server would send back is counted too. False: it fits nowhere. */
  place(pod: Pod): boolean {
    const { state } = this;
    this.#startAt = (this.#startAt + 1) % Math.max(1, state.nodes().length);
    const decision = schedulePod(pod, state, { plugins: this.#plugins, random: this.#random, startAt: this.#startAt });
    if (decision.type === "unfit") return false;
    state.assume(pod, decision.nodeName);
    state.denominate(pod);
    state.setPod({ ...pod, spec: { ...pod.spec, nodeName: decision.nodeName } });
    return true;
  }

  /** Decides; where there is no room, others must go, and the pod is placed after that. */
  placeByForce(pod: Pod): boolean {
    const { state } = this;
    const decision = schedulePod(pod, state, { plugins: this.#plugins, random: this.#random, startAt: 0 });
    if (decision.type === "fits") return this.place(pod);
    const room = this.#preemption.postFilter?.(pod, decision.unfit, state);
    if (room?.type !== "nominated") return false;
    state.nominate(pod, room.nodeName);
    for (const victim of room.victims) state.removePod(victim);
    return this.place(pod);
  }
}

const nothing = (): undefined => undefined;
const none = (): readonly never[] => [];
/** Storage that nobody uses. */
const NO_VOLUMES = new Proxy({}, { get: (_, name) => (String(name).endsWith("s") ? none : nothing) });
