import { notFound } from "@coracle/apimachinery";
import { createObject } from "./create-verb.ts";
import { deleteCollection, deleteObject } from "./delete-verb.ts";
import { listObjects, parseResourceVersion, reachRevision, watchObjects } from "./list-verb.ts";
import { patchObject, type PatchPort } from "./patch-verb.ts";
import type { Answer, ReadQuery, ResourceHandler, SubresourceHandler } from "./registry.ts";
import { answerStored, resourceOf, type ResourceCore } from "./resource-core.ts";
import { updateObject, type UpdateWay } from "./update-verb.ts";

/** GET of one object. */
export async function getObject(
  core: ResourceCore,
  namespace: string,
  name: string,
  query: ReadQuery,
): Promise<Answer> {
  const revision = parseResourceVersion(query.resourceVersion);
  if (revision !== undefined) await reachRevision(core, revision);
  const found = core.storage.get(namespace, name);
  if (found === undefined) throw notFound(resourceOf(core), name);
  return answerStored(found);
}

/** A subresource that is the object seen through another way of writing. */
export function objectSubresource(core: ResourceCore, patches: PatchPort, way: UpdateWay): SubresourceHandler {
  return {
    get: (_context, namespace, name, query) => getObject(core, namespace, name, query),
    update: (context, namespace, name, body, query) => updateObject(core, context, namespace, name, body, query, way),
    patch: (context, namespace, name, kind, body, query) =>
      patchObject(core, patches, context, { namespace, name }, { kind, body }, query, way),
  };
}

/** All verbs of a stored resource. */
export function createGenericHandler(
  core: ResourceCore,
  patches: PatchPort,
  subresources: ReadonlyMap<string, SubresourceHandler>,
): ResourceHandler {
  return {
    definition: core.definition,
    get: (_context, namespace, name, query) => getObject(core, namespace, name, query),
    list: (_context, namespace, query) => listObjects(core, namespace, query),
    watch: (_context, namespace, query, watcher) => watchObjects(core, namespace, query, watcher),
    create: (context, namespace, body, query) => createObject(core, context, namespace, body, query),
    update: (context, namespace, name, body, query) => updateObject(core, context, namespace, name, body, query),
    patch: (context, namespace, name, kind, body, query) =>
      patchObject(core, patches, context, { namespace, name }, { kind, body }, query),
    delete: (context, namespace, name, query) => deleteObject(core, context, namespace, name, query),
    deleteCollection: (context, namespace, list, query) => deleteCollection(core, context, namespace, list, query),
    subresource: (name) => subresources.get(name),
  };
}
