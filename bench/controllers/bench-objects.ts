/** The namespace that the workloads live in. */
export const NAMESPACE = "bench";
const APP_LABEL = "app";

const POD_SPEC = {
  automountServiceAccountToken: false,
  // Nobody says of the simulated nodes that they are ready.
  tolerations: [{ operator: "Exists" }],
  terminationGracePeriodSeconds: 0,
  containers: [
    {
      name: "pause",
      image: "registry.k8s.io/pause:3.10.1",
      ports: [{ name: "http", containerPort: 80 }],
      resources: { requests: { cpu: "10m", memory: "16Mi" } },
    },
  ],
};

/** Where objects of a kind are posted to. */
export const paths = {
  deployments: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
  jobs: `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`,
  pods: `/api/v1/namespaces/${NAMESPACE}/pods`,
  services: `/api/v1/namespaces/${NAMESPACE}/services`,
  configMaps: `/api/v1/namespaces/${NAMESPACE}/configmaps`,
  secrets: `/api/v1/namespaces/${NAMESPACE}/secrets`,
  endpointSlices: `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`,
} as const;

/** A Deployment whose pods carry their Deployment's name as label. */
export function deployment(index: number, replicas: number): object {
  const name = `web-${index}`;
  const labels = { [APP_LABEL]: name };
  return {
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: POD_SPEC },
    },
  };
}

/** An indexed Job that may run all its pods at once. */
export function job(name: string, completions: number): object {
  return {
    metadata: { name },
    spec: {
      completions,
      parallelism: completions,
      completionMode: "Indexed",
      template: { spec: { ...POD_SPEC, restartPolicy: "Never" } },
    },
  };
}

export const podName = (index: number): string => `pod-${index}`;

/** A pod by itself. */
export function pod(index: number, app: string): object {
  return { metadata: { name: podName(index), labels: { [APP_LABEL]: app } }, spec: POD_SPEC };
}

export function service(app: string): object {
  return {
    metadata: { name: app },
    spec: { selector: { [APP_LABEL]: app }, ports: [{ name: "http", port: 80, targetPort: "http" }] },
  };
}

/** A config map or, with `stringData` as the member, a secret; with an owner if one is given. */
export function settings(
  index: number,
  member: "data" | "stringData",
  ownerReferences: readonly object[] = [],
): object {
  return {
    metadata: { name: `settings-${index}`, ownerReferences },
    [member]: { serial: String(index), address: "a setting of ordinary length" },
  };
}

export const nodeName = (index: number): string => `node-${index}`;

/** A node with room for everything. */
export function nodeBody(index: number): object {
  const room = { cpu: "64", memory: "256Gi", pods: "1000" };
  const at = "2026-01-01T00:00:00Z";
  const ready = { type: "Ready", status: "True", reason: "KubeletReady", lastHeartbeatTime: at };
  return {
    metadata: { name: nodeName(index), labels: { "kubernetes.io/hostname": nodeName(index) } },
    status: { capacity: room, allocatable: room, conditions: [{ ...ready, lastTransitionTime: at }] },
  };
}
