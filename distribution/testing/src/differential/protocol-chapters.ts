import type { Draft } from "@coracle/apimachinery";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const MAPS = "/api/v1/namespaces/default/configmaps";
const map = (name: string, more: Draft = {}): Draft => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, labels: { paging: "yes" } },
  ...more,
});

const get = (topic: string, path: string, headers?: Record<string, string>, more: Partial<Step> = {}): Step => ({
  topic,
  method: "GET",
  path,
  ...(headers === undefined ? {} : { headers }),
  ...more,
});

/** Pages, versions and the errors of both. */
function paging(): Chapter {
  const names = ["a", "b", "c", "d", "e"].map((letter) => `page-${letter}`);
  const mine = `${MAPS}?labelSelector=paging%3Dyes`;
  const topic = "paging";
  const match = (query: string): Step => get(`${topic}: ?${query.replaceAll(/\{\{.*?\}\}/g, "V")}`, `${mine}&${query}`);
  return [
    ...names.map((name) => jsonStep("paging: made", "POST", MAPS, map(name), { save: name })),
    get("paging: first", `${mine}&limit=2`, undefined, { save: "first" }),
    get("paging: second", `${mine}&limit=2&continue={{first.metadata.continue}}`, undefined, { save: "second" }),
    get("paging: last", `${mine}&limit=2&continue={{second.metadata.continue}}`),
    get("paging: first, everything", `${MAPS}?limit=2`),
    get("paging: as table", `${mine}&limit=2`, { accept: TABLE }),
    get("paging: everywhere", "/api/v1/configmaps?limit=1"),
    match("continue=nonsense"),
    match("continue=e30"),
    match("limit=x"),
    match("limit=-1"),
    match("limit=0"),
    match("limit=2&continue={{first.metadata.continue}}&resourceVersion={{page-a.metadata.resourceVersion}}"),
    match("limit=2&continue={{first.metadata.continue}}&resourceVersionMatch=Exact"),
    match("continue={{first.metadata.continue}}&resourceVersion=0"),
    ...["", "0", "1", "{{page-c.metadata.resourceVersion}}", "99999999", "x", "-1", "01"].flatMap((version) =>
      ["", "Exact", "NotOlderThan", "Other"].flatMap((rule) =>
        ["", "2"].map((limit) =>
          match(
            [
              ...(version === "" ? [] : [`resourceVersion=${version}`]),
              ...(rule === "" ? [] : [`resourceVersionMatch=${rule}`]),
              ...(limit === "" ? [] : [`limit=${limit}`]),
            ].join("&"),
          ),
        ),
      ),
    ),
    match("sendInitialEvents=true"),
    match("timeoutSeconds=x"),
    match("allowWatchBookmarks=x"),
    match("watch=x"),
    match("watch=0"),
    ...["{{page-b.metadata.resourceVersion}}", "0", "x", "99999999", "", "1"].map((version) =>
      get(
        `get: ?resourceVersion=${version.startsWith("{") ? "V" : version}`,
        `${MAPS}/page-b?resourceVersion=${version}`,
      ),
    ),
    get("get: resourceVersionMatch", `${MAPS}/page-b?resourceVersionMatch=Exact`),
    { topic: "deletecollection", method: "DELETE", path: `${mine}&fieldSelector=metadata.name%3Dpage-a` },
    { topic: "deletecollection: limit", method: "DELETE", path: `${mine}&limit=1` },
    jsonStep("deletecollection: dry run", "DELETE", mine, { kind: "DeleteOptions", apiVersion: "v1", dryRun: ["All"] }),
    jsonStep("deletecollection: bad options", "DELETE", mine, {
      kind: "DeleteOptions",
      apiVersion: "v1",
      propagationPolicy: "X",
    }),
  ];
}

