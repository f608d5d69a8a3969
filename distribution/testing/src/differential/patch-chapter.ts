import type { Draft } from "@coracle/apimachinery";
import { MAPS, map } from "./body-cases.ts";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

const DOCUMENT = { a: "1", b: "2", "c.d": "3", "e-": "4" };

const JSON_PATCHES: readonly unknown[] = [
  [],
  [{ op: "add", path: "/data/new", value: "x" }],
  [{ op: "replace", path: "/data/a", value: "x" }],
  [{ op: "replace", path: "/data/absent", value: "x" }],
  [{ op: "remove", path: "/metadata/annotations/c~1d" }],
  [{ op: "remove", path: "/data/e-" }],
  [{ op: "move", from: "/data/a", path: "/data/z" }],
  [{ op: "move", from: "/data/absent", path: "/data/z" }],
  [{ op: "copy", from: "/data/a", path: "/data/z" }],
  [{ op: "copy", from: "/absent/a", path: "/data/z" }],
  [{ op: "test", path: "/data/a", value: "1" }],
  [{ op: "test", path: "/data/a", value: "2" }],
  [{ op: "test", path: "/data/absent", value: null }],
  [{ op: "test", path: "/data/absent", value: "x" }],
  [{ op: "test", path: "/absent/deeper", value: "x" }],
  [{ op: "other", path: "/data/a" }],
  [{ path: "/data/a" }],
  [{ op: "add", path: "/data/x" }],
  [{ op: "add", value: "x" }],
  [{ op: "add", path: "data/x", value: "y" }],
  [{ op: "add", path: "", value: {} }],
  [{ op: "add", path: "/absent/deeper", value: "x" }],
  [{ op: "add", path: "/metadata/finalizers/-", value: "x.io/y" }],
  [
    { op: "add", path: "/metadata/finalizers", value: ["x.io/y"] },
    { op: "add", path: "/metadata/finalizers/7", value: "x.io/z" },
  ],
  [
    { op: "add", path: "/metadata/finalizers", value: ["x.io/y"] },
    { op: "add", path: "/metadata/finalizers/x", value: "x.io/z" },
  ],
  [
    { op: "add", path: "/metadata/finalizers", value: ["x.io/y"] },
    { op: "remove", path: "/metadata/finalizers/3" },
  ],
  [
    { op: "add", path: "/metadata/finalizers", value: ["x.io/y"] },
    { op: "replace", path: "/metadata/finalizers/0", value: "x.io/w" },
  ],
  [{ op: "replace", path: "/metadata/name", value: "other" }],
  [{ op: "remove", path: "/metadata/name" }],
  [{ op: "replace", path: "/kind", value: "Other" }],
  [{ op: "remove", path: "/kind" }],
  [{ op: "remove", path: "/metadata" }],
  [{ op: "replace", path: "/data", value: "text" }],
  [{ op: "replace", path: "/data", value: null }],
  [null],
  ["text"],
  "text",
  null,
  {},
  Array.from({ length: 10_001 }, () => ({ op: "test", path: "/data/a", value: "1" })),
];

const MERGE_PATCHES: readonly unknown[] = [
  null,
  "text",
  1,
  { data: null },
  { data: "text" },
  { data: { a: null } },
  { data: { a: 1 } },
  { kind: "Other" },
  { kind: null },
  { apiVersion: "v2" },
  { metadata: null },
  { metadata: { name: "other" } },
  { metadata: { namespace: "other" } },
  { metadata: { uid: "other" } },
  { metadata: { generation: 9, creationTimestamp: null, resourceVersion: null } },
  { metadata: { managedFields: [] } },
  { metadata: { managedFields: [{}] } },
  { metadata: { managedFields: null } },
  { immutable: true },
  { immutable: "yes" },
];

