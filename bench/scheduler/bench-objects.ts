import type { Node, Pod } from "@coracle/api/core/v1";

/** A node as upstream's own benchmark has them. */
export function benchNode(index: number, labels: Record<string, string> = {}, spec: Node["spec"] = {}): Node {
  const name = `node-${index}`;
  return {
    metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
    spec,
    status: {
      capacity: { pods: "110", cpu: "4", memory: "32Gi" },
      allocatable: { pods: "110", cpu: "4", memory: "32Gi" },
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

/** What upstream's own benchmark asks of an API server. */
export const PLAIN_ADMISSION = "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,Priority";
/** Upstream's own benchmark makes so many pods at once. */
export const CREATING = 30;

const IN_USE = "sched-1";
/** Where pods are that were there before. */
export const INIT_NAMESPACE = "sched-0";

let serial = 0;

/** A pod as upstream's own benchmark has them, and as the API server completes them. */
export function benchPod(spec: Partial<Pod["spec"]> = {}, labels?: Record<string, string>, namespace = IN_USE): Pod {
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
