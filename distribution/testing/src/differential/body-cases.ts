import type { Draft } from "@coracle/apimachinery";

/** The collection that the protocol is asked with. */
export const MAPS = "/api/v1/namespaces/default/configmaps";

/** A config map. */
export const map = (name: string, more: Draft = {}): Draft => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, labels: { paging: "yes" } },
  ...more,
});

const DEEP = 20_000;

/** Bodies that no decoder should take, or not all of. */
export const BODIES: readonly (readonly [string, string | Buffer, string?])[] = [
  ["empty", ""],
  ["null", "null"],
  ["text", '"text"'],
  ["number", "1"],
  ["list", "[]"],
  ["not JSON", "{"],
  ["cut off", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"'],
  ["trailing text", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"tail"}} x'],
  ["single quotes", "{'kind':'ConfigMap'}"],
  [
    "bad UTF-8",
    Buffer.from('{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"utf"},"data":{"a":"\xff\xfe"}}', "latin1"),
  ],
  ["bad escape", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"esc"},"data":{"a":"\\q"}}'],
  ["lone surrogate", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"sur"},"data":{"a":"\\ud800"}}'],
  ["kind a number", '{"kind":1,"apiVersion":"v1","metadata":{"name":"x"}}'],
  ["no kind", '{"metadata":{"name":"nokind"}}'],
  ["kind only", '{"kind":"ConfigMap","metadata":{"name":"kindonly"}}'],
  ["metadata text", '{"kind":"ConfigMap","apiVersion":"v1","metadata":"x"}'],
  ["metadata list", '{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}'],
  ["labels list", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","labels":[]}}'],
  ["data number", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":1}}'],
  ["binary data not base64", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"binaryData":{"a":"?"}}'],
  ["huge number", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","generation":1e999}}'],
  ["large integer", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","generation":99999999999999999999}}'],
  ["fraction", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","generation":1.5}}'],
  ["exponent", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","generation":1e2}}'],
  ["negative zero", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","generation":-0}}'],
  ["bad time", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","creationTimestamp":"yesterday"}}'],
  ["wrong case", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"Data":{"a":"b"}}'],
  [
    "duplicate member",
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","name":"y"},"data":{"a":"1","a":"2"}}',
  ],
  [
    "deep",
    `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"unheardOf":${"[".repeat(DEEP)}${"]".repeat(DEEP)}}`,
  ],
  ["deep objects", `{"kind":"ConfigMap","apiVersion":"v1","unheardOf":${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}}`],
  [
    "too large",
    `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"${"x".repeat(3_200_000)}"}}`,
  ],
  [
    "large for the kind",
    `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"${"x".repeat(1_100_000)}"}}`,
  ],
  [
    "large annotations",
    `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","annotations":{"a":"${"x".repeat(270_000)}"}}}`,
  ],
  ["form", "a=b", "application/x-www-form-urlencoded"],
  ["plain text", "{}", "text/plain"],
  ["no such type", "{}", "nonsense"],
  ["cbor", Buffer.from([0xd9, 0xd9, 0xf7, 0xa0]), "application/cbor"],
  ["protobuf garbage", Buffer.from("k8s\0garbage"), "application/vnd.kubernetes.protobuf"],
  ["protobuf without its start", Buffer.from("garbage"), "application/vnd.kubernetes.protobuf"],
  ["protobuf empty", Buffer.alloc(0), "application/vnd.kubernetes.protobuf"],
  ["yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml}\ndata: {a: b}\n", "application/yaml"],
  ["yaml broken", "kind: [ConfigMap\n", "application/yaml"],
  ["yaml twice", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml2}\ndata: {a: b, a: c}\n", "application/yaml"],
  [
    "yaml number as text",
    "kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml3}\ndata: {a: 1}\n",
    "application/yaml",
  ],
  [
    "yaml alias",
    "kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml4, labels: &l {a: b}, annotations: *l}\n",
    "application/yaml",
  ],
  ["json said to be yaml", '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"yaml5"}}', "application/yaml"],
  [
    "charset",
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"charset"}}',
    "application/json; charset=utf-8",
  ],
];

/** Metadata that is wrong in one way or another. */
export const META_CASES: readonly Draft[] = [
  {},
  { name: "" },
  { name: "Upper" },
  { name: "a..b" },
  { name: "x".repeat(254) },
  { generateName: "Upper-" },
  { generateName: "diff-generated-" },
  { name: "x", namespace: "other" },
  { name: "x", labels: { "bad key": "v" } },
  { name: "x", labels: { k: "bad value!" } },
  { name: "x", labels: { k: "x".repeat(64) } },
  { name: "x", labels: { "a/b/c": "v", "/x": "y" } },
  { name: "x", annotations: { "bad key": "v" } },
  { name: "x", annotations: { UPPER: "v", "Up.Per/Name": "w" } },
  { name: "x", finalizers: ["a", "b c", "", "kubernetes", "x.io/y"] },
  { name: "x", finalizers: ["foregroundDeletion", "orphan"] },
  { name: "x", ownerReferences: [{}] },
  { name: "x", ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "u" }] },
  {
    name: "x",
    ownerReferences: [
      { apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true },
      { apiVersion: "v1", kind: "Pod", name: "q", uid: "v", controller: true },
    ],
  },
  { name: "x", ownerReferences: [{ apiVersion: "v1", kind: "Event", name: "p", uid: "u" }] },
  { name: "x", ownerReferences: [{ apiVersion: "a/b/c", kind: "Pod", name: "p", uid: "u" }] },
  { name: "x", generation: -1 },
  { name: "x", generation: 7, selfLink: "/x", uid: "mine", creationTimestamp: "2020-01-01T00:00:00Z" },
  { name: "x", deletionTimestamp: "2020-01-01T00:00:00Z", deletionGracePeriodSeconds: 5 },
  { name: "x", managedFields: [{}] },
  {
    name: "x",
    managedFields: [{ manager: "m", operation: "Update", apiVersion: "v1", fieldsType: "FieldsV1", fieldsV1: {} }],
  },
  { name: "x", managedFields: [{ manager: "m", operation: "Other", apiVersion: "v1", fieldsType: "Other" }] },
];