const STRATEGIC_PATCHES: readonly unknown[] = [
  { spec: { template: { spec: { containers: [{ name: "c", image: "new" }] } } } },
  { spec: { template: { spec: { containers: [{ name: "extra", image: "x" }] } } } },
  { spec: { template: { spec: { containers: [{ image: "nameless" }] } } } },
  { spec: { template: { spec: { containers: [{ name: "c", $patch: "delete" }] } } } },
  { spec: { template: { spec: { containers: [{ $patch: "replace" }, { name: "only", image: "x" }] } } } },
  { spec: { template: { spec: { containers: [{ $patch: "other", name: "c" }] } } } },
  { spec: { template: { spec: { containers: null } } } },
  { spec: { template: { spec: { containers: "text" } } } },
  { spec: { template: { spec: { $setElementOrder: 1 } } } },
  {
    spec: {
      template: {
        spec: {
          "$setElementOrder/containers": [{ name: "extra" }, { name: "c" }],
          containers: [{ name: "extra", image: "x" }],
        },
      },
    },
  },
  {
    spec: {
      template: {
        spec: { "$setElementOrder/containers": [{ name: "c" }], containers: [{ name: "extra", image: "x" }] },
      },
    },
  },
  {
    spec: {
      template: {
        spec: { containers: [{ name: "c", ports: [{ containerPort: 80 }, { containerPort: 81, name: "b" }] }] },
      },
    },
  },
  {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: "c",
              env: [
                { name: "A", value: "b" },
                { name: "A", value: "c" },
              ],
            },
          ],
        },
      },
    },
  },
  { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } },
  { spec: { strategy: { $retainKeys: ["rollingUpdate"], type: "Recreate" } } },
  { spec: { strategy: { $retainKeys: "type", type: "Recreate" } } },
  { spec: { strategy: { type: "Recreate" } } },
  { spec: { strategy: { $patch: "replace", type: "Recreate" } } },
  { spec: { strategy: { $patch: "delete" } } },
  { spec: { template: { spec: { tolerations: [{ key: "a", operator: "Exists" }] } } } },
  {
    spec: {
      template: {
        spec: {
          volumes: [
            { name: "v", emptyDir: {} },
            { name: "v", emptyDir: {} },
          ],
        },
      },
    },
  },
  { spec: { template: { spec: { imagePullSecrets: [{ name: "a" }, { name: "b" }] } } } },
  { spec: { template: { spec: { hostAliases: [{ ip: "1.2.3.4", hostnames: ["a"] }] } } } },
  { metadata: { "$deleteFromPrimitiveList/finalizers": ["x.io/y"] } },
  { metadata: { "$deleteFromPrimitiveList/finalizers": "x.io/y" } },
  { metadata: { "$setElementOrder/finalizers": ["x.io/z", "x.io/y"], finalizers: ["x.io/z"] } },
  { metadata: { finalizers: ["x.io/z"] } },
  { metadata: { labels: { $patch: "delete" } } },
  { metadata: { labels: { $patch: "merge", a: "b" } } },
  { metadata: { ownerReferences: [{ uid: "u", name: "n", kind: "K", apiVersion: "v1" }] } },
  { metadata: { ownerReferences: [{ name: "n" }] } },
  { $patch: "replace", metadata: { name: "patched" } },
  { $patch: "delete" },
  { spec: { selector: { matchLabels: { other: "x" } } } },
  { spec: { replicas: "3" } },
  { spec: { replicas: 3.5 } },
  { spec: { replicas: null } },
  { spec: null },
  { unheardOf: { $patch: "replace" } },
  { spec: { unheardOf: [1, 2] } },
];

/** Patches of every kind, right and wrong, and their options. */
export function patching(): Chapter {
  const path = `${MAPS}/patched`;
  const deployments = "/apis/apps/v1/namespaces/default/deployments";
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "patched", finalizers: ["x.io/y"], labels: { l: "1" } },
    spec: {
      selector: { matchLabels: { app: "p" } },
      template: {
        metadata: { labels: { app: "p" } },
        spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: 80, name: "a" }] }] },
      },
    },
  };
  const text = (patch: unknown): string => (JSON.stringify(patch) ?? "").slice(0, 90);
  return [
    jsonStep(
      "set-up",
      "POST",
      MAPS,
      {
        ...map("patched", { data: DOCUMENT }),
        metadata: { name: "patched", annotations: { "c/d": "3" } },
      },
      { isSetUp: true },
    ),
    jsonStep("set-up", "POST", deployments, deployment, { isSetUp: true }),
    ...JSON_PATCHES.map((patch) => patchStep(`json patch: ${text(patch)}`, "json", `${path}?dryRun=All`, patch)),
    ...MERGE_PATCHES.map((patch) => patchStep(`merge patch: ${text(patch)}`, "merge", `${path}?dryRun=All`, patch)),
    ...STRATEGIC_PATCHES.flatMap((patch) => [
      patchStep(`strategic patch: ${text(patch)}`, "strategic", `${deployments}/patched?dryRun=All`, patch),
      patchStep(
        `strategic patch, strict: ${text(patch)}`,
        "strategic",
        `${deployments}/patched?dryRun=All&fieldValidation=Strict`,
        patch,
      ),
      patchStep(`merge patch: ${text(patch)}`, "merge", `${deployments}/patched?dryRun=All`, patch),
    ]),
    ...(["json", "merge", "strategic", "apply"] as const).flatMap((kind) =>
      [
        "",
        "{",
        "nonsense",
        "[1",
        '{"a":1}x',
        '{"a":1,"a":2}',
        '{"metadata":{"name":"a","name":"b"}}',
        "a: b\na: c\n",
        "a: &x [*x]",
        "\t- x",
      ].map((body): Step => ({
        ...patchStep(`${kind} patch: text ${JSON.stringify(body)}`, kind, `${path}?dryRun=All&fieldManager=m`, {}),
        body,
      })),
    ),
    ...[
      "application/json",
      "text/plain",
      "",
      "application/json-patch+json; charset=utf-8",
      "application/apply-patch+cbor",
    ].map((type): Step => ({
      topic: `patch type: ${type}`,
      method: "PATCH",
      path,
      body: "{}",
      headers: { "content-type": type },
    })),
    patchStep("patch options: force", "merge", `${path}?force=true`, {}),
    patchStep("patch options: fieldManager", "merge", `${path}?fieldManager=%07`, {}),
    patchStep("patch options: dryRun", "merge", `${path}?dryRun=x`, {}),
    patchStep("patch options: all wrong", "merge", `${path}?dryRun=x&force=true&fieldValidation=y`, {}),
    patchStep("patch options: apply without manager, all wrong", "apply", `${path}?dryRun=x&fieldValidation=y`, {}),
    ...applying(path),
    { topic: "patching: end", method: "DELETE", path },
  ];
}

