import type { Draft } from "@coracle/apimachinery";
import { deleteNow } from "./mutations.ts";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

const CONTAINER: Draft = { name: "c", image: "i" };
const OLD_LABEL = { "beta.kubernetes.io/os": "linux" };
const OLD_TERM = { matchExpressions: [{ key: "beta.kubernetes.io/arch", operator: "In", values: ["a"] }] };

/** Specs of pods that are sound but odd, each in its way. */
const ODD_PODS: Readonly<Record<string, { readonly spec: Draft; readonly annotations?: Draft }>> = {
  "old labels": {
    spec: {
      nodeSelector: OLD_LABEL,
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [OLD_TERM] },
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 1,
              preference: {
                matchExpressions: [{ key: "node-role.kubernetes.io/master", operator: "In", values: ["a b", "c"] }],
              },
            },
          ],
        },
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "a" }],
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: "a" } }],
        },
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "a" }],
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: "a" } }],
        },
      },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: "failure-domain.beta.kubernetes.io/zone", whenUnsatisfiable: "DoNotSchedule" },
      ],
    },
  },
  annotations: {
    annotations: {
      "scheduler.alpha.kubernetes.io/critical-pod": "",
      "security.alpha.kubernetes.io/sysctls": "",
      "security.alpha.kubernetes.io/unsafe-sysctls": "",
    },
    spec: {},
  },
  seccomp: {
    annotations: {
      "seccomp.security.alpha.kubernetes.io/pod": "runtime/default",
      "container.seccomp.security.alpha.kubernetes.io/c": "runtime/default",
    },
    spec: {},
  },
  AppArmor: { annotations: { "container.apparmor.security.beta.kubernetes.io/c": "unconfined" }, spec: {} },
  "AppArmor as the pod": {
    annotations: { "container.apparmor.security.beta.kubernetes.io/c": "runtime/default" },
    spec: { securityContext: { appArmorProfile: { type: "RuntimeDefault" } } },
  },
  volumes: {
    spec: {
      volumes: [
        { name: "a", photonPersistentDisk: { pdID: "x" } },
        { name: "b", gitRepo: { repository: "x" } },
        { name: "d", scaleIO: { gateway: "g", system: "s", secretRef: { name: "n" }, volumeName: "v" } },
        { name: "e", flocker: { datasetName: "x" } },
        { name: "f", storageos: { volumeName: "x", volumeNamespace: "y" } },
        { name: "g", quobyte: { registry: "a:1", volume: "v" } },
        { name: "h", glusterfs: { endpoints: "e", path: "p" } },
        { name: "i", cephfs: { monitors: ["m"] } },
        { name: "j", rbd: { monitors: ["m"], image: "i" } },
        {
          name: "k",
          ephemeral: {
            volumeClaimTemplate: {
              spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1500m" } } },
            },
          },
        },
      ],
    },
  },
  "files of volumes": {
    spec: {
      volumes: [
        { name: "a", configMap: { name: "m", items: files("p", "p/q", "r", "r", "s", "st") } },
        { name: "b", secret: { secretName: "s", items: files("p/q", "p") } },
        {
          name: "d",
          downwardAPI: {
            items: [
              { path: "p", fieldRef: { fieldPath: "metadata.name" } },
              { path: "p/q", fieldRef: { fieldPath: "metadata.name" } },
            ],
          },
        },
        {
          name: "e",
          projected: {
            sources: [
              { configMap: { name: "m", items: files("p") } },
              {},
              { secret: { name: "s", items: files("p/q") } },
              { serviceAccountToken: { path: "p" } },
              { downwardAPI: { items: [{ path: "x", fieldRef: { fieldPath: "metadata.name" } }] } },
              { serviceAccountToken: { path: "x" } },
            ],
          },
        },
      ],
    },
  },
  "names twice": {
    spec: {
      hostAliases: [
        { ip: "1.2.3.4", hostnames: ["a"] },
        { ip: "1.2.3.4", hostnames: ["b"] },
        { ip: "::ffff:1.2.3.4", hostnames: ["b"] },
        { ip: "2001:DB8::1", hostnames: ["b"] },
      ],
      imagePullSecrets: [{ name: "a" }, { name: "a" }, { name: "" }],
      dnsConfig: { nameservers: ["2001:db8:0::1"] },
    },
  },
  amounts: {
    spec: {
      containers: [
        {
          ...CONTAINER,
          resources: {
            limits: { memory: "1500m", "ephemeral-storage": "2.5" },
            requests: { memory: "1500m", "ephemeral-storage": "0.0001" },
          },
        },
      ],
      terminationGracePeriodSeconds: -5,
    },
  },
  variables: {
    spec: {
      containers: [
        {
          ...CONTAINER,
          env: [
            { name: "A", value: "1" },
            { name: "A", value: "$(A)" },
            { name: "A", value: "$(A)2" },
            { name: "A", value: "3" },
            { name: "B", value: "$(A)" },
            { name: "B", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          ],
        },
      ],
    },
  },
  ports: {
    spec: {
      initContainers: [
        { ...CONTAINER, name: "s", restartPolicy: "Always", ports: [{ containerPort: 80, name: "web", hostPort: 90 }] },
      ],
      containers: [
        {
          ...CONTAINER,
          ports: [
            { containerPort: 80, name: "web" },
            { containerPort: 80, hostIP: "1.2.3.4" },
            { containerPort: 80, hostPort: 90, hostIP: "1.2.3.4" },
            { containerPort: 80, protocol: "UDP" },
            { containerPort: 80 },
          ],
        },
      ],
    },
  },
};

