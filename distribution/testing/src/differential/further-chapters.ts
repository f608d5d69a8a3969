import type { Draft } from "@coracle/apimachinery";
import { MAPS, map } from "./body-cases.ts";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const GZIP = { "accept-encoding": "gzip" };
const get = (topic: string, path: string, headers: Record<string, string> = {}): Step => ({
  topic,
  method: "GET",
  path,
  headers,
});

/** Above the length from which answers are compressed, and below it. */
const SIZES = [1_000, 200_000] as const;

/** Answers that come compressed, and those that do not. */
export function compression(): Chapter {
  return SIZES.flatMap((size): Chapter => {
    const name = `gzip-${size}`;
    const path = `${MAPS}/${name}`;
    const topic = `gzip: ${size}`;
    return [
      jsonStep(`${topic}: create`, "POST", MAPS, map(name, { data: { a: "x".repeat(size) } })),
      get(`${topic}: get`, path, GZIP),
      get(`${topic}: get as protobuf`, path, { ...GZIP, accept: "application/vnd.kubernetes.protobuf" }),
      get(`${topic}: get as yaml`, path, { ...GZIP, accept: "application/yaml" }),
      get(`${topic}: get as table`, `${path}?includeObject=Object`, { ...GZIP, accept: TABLE }),
      get(`${topic}: list`, `${MAPS}?fieldSelector=metadata.name%3D${name}`, GZIP),
      get(`${topic}: other encodings`, path, { "accept-encoding": "deflate, br" }),
      get(`${topic}: encodings with weights`, path, { "accept-encoding": "gzip;q=0, deflate" }),
      get(`${topic}: many encodings`, path, { "accept-encoding": "deflate, gzip;q=1.0, *;q=0.5" }),
      get(`${topic}: watch`, `${MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D${name}`, GZIP),
      { topic: `${topic}: delete`, method: "DELETE", path },
    ];
  });
}

/** Objects of `kubectl apply` of the old way that are applied by the server from now on. */
export function migration(): Chapter {
  const object = (name: string, data: Draft, annotations: Draft = {}): Draft => ({
    ...map(name, { data }),
    metadata: { name, annotations },
  });
  const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
  const applied = (name: string, data: Draft): string => JSON.stringify(object(name, data));
  return ["Update", "Apply"].flatMap((style): Chapter => {
    const name = `migrated-${style.toLowerCase()}`;
    const path = `${MAPS}/${name}`;
    const topic = `migration: ${style}`;
    const apply = (what: string, query: string, body: Draft): Step =>
      patchStep(`${topic}: ${what}`, "apply", `${path}?${query}`, body);
    return [
      jsonStep(
        `${topic}: made by kubectl apply`,
        "POST",
        `${MAPS}?fieldManager=kubectl-client-side-apply`,
        object(name, { a: "1", b: "2" }, { [lastApplied]: applied(name, { a: "1", b: "2" }) }),
      ),
      patchStep(`${topic}: changed by kubectl apply`, "merge", `${path}?fieldManager=kubectl-client-side-apply`, {
        data: { a: "3" },
        metadata: { annotations: { [lastApplied]: applied(name, { a: "3", b: "2" }) } },
      }),
      patchStep(`${topic}: changed by another`, "merge", `${path}?fieldManager=other`, { data: { c: "4" } }),
      ...(style === "Update"
        ? []
        : [apply("by another first", "fieldManager=early&force=true", object(name, { d: "1" }))]),
      apply("as kubectl", "fieldManager=kubectl", object(name, { a: "5" })),
      apply("as kubectl, forced", "fieldManager=kubectl&force=true", object(name, { a: "5" })),
      apply("what is left out goes", "fieldManager=kubectl", object(name, {})),
      get(`${topic}: at last`, path),
      { topic: `${topic}: delete`, method: "DELETE", path },
    ];
  });
}

