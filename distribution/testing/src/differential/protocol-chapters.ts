import type { Draft } from "@coracle/apimachinery";
import { BODIES, MAPS, map, META_CASES } from "./body-cases.ts";
import { patching } from "./patch-chapter.ts";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
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
