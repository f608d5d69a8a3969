import { isObject, type Draft } from "@coracle/apimachinery";
import { deleteNow } from "./mutations.ts";
import { nameOf, type Seed } from "./seeds.ts";
import { jsonStep, patchStep, type Chapter, type Step } from "./step.ts";

/** What a server's discovery says of one resource. */
export interface KindFacts {
  /** `status`, `scale` … */
  readonly subresources: readonly string[];
  readonly verbs: readonly string[];
}

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const PROTOBUF = "application/vnd.kubernetes.protobuf";

function get(topic: string, path: string, accept?: string, more: Partial<Step> = {}): Step {
  return { topic, method: "GET", path, ...(accept === undefined ? {} : { headers: { accept } }), ...more };
}

const withMeta = (object: Draft, metadata: Draft): Draft => ({
  ...object,
  metadata: { ...(object["metadata"] as Draft), ...metadata },
});

function reading(collection: string, object: string): Chapter {
  const item = "get";
  const list = "list";
  return [
    get(`${item}: object`, object),
    get(`${item}: yaml`, object, "application/yaml"),
    get(`${item}: table`, object, TABLE),
    get(`${item}: table with objects`, `${object}?includeObject=Object`, TABLE),
    get(`${item}: table without objects`, `${object}?includeObject=None`, TABLE),
    get(`${item}: metadata`, object, METADATA),
    get(`${item}: metadata of a list`, object, METADATA_LIST),
    get(`${item}: protobuf`, object, PROTOBUF),
    get(`${item}: protobuf table`, object, `${PROTOBUF};as=Table;v=v1;g=meta.k8s.io`),
    get(`${item}: protobuf metadata`, object, `${PROTOBUF};as=PartialObjectMetadata;v=v1;g=meta.k8s.io`),
    get(`${item}: version 0`, `${object}?resourceVersion=0`),
    get(`${item}: pretty`, `${object}?pretty=true`),
    get(`${item}: absent`, `${object}-absent`),
    get(`${list}: objects`, collection),
    get(`${list}: table`, collection, TABLE),
    get(`${list}: metadata`, collection, METADATA_LIST),
    get(`${list}: metadata of one`, collection, METADATA),
    get(`${list}: protobuf`, collection, PROTOBUF),
    get(`${list}: by label`, `${collection}?labelSelector=app%3Djudge`),
    get(`${list}: by name`, `${collection}?fieldSelector=metadata.name%3D${object.split("/").pop()}`),
    get(`${list}: by unknown field`, `${collection}?fieldSelector=spec.unheardOf%3Dx`),
    get(`${list}: by bad label`, `${collection}?labelSelector=a%20b`),
    get(`${list}: first page`, `${collection}?limit=1`),
    get(
      `watch: table`,
      `${collection}?watch=1&timeoutSeconds=1&resourceVersion={{made.metadata.resourceVersion}}`,
      TABLE,
    ),
  ];
}

