import type { Container, ResourceQuota } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../json/json.ts";
import { printAmounts } from "./amounts.ts";
import { countedKinds, quotaEvaluatorOf, usageOf } from "./evaluators.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const object = (value: object): JsonObject => value as JsonObject;
const used = (group: string, resource: string, value: object): string =>
  printAmounts(quotaEvaluatorOf(group, resource)!.usage(object(value), NOW));
const of = (cpu: string, extra: Partial<Container> = {}): Container => ({
  name: `c${cpu}`,
  image: "i",
  resources: { requests: { cpu } },
  ...extra,
});
const pod = (spec: object, rest: object = {}): object => ({ metadata: { name: "p" }, spec, ...rest });
const COUNT = "count/pods=1";

describe("what a pod uses", () => {
  it.each<[string, object, string]>([
    ["itself", pod({ containers: [{ name: "a" }] }), `${COUNT},pods=1`],
    [
      "its containers together",
      pod({ containers: [of("100m"), of("200m")] }),
      `${COUNT},cpu=300m,pods=1,requests.cpu=300m`,
    ],
    [
      "the largest init container, if that is more",
      pod({ containers: [of("100m")], initContainers: [of("1"), of("500m")] }),
      `${COUNT},cpu=1,pods=1,requests.cpu=1`,
    ],
    [
      "its sidecars beside all that runs after them",
      pod({
        containers: [of("100m")],
        initContainers: [of("200m"), of("300m", { restartPolicy: "Always" }), of("1")],
      }),
      `${COUNT},cpu=1300m,pods=1,requests.cpu=1300m`,
    ],
    [
      "its overhead; limits only where there are some",
      pod({
        containers: [{ name: "a", resources: { requests: { cpu: "1", memory: "1Mi" }, limits: { cpu: "2" } } }],
        overhead: { cpu: "250m", memory: "1Mi" },
      }),
      `${COUNT},cpu=1250m,limits.cpu=2250m,memory=2Mi,pods=1,requests.cpu=1250m,requests.memory=2Mi`,
    ],
    [
      "what is said for the pod as a whole",
      pod({ containers: [of("1")], resources: { requests: { cpu: "3" }, limits: { memory: "1Gi" } } }),
      `${COUNT},cpu=3,limits.memory=1Gi,pods=1,requests.cpu=3`,
    ],
    [
      "huge pages and extended resources",
      pod({ containers: [{ name: "a", resources: { requests: { "hugepages-2Mi": "4Mi", "example.com/gpu": "2" } } }] }),
      `${COUNT},hugepages-2Mi=4Mi,pods=1,requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi`,
    ],
    [
      "the most of wished, given and in force while it is resized",
      pod(
        { containers: [of("1")] },
        {
          status: {
            containerStatuses: [
              { name: "c1", resources: { requests: { cpu: "2" } }, allocatedResources: { cpu: "1500m" } },
            ],
          },
        },
      ),
      `${COUNT},cpu=2,pods=1,requests.cpu=2`,
    ],
    [
      "not what it wishes for and cannot have",
      pod(
        { containers: [of("9")] },
        {
          status: {
            conditions: [{ type: "PodResizePending", status: "True", reason: "Infeasible" }],
            containerStatuses: [
              { name: "c9", resources: { requests: { cpu: "2" } }, allocatedResources: { cpu: "2" } },
            ],
          },
        },
      ),
      `${COUNT},cpu=2,pods=1,requests.cpu=2`,
    ],
    ["only its object when it has ended", pod({ containers: [of("1")] }, { status: { phase: "Succeeded" } }), COUNT],
    [
      "only its object past its grace",
      {
        metadata: { deletionTimestamp: "2025-12-31T23:59:00Z", deletionGracePeriodSeconds: 30 },
        spec: { containers: [of("1")] },
      },
      COUNT,
    ],
  ])("%s", (_, value, expected) => expect(used("", "pods", value)).toBe(expected));
});