function files(...paths: readonly string[]): Draft[] {
  return paths.map((path, i) => ({ key: `k${i}`, path }));
}

const podSpec = (more: Draft): Draft => ({ containers: [CONTAINER], ...more });

const TEMPLATE_LABELS = { app: "odd" };

/** What makes pods of a template: path, type, and the template's place. */
const WORKLOADS: readonly (readonly [string, string, string, (template: Draft) => Draft])[] = [
  ["/api/v1/namespaces/default/replicationcontrollers", "v1", "ReplicationController", replicated],
  ["/apis/apps/v1/namespaces/default/deployments", "apps/v1", "Deployment", selecting],
  ["/apis/apps/v1/namespaces/default/replicasets", "apps/v1", "ReplicaSet", selecting],
  ["/apis/apps/v1/namespaces/default/daemonsets", "apps/v1", "DaemonSet", selecting],
  [
    "/apis/apps/v1/namespaces/default/statefulsets",
    "apps/v1",
    "StatefulSet",
    (template) => ({
      ...selecting(template),
      serviceName: "s",
      revisionHistoryLimit: -1,
      volumeClaimTemplates: [
        {
          metadata: { name: "v" },
          spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1500m" } } },
        },
      ],
    }),
  ],
  ["/apis/batch/v1/namespaces/default/jobs", "batch/v1", "Job", jobOf],
  [
    "/apis/batch/v1/namespaces/default/cronjobs",
    "batch/v1",
    "CronJob",
    (template) => ({ schedule: "* * * * *", jobTemplate: { spec: jobOf(template) } }),
  ],
];

function replicated(template: Draft): Draft {
  return { replicas: 0, selector: TEMPLATE_LABELS, template };
}

function selecting(template: Draft): Draft {
  return { selector: { matchLabels: TEMPLATE_LABELS }, template };
}

function jobOf(template: Draft): Draft {
  return {
    completionMode: "Indexed",
    completions: 100_001,
    parallelism: 10_001,
    template: { ...template, spec: { ...(template["spec"] as Draft), restartPolicy: "Never" } },
  };
}

interface Odd {
  readonly path: string;
  readonly object: Draft;
  /** A change of it, that upstream looks at again. */
  readonly change?: Draft;
}

const odd = (path: string, apiVersion: string, kind: string, rest: Draft, metadata: Draft = {}): Odd => ({
  path,
  object: { apiVersion, kind, metadata: { name: "odd", ...metadata }, ...rest },
});

const core = (plural: string, kind: string, rest: Draft, metadata: Draft = {}): Odd =>
  odd(`/api/v1/namespaces/default/${plural}`, "v1", kind, rest, metadata);

const NO_PEM = Buffer.from("x").toString("base64");
const CLAIM = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1500m" } } };

const OWNER = { apiVersion: "v1", kind: "ConfigMap", name: "a", uid: "11111111-1111-1111-1111-111111111111" };
const OTHER_OWNER = { ...OWNER, uid: "22222222-2222-2222-2222-222222222222" };

