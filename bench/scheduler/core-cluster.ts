import type { Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { ClusterState, createDefaultPreemption, defaultPlugins, schedulePod } from "@coracle/kube-scheduler";

/** A node as upstream's own benchmark has them. */
export function benchNode(index: number, part: Partial<Node["metadata"]> = {}, spec: Node["spec"] = {}): Node {
  const name = `node-${index}`;
  return {
    metadata: { ...part, name, labels: { "kubernetes.io/hostname": name, ...part.labels } },
    spec,
    status: { allocatable: { cpu: "4", memory: "32Gi", pods: "110" } },
  };
}

let serial = 0;

/** A pod as upstream's own benchmark has them, and as the API server completes them. */
export function benchPod(
  spec: Partial<Pod["spec"]> = {},
  labels?: Record<string, string>,
  namespace = "measured",
): Pod {
  const name = `pod-${++serial}`;
  return {
    metadata: { name, namespace, uid: name, ...(labels === undefined ? {} : { labels }) },
    spec: {
      containers: [
        {
          name: "pause",
          image: "registry.k8s.io/pause:3.10.1",
          ports: [{ containerPort: 80 }],
          resources: { requests: { cpu: "100m", memory: "500Mi" }, limits: { cpu: "100m", memory: "500Mi" } },
        },
      ],
      schedulerName: "default-scheduler",
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
        { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      ],
      priority: 0,
      ...spec,
    },
  };
}

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