/** One autoscaler, applied in both versions of its kind. */
export function autoscalers(): Chapter {
  const paths = ["v1", "v2"].map(
    (version) => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers`,
  );
  const [v1, v2] = paths.map((path) => `${path}/both`) as [string, string];
  const meta = { kind: "HorizontalPodAutoscaler", metadata: { name: "both" } };
  const target = { apiVersion: "apps/v1", kind: "Deployment", name: "d" };
  const old = (spec: Draft): Draft => ({
    apiVersion: "autoscaling/v1",
    ...meta,
    spec: { scaleTargetRef: target, ...spec },
  });
  const metric = (average: number): Draft => ({
    type: "Resource",
    resource: { name: "cpu", target: { type: "Utilization", averageUtilization: average } },
  });
  const memory = {
    type: "Resource",
    resource: { name: "memory", target: { type: "AverageValue", averageValue: "1Gi" } },
  };
  const now = (spec: Draft): Draft => ({
    apiVersion: "autoscaling/v2",
    ...meta,
    spec: { scaleTargetRef: target, ...spec },
  });
  const both = (when: string): Chapter => [
    get(`autoscalers: ${when}, v1`, v1),
    get(`autoscalers: ${when}, v2`, v2),
    get(`autoscalers: ${when}, table`, v2, { accept: TABLE }),
  ];
  const apply = (what: string, path: string, query: string, body: Draft): Step =>
    patchStep(`autoscalers: ${what}`, "apply", `${path}?${query}`, body);
  return [
    apply("applied in v1", v1, "fieldManager=one", old({ maxReplicas: 5, targetCPUUtilizationPercentage: 50 })),
    ...both("after v1"),
    apply("applied in v2", v2, "fieldManager=two", now({ maxReplicas: 5, metrics: [metric(60), memory] })),
    apply(
      "applied in v2, forced",
      v2,
      "fieldManager=two&force=true",
      now({ maxReplicas: 6, metrics: [metric(60), memory] }),
    ),
    ...both("after v2"),
    apply(
      "again in v1",
      v1,
      "fieldManager=one&force=true",
      old({ maxReplicas: 7, targetCPUUtilizationPercentage: 70 }),
    ),
    ...both("after v1 again"),
    jsonStep(
      "autoscalers: no policies",
      "PUT",
      `${v2}?dryRun=All`,
      now({ maxReplicas: 6, behavior: { scaleDown: { policies: [] } } }),
    ),
    apply("nothing more wished for", v2, "fieldManager=two", now({ maxReplicas: 7 })),
    ...both("at last"),
    { topic: "autoscalers: delete", method: "DELETE", path: v2 },
  ];
}

/** One event, written in either group and read in both. */
export function events(): Chapter {
  const core = "/api/v1/namespaces/default/events";
  const group = "/apis/events.k8s.io/v1/namespaces/default/events";
  const regarding = { kind: "Pod", name: "p", namespace: "default" };
  const old: Draft = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: "from-core" },
    involvedObject: regarding,
    reason: "R",
    message: "m",
    type: "Normal",
    source: { component: "c", host: "h" },
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-02T00:00:00Z",
    count: 3,
  };
  const now: Draft = {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: "from-group" },
    regarding,
    reason: "R",
    note: "n",
    type: "Warning",
    action: "A",
    eventTime: "2026-01-01T00:00:00.123456Z",
    reportingController: "example.com/c",
    reportingInstance: "i",
    series: { count: 2, lastObservedTime: "2026-01-01T00:00:01.000000Z" },
  };
  const read = (name: string, when: string): Chapter =>
    [core, group].flatMap((collection) => [
      get(`events: ${name} ${when}`, `${collection}/${name}`),
      get(`events: ${name} ${when}, table`, `${collection}/${name}`, { accept: TABLE }),
      get(`events: ${name} ${when}, protobuf`, `${collection}/${name}`, {
        accept: "application/vnd.kubernetes.protobuf",
      }),
    ]);
  return [
    jsonStep("events: made in core", "POST", core, old),
    jsonStep("events: made in the group", "POST", group, now),
    ...read("from-core", "as made"),
    ...read("from-group", "as made"),
    get("events: selected in core", `${core}?fieldSelector=involvedObject.name%3Dp,reason%3DR`),
    get("events: selected in the group", `${group}?fieldSelector=regarding.name%3Dp,reason%3DR`),
    patchStep("events: core's counted in core", "merge", `${core}/from-core`, { count: 4 }),
    patchStep("events: core's counted in the group", "merge", `${group}/from-core`, { deprecatedCount: 5 }),
    patchStep("events: core's note in the group", "merge", `${group}/from-core`, { note: "other" }),
    patchStep("events: the group's series", "merge", `${group}/from-group`, {
      series: { count: 3, lastObservedTime: "2026-01-01T00:00:02.000000Z" },
    }),
    patchStep("events: the group's series too short", "merge", `${group}/from-group`, {
      series: { count: 1, lastObservedTime: "2026-01-01T00:00:02.000000Z" },
    }),
    patchStep("events: the group's message in core", "merge", `${core}/from-group`, { message: "other" }),
    patchStep("events: applied in the group", "apply", `${group}/from-group?fieldManager=one`, {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "from-group", labels: { a: "b" } },
    }),
    ...read("from-core", "changed"),
    ...read("from-group", "changed"),
    { topic: "events: delete", method: "DELETE", path: `${group}/from-core` },
    { topic: "events: delete", method: "DELETE", path: `${core}/from-group` },
  ];
}

/** Versions that clients are warned of. */
export function deprecated(): Chapter {
  const old = ["/api/v1/namespaces/default/endpoints", "/api/v1/componentstatuses"];
  return old.flatMap((path) => [
    get(`deprecated: list ${path}`, `${path}?fieldSelector=metadata.name%3Dabsent`),
    get(`deprecated: table ${path}`, `${path}?labelSelector=absent`, { accept: TABLE }),
    get(`deprecated: metadata ${path}`, `${path}?labelSelector=absent`, {
      accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    }),
    get(`deprecated: absent ${path}`, `${path}/absent`),
    get(`deprecated: watch ${path}`, `${path}?watch=1&timeoutSeconds=1&labelSelector=absent`),
  ]);
}