function applying(path: string): Chapter {
  const config = (more: Draft, meta: Draft = {}): Draft => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "patched", ...meta },
    ...more,
  });
  const apply = (topic: string, query: string, body: unknown): Step =>
    patchStep(`apply: ${topic}`, "apply", `${path}?${query}`, body);
  return [
    apply("owns a", "fieldManager=one", config({ data: { a: "1" } })),
    apply("conflict with an updater", "fieldManager=one", config({ data: { a: "9", b: "9" } })),
    apply("force", "fieldManager=one&force=true", config({ data: { a: "9", b: "9" } })),
    apply("another, same value", "fieldManager=two", config({ data: { a: "9" } })),
    apply("another, other value", "fieldManager=two", config({ data: { a: "8" } })),
    apply("gives up b", "fieldManager=one", config({ data: { a: "9" } })),
    apply("gives up all", "fieldManager=one", config({})),
    apply("other version", "fieldManager=one", { ...config({}), apiVersion: "v2" }),
    apply("other kind", "fieldManager=one", { ...config({}), kind: "Secret" }),
    apply("other name", "fieldManager=one", config({}, { name: "other" })),
    apply("other namespace", "fieldManager=one", config({}, { namespace: "other" })),
    apply("no name", "fieldManager=one", { apiVersion: "v1", kind: "ConfigMap" }),
    apply("managedFields", "fieldManager=one", config({}, { managedFields: [] })),
    apply("managedFields null", "fieldManager=one", config({}, { managedFields: null })),
    apply("old version", "fieldManager=one", config({}, { resourceVersion: "1" })),
    apply("wrong uid", "fieldManager=one", config({}, { uid: "other" })),
    apply("text", "fieldManager=one", "text"),
    apply("number of wrong type", "fieldManager=one", config({ data: { a: 1 } })),
    apply("null member", "fieldManager=one", config({ data: { a: null } })),
    apply("long manager", `fieldManager=${"m".repeat(129)}`, config({})),
    apply("unprintable manager", "fieldManager=a%07", config({})),
    patchStep(
      "apply: creates",
      "apply",
      `${MAPS}/applied?fieldManager=one`,
      config({ data: { n: "1" } }, { name: "applied" }),
    ),
    patchStep(
      "apply: creates with uid",
      "apply",
      `${MAPS}/applied2?fieldManager=one`,
      config({}, { name: "applied2", uid: "x" }),
    ),
    patchStep(
      "apply: creates with version",
      "apply",
      `${MAPS}/applied3?fieldManager=one`,
      config({}, { name: "applied3", resourceVersion: "5" }),
    ),
    patchStep("apply: merge afterwards", "merge", `${MAPS}/applied?fieldManager=editor`, { data: { n: "2", m: "3" } }),
    patchStep("apply: owners afterwards", "merge", `${MAPS}/applied`, { metadata: { managedFields: [{}] } }),
    { topic: "apply: end", method: "DELETE", path: `${MAPS}/applied` },
    { topic: "apply: end", method: "DELETE", path: `${MAPS}/applied3` },
  ];
}
