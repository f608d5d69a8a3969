import { notFound } from "@coracle/apimachinery";
import { createObject } from "./create-verb.ts";
import { deleteCollection, deleteObject } from "./delete-verb.ts";
import { listObjects, parseReadVersion, parseResourceVersion, reachRevision, watchObjects } from "./list-verb.ts";
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
  // Events are read past upstream's cache, whose answer to a text that is no version is another.
  const parse = core.entry.kind === "Event" ? parseResourceVersion : parseReadVersion;
  const revision = parse(query.resourceVersion);
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
  const handler = createPlainHandler(core, patches, subresources);
  return core.freshen === undefined ? handler : consistentHandler(handler, core.freshen);
}

/** Before a verb looks at what is cached, the cache learns what others have written; except for readers to whom any state will do. */
function consistentHandler(handler: ResourceHandler, freshen: () => Promise<void>): ResourceHandler {
  const after =
    <Arguments extends unknown[], Result>(verb: (...args: Arguments) => Promise<Result>) =>
    async (...args: Arguments): Promise<Result> => {
      await freshen();
      return await verb(...args);
    };
  const anyWillDo = ({ resourceVersion = "" }: ReadQuery): boolean => resourceVersion !== "";
  const get = after(handler.get.bind(handler));
  const list = after(handler.list.bind(handler));
  return {
    definition: handler.definition,
    get count() {
      return handler.count!;
    },
    get: (context, namespace, name, query) =>
      anyWillDo(query) ? handler.get(context, namespace, name, query) : get(context, namespace, name, query),
    list: (context, namespace, query) =>
      anyWillDo(query) ? handler.list(context, namespace, query) : list(context, namespace, query),
    watch: handler.watch.bind(handler),
    create: after(handler.create.bind(handler)),
    update: after(handler.update.bind(handler)),
    patch: after(handler.patch.bind(handler)),
    delete: after(handler.delete.bind(handler)),
    deleteCollection: after(handler.deleteCollection.bind(handler)),
    subresource(name) {
      const found = handler.subresource(name);
      if (found === undefined) return undefined;
      return {
        ...(found.get && { get: after(found.get.bind(found)) }),
        ...(found.update && { update: after(found.update.bind(found)) }),
        ...(found.patch && { patch: after(found.patch.bind(found)) }),
        ...(found.create && { create: after(found.create.bind(found)) }),
      };
    },
  };
}

function createPlainHandler(
  core: ResourceCore,
  patches: PatchPort,
  subresources: ReadonlyMap<string, SubresourceHandler>,
): ResourceHandler {
  return {
    definition: core.definition,
    get count() {
      return core.storage.count;
    },
    peek: (namespace, name) => core.storage.get(namespace, name)?.object,
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
