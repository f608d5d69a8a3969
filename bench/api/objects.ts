/** The namespace that all loads work in. */
export const NAMESPACE = "bench";
export const PODS_PATH = `/api/v1/namespaces/${NAMESPACE}/pods`;

export const podName = (number: number): string => `pod-${String(number).padStart(6, "0")}`;

const environment = Array.from({ length: 12 }, (_, i) => ({
  name: `SETTING_NUMBER_${i}`,
  value: `a value of ordinary length for setting ${i}`,
}));

/** A pod as people write them, 2.4 KB of JSON. */
export function podBody(number: number): string {
  const labels = {
    app: "bench",
    "app.kubernetes.io/name": "bench",
    "app.kubernetes.io/part-of": "figures",
    shard: String(number % 100),
  };
  const probe = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10, timeoutSeconds: 2 };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: podName(number),
      namespace: NAMESPACE,
      labels,
      annotations: { "bench.example.com/purpose": "measuring how much work a request is ".repeat(6) },
    },
    spec: {
      automountServiceAccountToken: false,
      containers: [
        {
          name: "app",
          image: "registry.example.com/team/app:1.2.3",
          command: ["/app", "--listen=:8080", "--log-level=info"],
          env: environment,
          ports: [{ name: "http", containerPort: 8080 }],
          resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { cpu: "500m", memory: "128Mi" } },
          readinessProbe: probe,
          livenessProbe: probe,
          volumeMounts: [{ name: "work", mountPath: "/work" }],
        },
      ],
      nodeSelector: { "kubernetes.io/os": "linux" },
      volumes: [{ name: "work", emptyDir: {} }],
    },
  });
}