describe("what other objects use", () => {
  const service = (spec: object): object => ({ metadata: { name: "s" }, spec });
  const ports = [{ port: 1 }, { port: 2, nodePort: 30_001 }];
  const of1 = "count/services=1,services=1,services.loadbalancers";
  it.each<[string, string, object, string]>([
    ["a service", "services", service({ type: "ClusterIP", ports }), `${of1}=0,services.nodeports=0`],
    ["a NodePort service", "services", service({ type: "NodePort", ports }), `${of1}=0,services.nodeports=2`],
    ["a balanced one", "services", service({ type: "LoadBalancer", ports }), `${of1}=1,services.nodeports=2`],
    [
      "a balanced one without ports of its own",
      "services",
      service({ type: "LoadBalancer", allocateLoadBalancerNodePorts: false, ports }),
      `${of1}=1,services.nodeports=1`,
    ],
    [
      "a claim, by class",
      "persistentvolumeclaims",
      { metadata: {}, spec: { storageClassName: "gold", resources: { requests: { storage: "1Gi" } } } },
      "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi",
    ],
    [
      "a claim that was given more",
      "persistentvolumeclaims",
      {
        metadata: {},
        spec: { resources: { requests: { storage: "1Gi" } } },
        status: { allocatedResources: { storage: "3Gi" } },
      },
      "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=3Gi",
    ],
    ["a secret", "secrets", { metadata: {} }, "count/secrets=1,secrets=1"],
  ])("%s", (_, resource, value, expected) => expect(used("", resource, value)).toBe(expected));

  it("claims of devices, by class; of alternatives the largest", () => {
    const devices = {
      requests: [
        { name: "a", exactly: { deviceClassName: "gpu", allocationMode: "ExactCount", count: 2 } },
        { name: "b", exactly: { deviceClassName: "nic", allocationMode: "All" } },
        {
          name: "c",
          firstAvailable: [
            { name: "x", deviceClassName: "gpu", allocationMode: "ExactCount", count: 1 },
            { name: "y", deviceClassName: "gpu", allocationMode: "ExactCount", count: 4 },
          ],
        },
      ],
    };
    expect(used("resource.k8s.io", "resourceclaims", { metadata: {}, spec: { devices } })).toBe(
      "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=6,nic.deviceclass.resource.k8s.io/devices=32",
    );
  });

  it("custom resources count under their full name", () => {
    expect(used("example.com", "widgets", { metadata: {} })).toBe("count/widgets.example.com=1");
  });
  it("events and reviews are not counted", () => {
    expect(quotaEvaluatorOf("", "events")).toBeUndefined();
    expect(quotaEvaluatorOf("authorization.k8s.io", "localsubjectaccessreviews")).toBeUndefined();
  });
});

describe("scopes", () => {
  const quota = (spec: object): ResourceQuota => ({ metadata: { name: "q" }, spec: { hard: { pods: "9" }, ...spec } });
  const pods = [
    pod({ containers: [{ name: "a" }] }),
    pod({ containers: [of("1")], activeDeadlineSeconds: 60, priorityClassName: "high" }),
    pod({
      containers: [of("1")],
      priorityClassName: "low",
      affinity: {
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "k", namespaces: ["other"] }] },
      },
    }),
  ].map(object);
  const select = (scopeName: string, operator: string, values?: string[]): object => ({
    scopeSelector: { matchExpressions: [{ scopeName, operator, values }] },
  });
  it.each<[string, object, string]>([
    ["none: all", {}, "3"],
    ["Terminating", { scopes: ["Terminating"] }, "1"],
    ["NotTerminating", { scopes: ["NotTerminating"] }, "2"],
    ["BestEffort", { scopes: ["BestEffort"] }, "1"],
    ["NotBestEffort", { scopes: ["NotBestEffort"] }, "2"],
    ["all of several", { scopes: ["NotBestEffort", "Terminating"] }, "1"],
    ["a priority class at all", select("PriorityClass", "Exists"), "2"],
    ["no priority class", select("PriorityClass", "DoesNotExist"), "1"],
    ["one of some classes", select("PriorityClass", "In", ["high", "higher"]), "1"],
    ["another class or none", select("PriorityClass", "NotIn", ["high"]), "2"],
    ["affinity beyond the namespace", { scopes: ["CrossNamespacePodAffinity"] }, "1"],
    ["a scope of other kinds", select("VolumeAttributesClass", "Exists"), "0"],
  ])("%s", (_, spec, expected) => {
    expect(printAmounts(usageOf(quota(spec), quotaEvaluatorOf("", "pods")!, pods, NOW))).toBe(`pods=${expected}`);
  });
});

it("a quota's names tell which kinds it counts", () => {
  const names = [
    "requests.cpu",
    "count/deployments.apps",
    "configmaps",
    "gold.storageclass.storage.k8s.io/requests.storage",
  ];
  expect(countedKinds(names).map(({ group, resource }) => `${group}/${resource}`)).toEqual([
    "/pods",
    "/persistentvolumeclaims",
    "apps/deployments",
    "/configmaps",
  ]);
});