function writing(seed: Seed, object: string): Chapter {
  const fresh = {
    metadata: { name: nameOf(seed.object) },
    apiVersion: seed.object["apiVersion"],
    kind: seed.object["kind"],
  };
  const unknown = { ...seed.object, unheardOf: 1 };
  const labelled = withMeta(seed.object, { labels: { diff: "labelled" } });
  const apply = (labels: Draft): Draft => ({ ...fresh, metadata: { ...(fresh.metadata as Draft), labels } }) as Draft;
  return [
    jsonStep("update: without version", "PUT", object, labelled),
    jsonStep("update: wrong version", "PUT", object, withMeta(seed.object, { resourceVersion: "1" })),
    jsonStep("update: not a version", "PUT", object, withMeta(seed.object, { resourceVersion: "x" })),
    jsonStep("update: wrong uid", "PUT", object, withMeta(seed.object, { uid: "other" })),
    jsonStep("update: wrong name", "PUT", object, withMeta(seed.object, { name: "another" })),
    jsonStep("update: wrong namespace", "PUT", object, withMeta(seed.object, { namespace: "elsewhere" })),
    jsonStep(
      "update: absent",
      "PUT",
      `${object}-absent`,
      withMeta(seed.object, { name: `${nameOf(seed.object)}-absent` }),
    ),
    jsonStep("update: wrong kind", "PUT", object, { ...seed.object, kind: "Other" }),
    jsonStep("update: wrong apiVersion", "PUT", object, { ...seed.object, apiVersion: "other/v1" }),
    jsonStep("update: dry run", "PUT", `${object}?dryRun=All`, seed.object),
    jsonStep("update: unknown field, warn", "PUT", `${object}?dryRun=All`, unknown),
    jsonStep("update: unknown field, strict", "PUT", `${object}?dryRun=All&fieldValidation=Strict`, unknown),
    jsonStep("update: unknown field, ignore", "PUT", `${object}?dryRun=All&fieldValidation=Ignore`, unknown),
    patchStep("patch: merge", "merge", object, { metadata: { annotations: { a: "b", c: null } } }),
    patchStep("patch: merge, nothing", "merge", object, {}),
    patchStep("patch: merge, unknown field", "merge", object, { unheardOf: { a: 1 } }),
    patchStep("patch: merge, unknown field, strict", "merge", `${object}?fieldValidation=Strict`, {
      unheardOf: { a: 1 },
    }),
    patchStep("patch: merge, bad label", "merge", object, { metadata: { labels: { a: 1 } } }),
    patchStep("patch: merge, list", "merge", object, []),
    patchStep("patch: merge, finalizers", "merge", `${object}?dryRun=All`, {
      metadata: { finalizers: ["bad finalizer"] },
    }),
    patchStep("patch: strategic", "strategic", object, { metadata: { labels: { s: "m" } } }),
    patchStep("patch: strategic, finalizers", "strategic", `${object}?dryRun=All`, {
      metadata: { finalizers: ["x.example.com/y"], "$deleteFromPrimitiveList/finalizers": ["z"] },
    }),
    patchStep("patch: strategic, replace", "strategic", `${object}?dryRun=All`, {
      metadata: { labels: { $patch: "replace", only: "this" } },
    }),
    patchStep("patch: strategic, bad directive", "strategic", object, { metadata: { $patch: "other" } }),
    patchStep("patch: json", "json", object, [{ op: "add", path: "/metadata/labels/j", value: "p" }]),
    patchStep("patch: json, test fails", "json", object, [{ op: "test", path: "/metadata/name", value: "other" }]),
    patchStep("patch: json, nothing to remove", "json", object, [{ op: "remove", path: "/metadata/absent" }]),
    patchStep("patch: json, no list", "json", object, { op: "remove" }),
    patchStep("patch: absent", "merge", `${object}-absent`, {}),
    patchStep("patch: version", "merge", object, { metadata: { resourceVersion: "1" } }),
    patchStep("apply: label", "apply", `${object}?fieldManager=one`, apply({ who: "one" })),
    patchStep("apply: again", "apply", `${object}?fieldManager=one`, apply({ who: "one" })),
    patchStep("apply: conflict", "apply", `${object}?fieldManager=two`, apply({ who: "two" })),
    patchStep("apply: forced", "apply", `${object}?fieldManager=two&force=true`, apply({ who: "two" })),
    patchStep("apply: no manager", "apply", object, apply({ who: "two" })),
    patchStep("apply: whole object", "apply", `${object}?fieldManager=whole&force=true`, seed.object),
    patchStep("apply: unknown field", "apply", `${object}?fieldManager=one`, { ...apply({}), unheardOf: 1 }),
    patchStep("apply: no type", "apply", `${object}?fieldManager=one`, { metadata: { name: nameOf(seed.object) } }),
    patchStep("apply: dry run", "apply", `${object}?fieldManager=three&dryRun=All`, apply({ three: "3" })),
  ];
}

function subresources(seed: Seed, object: string, facts: KindFacts): Chapter {
  const steps: Step[] = [];
  if (facts.subresources.includes("status")) {
    const path = `${object}/status`;
    steps.push(
      get("status: get", path),
      get("status: table", path, TABLE),
      jsonStep("status: update", "PUT", path, withMeta(seed.object, { labels: { status: "x" } })),
      patchStep("status: merge", "merge", path, { status: { unheardOf: 1 }, metadata: { labels: { status: "y" } } }),
      patchStep("status: strategic", "strategic", path, { status: {} }),
      patchStep("status: json", "json", path, [{ op: "add", path: "/status", value: {} }]),
      patchStep("status: conditions", "merge", path, {
        status: { conditions: [{ type: "Odd", status: "True", lastTransitionTime: null }] },
      }),
      patchStep("status: apply", "apply", `${path}?fieldManager=status`, {
        apiVersion: seed.object["apiVersion"],
        kind: seed.object["kind"],
        metadata: { name: nameOf(seed.object) },
        status: {},
      }),
      jsonStep("status: post", "POST", path, seed.object),
    );
  }
  if (facts.subresources.includes("scale")) {
    const path = `${object}/scale`;
    steps.push(
      get("scale: get", path, undefined, { save: "scale" }),
      get("scale: table", path, TABLE),
      get("scale: protobuf", path, PROTOBUF),
      patchStep("scale: merge", "merge", path, { spec: { replicas: 3 } }),
      patchStep("scale: negative", "merge", path, { spec: { replicas: -3 } }),
      jsonStep("scale: old", "PUT", path, { metadata: { name: nameOf(seed.object), resourceVersion: "1" }, spec: {} }),
      patchStep("scale: apply", "apply", `${path}?fieldManager=scaler`, {
        apiVersion: "autoscaling/v1",
        kind: "Scale",
        metadata: { name: nameOf(seed.object) },
        spec: { replicas: 5 },
      }),
      get("scale: object after", object),
    );
  }
  return steps;
}