function watching(): Chapter {
  const mine = `${MAPS}?watch=1&timeoutSeconds=1&labelSelector=watched%3Dyes`;
  const watched = (name: string, data: Draft): Draft => ({
    ...map(name),
    metadata: { name, labels: { watched: "yes" } },
    data,
  });
  const see = (query: string, accept?: string): Step =>
    get(
      `watch: ?${query.replaceAll(/\{\{.*?\}\}/g, "V")}${accept === undefined ? "" : ` as ${accept.replace(/;.*?as=/, " ").replace(/;.*/, "")}`}`,
      `${mine}&${query}`,
      accept === undefined ? undefined : { accept },
    );
  const from = "resourceVersion={{watched.metadata.resourceVersion}}";
  const initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  return [
    jsonStep("watch: made", "POST", MAPS, watched("watched-a", { a: "1" }), { save: "watched" }),
    jsonStep("watch: changed", "PUT", `${MAPS}/watched-a`, watched("watched-a", { a: "2" })),
    jsonStep("watch: another", "POST", MAPS, watched("watched-b", {})),
    patchStep("watch: leaves the selection", "merge", `${MAPS}/watched-b`, { metadata: { labels: null } }),
    patchStep("watch: comes back", "merge", `${MAPS}/watched-b`, { metadata: { labels: { watched: "yes" } } }),
    { topic: "watch: deleted", method: "DELETE", path: `${MAPS}/watched-b` },
    see(from),
    see(""),
    see("resourceVersion=0"),
    see("resourceVersion=1"),
    see("resourceVersion=x"),
    see("resourceVersion=99999999"),
    see(`${from}&allowWatchBookmarks=true`),
    see(`${initial}&allowWatchBookmarks=true`),
    see(`${initial}&allowWatchBookmarks=true&resourceVersion=0`),
    see(`${initial}&allowWatchBookmarks=true&${from}`),
    see(`${initial}&allowWatchBookmarks=true`, TABLE),
    see(`${initial}&allowWatchBookmarks=true`, "application/vnd.kubernetes.protobuf"),
    see(`${initial}&allowWatchBookmarks=true`, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
    see(initial),
    see("sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
    see("sendInitialEvents=true"),
    see("sendInitialEvents=true&resourceVersionMatch=Exact"),
    see("sendInitialEvents=false"),
    see("resourceVersionMatch=NotOlderThan"),
    see("resourceVersionMatch=Exact&resourceVersion=0"),
    see("continue=x"),
    see("limit=1&resourceVersion=0"),
    see("fieldSelector=spec.x%3Dy"),
    see("fieldSelector=metadata.name%3Dwatched-a&resourceVersion=0"),
    see(from, TABLE),
    see(`${from}&includeObject=None`, TABLE),
    see(from, "application/vnd.kubernetes.protobuf"),
    see(from, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
    see(from, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
    see(from, "application/yaml"),
    get("watch: one object", `${MAPS}/watched-a?watch=1&timeoutSeconds=1&resourceVersion=0`),
    get("watch: old path", `/api/v1/watch/namespaces/default/configmaps/watched-a?timeoutSeconds=1&resourceVersion=0`),
    get("watch: old path of all", `/api/v1/watch/configmaps?timeoutSeconds=1&labelSelector=watched%3Dyes`),
    { topic: "watch: end", method: "DELETE", path: `${MAPS}/watched-a` },
  ];
}

const ACCEPTS = [
  "",
  "*/*",
  "application/*",
  "text/html",
  "application/json;q=0.5,application/yaml",
  "application/vnd.kubernetes.protobuf,application/json",
  "application/cbor",
  "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
  "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
  "application/json;as=Table;v=v2;g=meta.k8s.io",
  "application/json;as=Other;v=v1;g=meta.k8s.io",
  "application/json;as=Other;v=v1;g=meta.k8s.io,application/json",
  "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
  "application/yaml;as=Table;v=v1;g=meta.k8s.io",
  "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
  "application/json;pretty=1",
  "application/json;stream=watch",
  "garbage",
  "application/json;charset=utf-8",
  "image/png,*/*",
];

const PATHS = [
  "/",
  "/api",
  "/api/",
  "/apis",
  "/apis/",
  "/api/v1",
  "/api/v1/",
  "/api/v2",
  "/api/v1/unheardof",
  "/api/v1/namespaces/default/unheardof",
  "/api/v1/namespaces/default/pods/x/unheardof",
  "/api/v1/namespaces/default/pods/x/log/more",
  "/api/v1/namespaces/default",
  "/api/v1/namespaces/default/",
  "/api/v1/namespaces/absent",
  "/api/v1/namespaces/absent/pods",
  "/api/v1/namespaces/default/nodes",
  "/api/v1/namespaces//pods",
  "/api/v1//pods",
  "/api/v1/pods/x",
  "/api/v1/nodes/absent/proxy/",
  "/api/v1/namespaces/default/pods/absent/log",
  "/api/v1/namespaces/default/pods/absent/exec",
  "/api/v1/namespaces/default/pods/absent/portforward",
  "/api/v1/namespaces/default/pods/absent/status",
  "/api/v1/namespaces/default/pods/absent/binding",
  "/api/v1/namespaces/default/pods/absent/eviction",
  "/api/v1/namespaces/default/pods/absent/ephemeralcontainers",
  "/api/v1/namespaces/default/services/absent/proxy",
  "/api/v1/namespaces/default/serviceaccounts/absent/token",
  "/api/v1/componentstatuses/absent",
  "/apis/apps",
  "/apis/apps/",
  "/apis/apps/v1",
  "/apis/apps/v2",
  "/apis/apps/v1/unheardof",
  "/apis/apps/v1/deployments/x",
  "/apis/unheard.of",
  "/apis/unheard.of/v1",
  "/apis/unheard.of/v1/things",
  "/apis/apps/v1/namespaces/default/deployments/x/status/y",
  "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
  "/apis/authentication.k8s.io/v1/tokenreviews",
  "/healthz",
  "/healthz/ping",
  "/healthz/unheardof",
  "/livez",
  "/livez/ping",
  "/readyz",
  "/readyz/ping",
  "/unheardof",
  "/unheardof/deeper",
  "/apis/apps/v1/../v1/deployments",
  "/api/v1/%zz",
  "/openid/v1/jwks",
  "/.well-known/openid-configuration",
  "/version",
  "/version/",
  "/openapi",
  "/openapi/v2/x",
  "/openapi/v3/apis/unheard.of/v1",
  "/metrics/unheardof",
  "/ui",
  "/swaggerapi",
  "/debug/unheardof",
  "/logs",
  "/static",
];

const METHODS = ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] as const;

const METHOD_PATHS = [
  "/",
  "/api",
  "/apis",
  "/version",
  "/healthz",
  "/openapi/v2",
  "/unheardof",
  "/api/v1",
  "/apis/apps/v1",
  "/apis/apps",
  MAPS,
  `${MAPS}/absent`,
  "/api/v1/namespaces/default/pods/absent/log",
  "/api/v1/namespaces/default/pods/absent/status",
  "/api/v1/namespaces/default/pods/absent/binding",
  "/api/v1/namespaces/default/pods/absent/eviction",
  "/api/v1/namespaces",
  "/api/v1/namespaces/absent/finalize",
  "/api/v1/bindings",
  "/api/v1/namespaces/default/bindings",
  "/api/v1/componentstatuses",
  "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
  "/apis/unheard.of/v1/things",
];

const DEEP = 20_000;

/** Bodies that no decoder should take, or not all of. */
const BODIES: readonly (readonly [string, string | Buffer, string?])[] = [
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

const META_CASES: readonly Draft[] = [
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

function writingProtocol(): Chapter {
  const dry = `${MAPS}?dryRun=All`;
  const fine = map("protocol");
  const option = (query: string): Step => jsonStep(`options: ?${query}`, "POST", `${MAPS}?${query}`, fine);
  return [
    ...BODIES.flatMap(([name, body, type = "application/json"]): Step[] => [
      { topic: `body: ${name}`, method: "POST", path: dry, body, headers: { "content-type": type } },
      {
        topic: `body, strict: ${name}`,
        method: "POST",
        path: `${dry}&fieldValidation=Strict`,
        body,
        headers: { "content-type": type },
      },
      {
        topic: `body of delete: ${name}`,
        method: "DELETE",
        path: `${MAPS}/absent`,
        body,
        headers: { "content-type": type },
      },
    ]),
    { topic: "body: no type", method: "POST", path: dry, body: JSON.stringify(fine) },
    ...META_CASES.map((metadata) =>
      jsonStep(`metadata: ${JSON.stringify(metadata).slice(0, 60)}`, "POST", dry, { ...fine, metadata }),
    ),
    option("dryRun=x"),
    option("dryRun="),
    option("dryRun=All&dryRun=All"),
    option("dryRun=All&fieldManager=ok"),
    option(`dryRun=All&fieldManager=${"x".repeat(129)}`),
    option("dryRun=All&fieldManager=bad%07bell"),
    option("dryRun=All&fieldManager=m%C3%BCller"),
    option("dryRun=All&fieldValidation=x"),
    option("dryRun=All&fieldValidation="),
    option("dryRun=All&pretty=true"),
    option("dryRun=All&unheardOf=1"),
    ...["Mozilla/5.0", "curl/8", "Wget/1.2", "kubectl/v1.35.4"].map((agent) =>
      get(`pretty: ${agent}`, MAPS, { "user-agent": agent }),
    ),
    get("pretty: off", `${MAPS}?pretty=0`, { "user-agent": "curl/8" }),
    get("pretty: error", `${MAPS}/absent?pretty=1`),
  ];
}

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

function patching(): Chapter {
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

/** What is the same for all kinds: paths, methods, encodings, options, patches, pages, watches. */
export function protocolChapters(discovered: readonly string[]): Chapter[] {
  const discovery = [...discovered, "/openapi/v3"].flatMap((path) => [
    get(`discovery: ${path}`, path),
    get(`discovery as protobuf: ${path}`, path, { accept: "application/vnd.kubernetes.protobuf" }),
    get(`discovery as yaml: ${path}`, path, { accept: "application/yaml" }),
  ]);
  const aggregated = ["v2", "v2beta1", "v3"].flatMap((version) =>
    ["/api", "/apis"].map((path) =>
      get(`discovery: aggregated ${version} ${path}`, path, {
        accept: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      }),
    ),
  );
  return [
    [...discovery, ...aggregated],
    ACCEPTS.flatMap((accept) => [
      get(`accept: ${accept}: list`, MAPS, { accept }),
      get(`accept: ${accept}: absent`, `${MAPS}/absent`, { accept }),
      get(`accept: ${accept}: discovery`, "/api/v1", { accept }),
      get(`accept: ${accept}: version`, "/version", { accept }),
      get(`accept: ${accept}: unknown`, "/unheardof", { accept }),
    ]),
    PATHS.map((path) => get(`path: ${path}`, path)),
    METHOD_PATHS.flatMap((path) =>
      METHODS.map((method): Step => ({
        topic: `method: ${method} ${path}`,
        method,
        path,
        ...(method === "POST" || method === "PUT" || method === "PATCH"
          ? {
              body: "{}",
              headers: { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" },
            }
          : {}),
      })),
    ),
    writingProtocol(),
    patching(),
    paging(),
    watching(),
  ];
}
