import { badRequest, cloneJson, forbidden, invalid, invalidValue, isObject, type Draft } from "@coracle/apimachinery";
import type { CustomSchema } from "@coracle/apimachinery/structural";
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "@coracle/api/apiextensions/v1";
import type { CatalogResource, CatalogSubresource } from "../discovery/catalog.ts";
import { builtInPatches, createBuiltInSchemaPort } from "../registry/built-in-types.ts";
import { createObject } from "../registry/create-verb.ts";
import { deleteCollection, deleteObject } from "../registry/delete-verb.ts";
import { getObject, objectSubresource } from "../registry/generic-handler.ts";
import { listObjects, watchObjects } from "../registry/list-verb.ts";
import { patchObject } from "../registry/patch-verb.ts";
import type { AdmissionVersions, AdmissionChain, ResourceHandler, SubresourceHandler } from "../registry/registry.ts";
import type { ResourceEntry, TypeName } from "../registry/resource-catalog.ts";
import type { ResourceCore } from "../registry/resource-core.ts";
import type { SchemaPort } from "../registry/schema-port.ts";
import { createScaleSubresource } from "../registry/subresources/scale.ts";
import { updateObject, type UpdateWay } from "../registry/update-verb.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { ConvertedView } from "./converted-view.ts";
import { acceptedNames, deprecationOf, isTrue, storageVersionOf } from "./definition.ts";
import { customTable } from "./printer-columns.ts";
import { createScaleShape } from "./scale-shape.ts";
import { storageVersionHash } from "./storage-version-hash.ts";
import { defineVersion } from "./version-definition.ts";

/** What all cores of the server have alike. */
export type CoreParts = Pick<ResourceCore, "admission" | "clock" | "random" | "logger" | "waitForRevision">;

const VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const TERMINATING_VERBS = ["delete", "deletecollection", "get", "list", "watch"];
const SUBRESOURCE_VERBS = ["get", "patch", "update"];

let builtIn: SchemaPort | undefined;

/** Objects of the kind by its own schema, Scales and the like by the API's tables. */
function schemaPortOf(entry: ResourceEntry, schema: CustomSchema): SchemaPort {
  builtIn ??= createBuiltInSchemaPort();
  const tables = builtIn;
  const isOwn = (type: { readonly group: string; readonly kind: string }): boolean =>
    type.group === entry.group && type.kind === entry.kind;
  return {
    tellsRepeatedFirst: true,
    checkType: (type, value) => (isOwn(type) ? checkType(type, value) : checkTableType(type, value)),
    decode(type, value) {
      if (!isOwn(type)) return tables.decode(type, value);
      const object = cloneJson(value);
      return { strict: schema.decode(object), object };
    },
    mergeType: (type) => (isOwn(type) ? schema.mergeType : tables.mergeType?.(type)),
  };
}