const ODD_OBJECTS: Readonly<Record<string, Odd>> = {
  claim: core(
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    { spec: CLAIM },
    { annotations: beta("storage-class") },
  ),
  secret: core("secrets", "Secret", { type: "kubernetes.io/tls", data: { "tls.crt": NO_PEM, "tls.key": NO_PEM } }),
  quota: core("resourcequotas", "ResourceQuota", {
    spec: { hard: { cpu: "2", "limits.cpu": "1", "requests.memory": "2Gi", "limits.memory": "1.5Gi" } },
  }),
  "owners twice": core(
    "configmaps",
    "ConfigMap",
    {},
    { ownerReferences: [OWNER, OTHER_OWNER, OWNER, { ...OWNER, name: "b" }] },
  ),
  account: core(
    "serviceaccounts",
    "ServiceAccount",
    {},
    { annotations: { "kubernetes.io/enforce-mountable-secrets": "true" } },
  ),
  endpoints: core("endpoints", "Endpoints", {
    subsets: [
      {
        addresses: [{ ip: "::ffff:1.2.3.4" }, { ip: "010.1.1.1" }],
        notReadyAddresses: [{ ip: "2001:DB8::1" }],
        ports: [{ port: 1 }],
      },
    ],
  }),
  "headless service": core("services", "Service", {
    spec: { clusterIP: "None", sessionAffinity: "ClientIP", externalIPs: ["2001:DB8::1"], ports: [{ port: 1 }] },
  }),
  service: core(
    "services",
    "Service",
    {
      spec: {
        type: "LoadBalancer",
        externalName: "a",
        trafficDistribution: "PreferClose",
        loadBalancerIP: "::ffff:1.2.3.4",
        externalIPs: ["010.1.1.1"],
        loadBalancerSourceRanges: ["10.0.0.1/8", "2001:DB8::/32", "::ffff:1.2.3.0/120", "010.0.0.0/8", "10.0.0.0/08"],
        ports: [{ port: 1 }],
      },
    },
    { annotations: { "service.kubernetes.io/topology-aware-hints": "auto" } },
  ),
  slice: odd("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", "discovery.k8s.io/v1", "EndpointSlice", {
    addressType: "IPv6",
    endpoints: [{ addresses: ["2001:DB8::1"] }],
    ports: [],
  }),
  "old slice": odd(
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "discovery.k8s.io/v1",
    "EndpointSlice",
    {
      addressType: "IPv4",
      endpoints: [{ addresses: ["010.1.1.1"] }],
      ports: [],
    },
  ),
  "slice of names": odd(
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "discovery.k8s.io/v1",
    "EndpointSlice",
    {
      addressType: "FQDN",
      endpoints: [{ addresses: ["example.com"] }],
      ports: [],
    },
  ),
  ingress: odd(
    "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
    "networking.k8s.io/v1",
    "Ingress",
    { spec: { defaultBackend: { service: { name: "s", port: { number: 1 } } } } },
    { annotations: { "kubernetes.io/ingress.class": "a" } },
  ),
  policy: odd(
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
    "networking.k8s.io/v1",
    "NetworkPolicy",
    {
      spec: {
        podSelector: {},
        ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.1/8", except: ["10.1.0.1/16"] } }] }],
        egress: [{ to: [{ ipBlock: { cidr: "2001:DB8::/32" } }] }],
      },
    },
  ),
  volume: odd(
    "/api/v1/persistentvolumes",
    "v1",
    "PersistentVolume",
    {
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy: "Recycle",
        nfs: { server: "s", path: "/tmp" },
        nodeAffinity: { required: { nodeSelectorTerms: [OLD_TERM] } },
      },
    },
    { annotations: { ...beta("storage-class"), ...beta("mount-options") } },
  ),
  "old volume": odd("/api/v1/persistentvolumes", "v1", "PersistentVolume", {
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      storageos: { volumeName: "a", volumeNamespace: "b" },
    },
  }),
  node: odd("/api/v1/nodes", "v1", "Node", {
    spec: { externalID: "x", podCIDRs: ["10.0.0.1/24"], podCIDR: "10.0.0.1/24" },
  }),
  "storage class": odd("/apis/storage.k8s.io/v1/storageclasses", "storage.k8s.io/v1", "StorageClass", {
    provisioner: "p",
    allowedTopologies: [{ matchLabelExpressions: [{ key: "beta.kubernetes.io/os", values: ["a"] }] }],
  }),
  capacity: odd(
    "/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities",
    "storage.k8s.io/v1",
    "CSIStorageCapacity",
    { storageClassName: "a", nodeTopology: { matchLabels: OLD_LABEL, ...OLD_TERM } },
  ),
  "runtime class": odd("/apis/node.k8s.io/v1/runtimeclasses", "node.k8s.io/v1", "RuntimeClass", {
    handler: "h",
    scheduling: { nodeSelector: OLD_LABEL },
  }),
  definition: odd(
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    {
      spec: {
        group: "odd.example.com",
        scope: "Cluster",
        names: { plural: "odds", kind: "Odd" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: "object",
                properties: { a: { type: "string", format: "unheard-of" }, b: { type: "string", format: "other" } },
              },
            },
          },
        ],
      },
    },
    { name: "odds.odd.example.com" },
  ),
};

function beta(name: string): Draft {
  return { [`volume.beta.kubernetes.io/${name}`]: "a" };
}

