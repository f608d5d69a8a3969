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

export const CONFIG_MAPS_PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`;

export const configMapName = (number: number): string => `config-${String(number).padStart(6, "0")}`;

/** Eight settings of ordinary length, one of them as the serial number says. */
function settings(serial: number): Record<string, string> {
  const data: Record<string, string> = { serial: String(serial) };
  for (let i = 0; i < 8; i++) data[`setting-${i}`] = `a value of ordinary length for setting ${i}`;
  return data;
}

/** A config map, 0.6 KB of JSON. */
export function configMapBody(number: number, serial: number): string {
  const metadata = { name: configMapName(number), namespace: NAMESPACE, labels: { app: "bench" } };
  return JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata, data: settings(serial) });
}

const GROUP = "bench.example.com";
export const DEFINITIONS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
export const WIDGETS_PATH = `/apis/${GROUP}/v1/namespaces/${NAMESPACE}/widgets`;

/** A custom object that holds what the config map holds, under a schema and four CEL rules. */
export function widgetBody(number: number, serial: number): string {
  const metadata = { name: configMapName(number), namespace: NAMESPACE, labels: { app: "bench" } };
  const spec = { replicas: serial % 9, min: 0, max: 10, mode: "Auto", settings: settings(serial) };
  return JSON.stringify({ apiVersion: `${GROUP}/v1`, kind: "Widget", metadata, spec });
}

/** A definition of the kind that operators write: structural schema, defaults, CEL rules, status. */
export function definitionBody(plural: string, kind: string): string {
  const spec = {
    type: "object",
    required: ["replicas"],
    properties: {
      replicas: { type: "integer", minimum: 0, maximum: 100 },
      min: { type: "integer", default: 0 },
      max: { type: "integer", default: 10 },
      mode: { type: "string", enum: ["Auto", "Manual"], default: "Auto" },
      paused: { type: "boolean", default: false },
      settings: {
        type: "object",
        maxProperties: 64,
        additionalProperties: { type: "string", maxLength: 256 },
        "x-kubernetes-validations": [{ rule: "self.all(key, key.size() <= 63)", message: "keys are short" }],
      },
    },
    "x-kubernetes-validations": [
      { rule: "self.min <= self.replicas && self.replicas <= self.max", message: "replicas are within bounds" },
      { rule: "self.mode != 'Manual' || !self.paused", message: "only automatic ones pause" },
      { rule: "self.mode == oldSelf.mode", message: "the mode stays" },
    ],
  };
  const schema = {
    openAPIV3Schema: {
      type: "object",
      properties: { spec, status: { type: "object", properties: { ready: { type: "integer" } } } },
    },
  };
  return JSON.stringify({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: "v1", served: true, storage: true, subresources: { status: {} }, schema }],
    },
  });
}