/** Custom resources must say what they are. */
function checkType({ group, version, kind }: TypeName, value: Draft): void {
  const expected = `${group}/${version}`;
  const given = typeof value.apiVersion === "string" ? value.apiVersion : "";
  const text = JSON.stringify(value);
  if (typeof value.kind !== "string" || value.kind === "") {
    const start = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)} ...` : text;
    const why = `Object 'Kind' is missing in '${text}' (${start})`;
    throw badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
  }
  if (given !== expected) {
    throw badRequest(`the API version in the data (${given}) does not match the expected API version (${expected})`);
  }
  if (value.kind === kind) return;
  const name = isObject(value.metadata) && typeof value.metadata.name === "string" ? value.metadata.name : "";
  throw invalid({ group, kind: value.kind }, name, [invalidValue("kind", value.kind, `must be ${kind}`)]);
}
const QUOTED_LENGTH = 30;

/** Scales and the like may leave their type out. */
function checkTableType({ group, version, kind }: TypeName, value: Draft): void {
  const { apiVersion = "", kind: given = "" } = value;
  const isSame = (apiVersion === "" || apiVersion === `${group}/${version}`) && (given === "" || given === kind);
  if (isSame) return;
  const what = typeof given === "string" ? given : "";
  throw badRequest(`${what} in version ${JSON.stringify(version)} cannot be handled as a ${kind}`);
}

/** One version of a definition as discovery shows it. */
export function catalogResourceOf(
  crd: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
): CatalogResource {
  const { group } = crd.spec;
  const names = acceptedNames(crd);
  const subresources = new Map<string, CatalogSubresource>();
  if (version.subresources?.status !== undefined) {
    const type = { group, version: version.name, kind: names.kind };
    subresources.set("status", { name: "status", ...type, verbs: SUBRESOURCE_VERBS });
  }
  if (version.subresources?.scale !== undefined) {
    const type = { group: "autoscaling", version: "v1", kind: "Scale" };
    subresources.set("scale", { name: "scale", ...type, verbs: SUBRESOURCE_VERBS });
  }
  return {
    group,
    version: version.name,
    kind: names.kind,
    listKind: names.listKind,
    plural: names.plural,
    singular: names.singular,
    shortNames: names.shortNames,
    categories: names.categories,
    namespaced: crd.spec.scope === "Namespaced",
    verbs: isTrue(crd, "Terminating") ? TERMINATING_VERBS : VERBS,
    answeredVerbs: VERBS,
    storageVersionHash: storageVersionHash(group, storageVersionOf(crd), crd.spec.names.kind),
    subresources,
    isCustom: true,
    table: customTable(version.additionalPrinterColumns),
    deprecation: deprecationOf(crd, version),
  };
}

const entryOf = (crd: CustomResourceDefinition, resource: CatalogResource, etcdPrefix: string): ResourceEntry => ({
  ...resource,
  subresources: Object.fromEntries(resource.subresources),
  enabledByDefault: true,
  storageVersion: `${crd.spec.group}/${storageVersionOf(crd)}`,
  etcdPrefix,
});

/** All verbs on one version of a custom resource. */
export function createVersionHandler(options: {
  readonly crd: CustomResourceDefinition;
  readonly version: CustomResourceDefinitionVersion;
  readonly schema: CustomSchema;
  readonly storage: ObjectStorage;
  readonly etcdPrefix: string;
  readonly parts: CoreParts;
  readonly versions?: AdmissionVersions;
}): ResourceHandler {
  const { crd, version, schema, storage, etcdPrefix, parts } = options;
  const entry = entryOf(crd, catalogResourceOf(crd, version), etcdPrefix);
  const definition = defineVersion(crd, version, schema);
  const core: ResourceCore = {
    ...parts,
    admission: isTrue(crd, "Terminating") ? withoutCreates(parts.admission) : parts.admission,
    entry,
    definition,
    storage,
    schema: schemaPortOf(entry, schema),
    hasGeneration: true,
    hooks: {},
    ttlSeconds: undefined,
    keepsItemTypes: true,
    versions: options.versions,
  };
  const way: UpdateWay = { subresource: "", strategy: definition.update ?? {} };
  const subresources = new Map<string, SubresourceHandler>();
  const status = definition.subresources?.["status"];
  if (status !== undefined) {
    subresources.set("status", objectSubresource(core, builtInPatches, { subresource: "status", strategy: status }));
  }
  const { scale } = version.subresources ?? {};
  if (scale !== undefined) {
    subresources.set("scale", createScaleSubresource(core, builtInPatches, createScaleShape(scale)));
  }
  const handler: ResourceHandler = {
    definition,
    get: (_context, namespace, name, query) => getObject(core, namespace, name, query),
    list: (_context, namespace, query) => listObjects(core, namespace, query),
    watch: (_context, namespace, query, watcher) => watchObjects(core, namespace, query, watcher),
    create: (context, namespace, body, query) => createObject(core, context, namespace, body, query),
    update: (context, namespace, name, body, query) => updateObject(core, context, namespace, name, body, query, way),
    patch: (context, namespace, name, kind, body, query) =>
      patchObject(core, builtInPatches, context, { namespace, name }, { kind, body }, query, way),
    delete: (context, namespace, name, query) => deleteObject(core, context, namespace, name, query),
    deleteCollection: (context, namespace, list, query) => deleteCollection(core, context, namespace, list, query),
    subresource: (name) => subresources.get(name),
  };
  return storage instanceof ConvertedView ? waitingHandler(handler, storage) : handler;
}

/** What is going takes no new objects. */
function withoutCreates(admission: AdmissionChain): AdmissionChain {
  return {
    admit({ operation, group, resource, name, ...more }) {
      if (operation !== "CREATE") return admission.admit({ operation, group, resource, name, ...more });
      const why = "create not allowed while custom resource definition is terminating";
      return Promise.reject(forbidden({ group, resource }, name, why));
    },
    validate: (attributes) => admission.validate(attributes),
  };
}

/** The same, each verb after what it wants to see is converted. */
function waitingHandler(handler: ResourceHandler, view: ConvertedView): ResourceHandler {
  const subresources = new Map<string, SubresourceHandler>();
  const waiting = (target: SubresourceHandler): SubresourceHandler => ({
    async get(context, namespace, name, query) {
      await view.ready(namespace, name);
      return target.get!(context, namespace, name, query);
    },
    async update(context, namespace, name, body, query) {
      await view.ready(namespace, name);
      return target.update!(context, namespace, name, body, query);
    },
    async patch(context, namespace, name, kind, body, query) {
      await view.ready(namespace, name);
      return target.patch!(context, namespace, name, kind, body, query);
    },
  });
  return {
    ...handler,
    async get(context, namespace, name, query) {
      await view.ready(namespace, name);
      return handler.get(context, namespace, name, query);
    },
    async list(context, namespace, query) {
      await view.ready(namespace);
      return handler.list(context, namespace, query);
    },
    async create(context, namespace, body: Draft, query) {
      await view.ready(namespace, "");
      return handler.create(context, namespace, body, query);
    },
    async update(context, namespace, name, body, query) {
      await view.ready(namespace, name);
      return handler.update(context, namespace, name, body, query);
    },
    async patch(context, namespace, name, kind, body, query) {
      await view.ready(namespace, name);
      return handler.patch(context, namespace, name, kind, body, query);
    },
    async delete(context, namespace, name, query) {
      await view.ready(namespace, name);
      return handler.delete(context, namespace, name, query);
    },
    async deleteCollection(context, namespace, list, query) {
      await view.ready(namespace);
      return handler.deleteCollection(context, namespace, list, query);
    },
    subresource(name) {
      const target = handler.subresource(name);
      if (target === undefined) return undefined;
      let found = subresources.get(name);
      if (found === undefined) subresources.set(name, (found = waiting(target)));
      return found;
    },
  };
}