function ending(seed: Seed, object: string): Chapter {
  const collection = seed.path;
  const options = (more: Draft): Draft => ({ kind: "DeleteOptions", apiVersion: "v1", ...more });
  return [
    jsonStep("delete: wrong uid", "DELETE", object, options({ preconditions: { uid: "other" } })),
    jsonStep("delete: wrong version", "DELETE", object, options({ preconditions: { resourceVersion: "1" } })),
    jsonStep("delete: bad policy", "DELETE", object, options({ propagationPolicy: "Other" })),
    jsonStep("delete: dry run", "DELETE", object, options({ dryRun: ["All"] })),
    { topic: "delete: dry run by URL", method: "DELETE", path: `${object}?dryRun=All&gracePeriodSeconds=0` },
    { topic: "delete: absent", method: "DELETE", path: `${object}-absent` },
    {
      topic: "deletecollection: nothing found",
      method: "DELETE",
      path: `${collection}?labelSelector=absent%3Dabsent`,
    },
    patchStep("set-up", "merge", object, { metadata: { finalizers: ["diff.example.com/hold"] } }, { isSetUp: true }),
    jsonStep("delete: held by a finalizer", "DELETE", object, options({ propagationPolicy: "Foreground" })),
    get("get: being deleted", object),
    jsonStep("create: while being deleted", "POST", collection, seed.object),
    patchStep("patch: finalizer added while being deleted", "merge", object, {
      metadata: { finalizers: ["diff.example.com/hold", "diff.example.com/new"] },
    }),
    patchStep("patch: last finalizers gone", "merge", object, { metadata: { finalizers: null } }),
    jsonStep("delete: at last", "DELETE", object, deleteNow()),
    get("get: gone", object),
    get(
      "watch: all that happened",
      `${collection}?watch=1&timeoutSeconds=1&resourceVersion={{made.metadata.resourceVersion}}&fieldSelector=metadata.name%3D${nameOf(seed.object)}`,
    ),
  ];
}

/** All that can be asked of one kind, with the seed as its object. */
export function kindStory(seed: Seed, facts: KindFacts): Chapter {
  const object = `${seed.path}/${encodeURIComponent(nameOf(seed.object))}`;
  const kind = seed.seed.split("/").slice(0, -1).join("/");
  const generated = structuredClone(seed.object);
  const { name: _name, ...metadata } = isObject(generated["metadata"]) ? generated["metadata"] : {};
  generated["metadata"] = { ...metadata, generateName: "diff-generated-" };
  return [
    jsonStep("create: dry run", "POST", `${seed.path}?dryRun=All`, seed.object),
    jsonStep("create: generated name", "POST", `${seed.path}?dryRun=All`, generated),
    jsonStep("create: version given", "POST", seed.path, withMeta(seed.object, { resourceVersion: "5" })),
    jsonStep("create: wrong kind", "POST", seed.path, { ...seed.object, kind: "Other" }),
    jsonStep(
      "create: wrong namespace",
      "POST",
      `${seed.path}?dryRun=All`,
      withMeta(seed.object, { namespace: "elsewhere" }),
    ),
    jsonStep("create", "POST", seed.path, seed.object, { save: "made" }),
    jsonStep("create: again", "POST", seed.path, seed.object),
    ...reading(seed.path, object),
    ...writing(seed, object),
    ...subresources(seed, object, facts),
    ...ending(seed, object),
  ].map((step) => (step.isSetUp === true ? step : { ...step, topic: `${step.topic} | ${kind}` }));
}