/** Made, changed and changed back, each time looked at. */
function story(name: string, { path, object }: Odd): Chapter {
  const item = `${path}/${(object["metadata"] as Draft)["name"] as string}`;
  const label = (value: string): Step =>
    patchStep(`warnings: ${name}, label`, "merge", item, { metadata: { labels: { odd: value } } });
  return [
    jsonStep(`warnings: ${name}, create`, "POST", path, object),
    label("a"),
    jsonStep(`warnings: ${name}, update`, "PUT", item, object),
    patchStep(`warnings: ${name}, merge`, "merge", item, { spec: { paused: true, suspend: true, minReadySeconds: 1 } }),
    patchStep(`warnings: ${name}, apply`, "apply", `${item}?fieldManager=a&force=true`, object),
    jsonStep("warnings: delete", "DELETE", item, deleteNow(), { isSetUp: true }),
  ];
}

/** What is sound but odd, and what each server says of it in warnings. */
export function warnings(): Chapter {
  const pods = Object.entries(ODD_PODS).flatMap(([name, { spec, annotations = {} }]) => [
    ...story(`pod with ${name}`, core("pods", "Pod", { spec: podSpec(spec) }, { annotations })),
    ...WORKLOADS.flatMap(([path, apiVersion, kind, wrap]) => {
      const template = { metadata: { labels: TEMPLATE_LABELS, annotations }, spec: podSpec(spec) };
      return story(`${kind} with ${name}`, odd(path, apiVersion, kind, { spec: wrap(template) }));
    }),
    ...story(
      `PodTemplate with ${name}`,
      core("podtemplates", "PodTemplate", { template: { metadata: { annotations }, spec: podSpec(spec) } }),
    ),
  ]);
  const many = jsonStep(
    "warnings: too many indexes",
    "POST",
    "/apis/batch/v1/namespaces/default/jobs",
    odd("", "batch/v1", "Job", {
      spec: { ...jobOf({ spec: podSpec({}) }), backoffLimitPerIndex: 1, maxFailedIndexes: 100_002 },
    }).object,
  );
  const mounted = jsonStep(
    "warnings: mount options",
    "POST",
    "/api/v1/persistentvolumes",
    odd(
      "",
      "v1",
      "PersistentVolume",
      { spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp" } } },
      { annotations: beta("mount-options") },
    ).object,
  );
  const owners = [
    jsonStep("owners twice: create", "POST", "/api/v1/namespaces/default/configmaps", core("", "ConfigMap", {}).object),
    patchStep("owners twice: merge", "merge", "/api/v1/namespaces/default/configmaps/odd", {
      metadata: { ownerReferences: [OWNER, OWNER] },
    }),
    jsonStep("owners twice: delete", "DELETE", "/api/v1/namespaces/default/configmaps/odd", deleteNow()),
  ];
  const broken = ["", "x", "{a}", '{"a":1 2}', '"a', "[]", "1", "true", "null", "{}", "tru", '{"a":"\\x"}', "é"].map(
    (text) =>
      jsonStep(
        "broken JSON in a secret",
        "POST",
        "/api/v1/namespaces/default/secrets?dryRun=All",
        core("secrets", "Secret", {
          type: "kubernetes.io/dockerconfigjson",
          data: { ".dockerconfigjson": Buffer.from(text).toString("base64") },
        }).object,
      ),
  );
  const names = WORKLOADS.flatMap(([path, apiVersion, kind, wrap]) =>
    story(
      `${kind} with a long name`,
      odd(
        path,
        apiVersion,
        kind,
        { spec: wrap({ metadata: { labels: TEMPLATE_LABELS }, spec: podSpec({}) }) },
        { name: "a.b" },
      ),
    ),
  );
  const addresses = [{ ip: "2001:DB8::1" }];
  const statuses: readonly (readonly [string, Odd, Draft])[] = [
    [
      "pod",
      core("pods", "Pod", { spec: podSpec({}) }),
      { podIP: "2001:DB8::1", podIPs: addresses, hostIPs: addresses },
    ],
    ["service", ODD_OBJECTS["service"] as Odd, { loadBalancer: { ingress: addresses } }],
    ["ingress", ODD_OBJECTS["ingress"] as Odd, { loadBalancer: { ingress: addresses } }],
  ];
  return [
    ...pods,
    ...names,
    many,
    mounted,
    ...broken,
    ...owners,
    ...Object.entries(ODD_OBJECTS).flatMap(([name, object]) => story(name, object)),
    ...statuses.flatMap(([name, { path, object }, status]) => [
      jsonStep("warnings: create", "POST", path, object, { isSetUp: true }),
      patchStep(`warnings: status of ${name}`, "merge", `${path}/odd/status`, { status }),
      jsonStep("warnings: delete", "DELETE", `${path}/odd`, deleteNow(), { isSetUp: true }),
    ]),
  ];
}
