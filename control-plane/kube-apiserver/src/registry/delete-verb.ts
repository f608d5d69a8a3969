import { conflict, isNotFound, notFound, type Draft, type Json } from "@coracle/apimachinery";
import type { StoredObject } from "../storage/object-storage.ts";
import { textOf } from "./json-text.ts";
import { draftOf } from "./decode.ts";
import { formatTime } from "./object-meta.ts";
import type { Answer, DeleteQuery, ListQuery, RequestContext } from "./registry.ts";
import { listObjects } from "./list-verb.ts";
import { admit, answerObject, answerStored, resourceOf, warn, type ResourceCore } from "./resource-core.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";

const ORPHAN = "orphan";
const FOREGROUND = "foregroundDeletion";
const MAX_TRIES = 32;

type Options = DeleteQuery["options"];

/** What a delete does to the object that is there. */
export type DeletionPlan =
  | { readonly action: "remove" }
  /** Goes at once, but watchers see it marked first: it has a grace period, which is over. */
  | { readonly action: "markAndRemove"; readonly draft: ApiDraft }
  /** Stays, marked: finalizers or a grace period hold it. */
  | { readonly action: "mark"; readonly draft: ApiDraft }
  /** It is being deleted already and this request adds nothing. */
  | { readonly action: "wait" };

/** Decides, touches nothing. */
export function planDeletion(core: ResourceCore, object: ApiObject, options: Options): DeletionPlan {
  const draft = draftOf(core, object);
  if (core.entry.group === "" && core.entry.kind === "Namespace") return planNamespaceDeletion(core, draft, options);
  if (core.definition.holdDeletion !== undefined && draft.metadata.deletionTimestamp === undefined) {
    core.definition.holdDeletion(draft, core.clock.now());
    return { action: "mark", draft };
  }
  const graceful = core.definition.gracePeriodSeconds === undefined ? undefined : planGrace(core, draft, options);
  if (graceful === "pending") return { action: "wait" };
  settleFinalizers(core, draft, options);
  const hasFinalizers = finalizersOf(draft).length > 0;
  if (graceful === undefined) {
    if (!hasFinalizers) return { action: "remove" };
    markAsDeleting(core, draft);
    return { action: "mark", draft };
  }
  return { action: hasFinalizers || graceful > 0 ? "mark" : "markAndRemove", draft };
}

/** The seconds of grace now in force, written into the draft; undefined when grace plays no part. */
function planGrace(core: ResourceCore, draft: ApiDraft, options: Options): number | "pending" | undefined {
  const { metadata } = draft;
  const running = metadata.deletionGracePeriodSeconds;
  if (metadata.deletionTimestamp !== undefined) {
    if (typeof running !== "number") return undefined;
    const wanted = options.gracePeriodSeconds;
    if (wanted === undefined || wanted >= running) return "pending";
    const period = Math.max(wanted, 0);
    const since = Date.parse(textOf(metadata.deletionTimestamp)) - running * 1000;
    metadata.deletionTimestamp = formatTime(since + period * 1000);
    metadata.deletionGracePeriodSeconds = period;
    return period;
  }
  const period = core.definition.gracePeriodSeconds?.(draft as ApiObject, options.gracePeriodSeconds) ?? 0;
  metadata.deletionTimestamp = formatTime(core.clock.now() + period * 1000);
  metadata.deletionGracePeriodSeconds = period;
  raiseGeneration(draft);
  return period;
}

function raiseGeneration(draft: ApiDraft): void {
  const { generation } = draft.metadata;
  if (typeof generation === "number" && generation > 0) draft.metadata.generation = generation + 1;
}

function markAsDeleting(core: ResourceCore, draft: ApiDraft): void {
  const { metadata } = draft;
  if (metadata.deletionTimestamp === undefined) {
    raiseGeneration(draft);
    metadata.deletionTimestamp = formatTime(core.clock.now());
  }
  metadata.deletionGracePeriodSeconds = 0;
}

function planNamespaceDeletion(core: ResourceCore, draft: ApiDraft, options: Options): DeletionPlan {
  const isMarked = draft.metadata.deletionTimestamp !== undefined;
  const holds = ((draft.spec as Draft | undefined)?.finalizers as string[] | undefined) ?? [];
  settleFinalizers(core, draft, options);
  if (!isMarked) {
    if (holds.length === 0 && finalizersOf(draft).length === 0) return { action: "remove" };
    draft.metadata.deletionTimestamp = formatTime(core.clock.now());
    draft.status = { ...(draft.status as Draft | undefined), phase: "Terminating" };
    return { action: "mark", draft };
  }
  if (holds.length > 0 || finalizersOf(draft).length > 0) return { action: "wait" };
  return { action: "remove" };
}

const finalizersOf = (draft: ApiDraft): readonly string[] => (draft.metadata.finalizers as string[] | undefined) ?? [];

/** The garbage collector's two finalizers, as the request wants them. */
function settleFinalizers(core: ResourceCore, draft: ApiDraft, options: Options): void {
  // Nothing hangs on what is never collected.
  if (core.definition.defaultPropagation === "Unsupported") return;
  const before = finalizersOf(draft);
  const after = before.filter((name) => name !== ORPHAN && name !== FOREGROUND);
  if (wantsOrphans(core, before, options)) after.push(ORPHAN);
  else if (wantsForeground(before, options)) after.push(FOREGROUND);
  if (after.length > 0) draft.metadata.finalizers = after;
  else delete draft.metadata.finalizers;
}

function wantsOrphans(core: ResourceCore, finalizers: readonly string[], options: Options): boolean {
  if (options.orphanDependents !== undefined) return options.orphanDependents;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === "Orphan";
  if (finalizers.includes(ORPHAN)) return true;
  if (finalizers.includes(FOREGROUND)) return false;
  return core.definition.defaultPropagation === "Orphan";
}

function wantsForeground(finalizers: readonly string[], options: Options): boolean {
  if (options.orphanDependents !== undefined) return false;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === "Foreground";
  return finalizers.includes(FOREGROUND);
}

function warnOfDeletion(core: ResourceCore, context: RequestContext, { options }: DeleteQuery): void {
  const saysPolicy = options.orphanDependents !== undefined || options.propagationPolicy !== undefined;
  warn(context, core.definition.deleteWarnings?.(saysPolicy));
}

/** DELETE of one object. */
export async function deleteObject(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  name: string,
  query: DeleteQuery,
  isOfMany = false,
): Promise<Answer> {
  const isDryRun = (query.options.dryRun ?? []).includes("All");
  warnOfDeletion(core, context, query);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const previous = core.storage.get(namespace, name);
    if (previous === undefined) throw notFound(resourceOf(core), name);
    checkPreconditions(core, previous.object, query.options);
    const call = {
      operation: "DELETE",
      subresource: "",
      namespace,
      name,
      object: undefined,
      oldObject: previous.object,
      options: query.options as Json,
      ...(isOfMany ? { isUnnamed: true } : {}),
      isDryRun,
      context,
    } as const;
    await admit(core, "admit", call);
    await admit(core, "validate", call);
    const answer = await carryOut(core, previous, query, isDryRun);
    if (answer !== undefined) return answer;
  }
  throw conflict(resourceOf(core), name);
}

async function carryOut(
  core: ResourceCore,
  previous: StoredObject,
  query: DeleteQuery,
  isDryRun: boolean,
): Promise<Answer | undefined> {
  const plan = planDeletion(core, previous.object, query.options);
  const code = query.options.orphanDependents === false ? 202 : 200;
  switch (plan.action) {
    case "wait":
      return { type: "object", object: previous.object, created: false, code };
    case "mark": {
      if (isDryRun) return { type: "object", object: plan.draft as ApiObject, created: false, code };
      const stored = await core.storage.replace(previous, plan.draft);
      if (stored === undefined) return undefined;
      return code === 200 ? answerStored(stored) : { type: "object", object: stored.object, created: false, code };
    }
    case "markAndRemove": {
      if (isDryRun) return answerGone(core, plan.draft as ApiObject);
      const marked = await core.storage.replace(previous, plan.draft);
      return marked === undefined ? undefined : removeMarked(core, marked);
    }
    case "remove": {
      if (isDryRun) return answerGone(core, previous.object);
      const removed = await core.storage.remove(previous);
      if (removed === undefined) return undefined;
      await core.hooks.deleted?.(removed.object);
      return answerGone(core, removed.object);
    }
  }
}

/** Takes away what was just marked, whoever wrote to it since: a second request would wait for this one. */
async function removeMarked(core: ResourceCore, marked: StoredObject): Promise<Answer> {
  let current: StoredObject | undefined = marked;
  for (let tries = 0; current !== undefined && tries < MAX_TRIES; tries++) {
    const removed = await core.storage.remove(current);
    if (removed !== undefined) {
      await core.hooks.deleted?.(removed.object);
      return answerGone(core, removed.object);
    }
    current = core.storage.get(marked.namespace, marked.name);
  }
  return answerGone(core, marked.object);
}

/** Kinds whose deletion answers the object as it was last; the others answer that it is gone. */
const ANSWERS_OBJECT: ReadonlySet<string> = new Set([
  "/persistentvolumeclaims",
  "/persistentvolumes",
  "/pods",
  "/podtemplates",
  "/resourcequotas",
  "/serviceaccounts",
  "/services",
  "resource.k8s.io/deviceclasses",
  "resource.k8s.io/resourceclaims",
  "resource.k8s.io/resourceclaimtemplates",
  "resource.k8s.io/resourceslices",
  "storage.k8s.io/csidrivers",
  "storage.k8s.io/csinodes",
  "storage.k8s.io/storageclasses",
  "storage.k8s.io/volumeattachments",
  "storage.k8s.io/volumeattributesclasses",
]);

function answerGone(core: ResourceCore, object: ApiObject): Answer {
  const { group, plural } = core.entry;
  if (ANSWERS_OBJECT.has(`${group}/${plural}`)) return answerObject(object);
  const { name, uid } = object.metadata;
  return answerObject({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name, ...(group === "" ? {} : { group }), kind: plural, uid },
  });
}

function checkPreconditions(core: ResourceCore, object: ApiObject, options: Options): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  const { group, kind, plural } = core.entry;
  const name = textOf(metadata.name);
  // Kinds that look at their finalizers first compare while they store, and say so in the store's words.
  if (kind === "Namespace" || kind === "CustomResourceDefinition") {
    const refuse = (what: string, wanted: string, found: unknown): never => {
      const why = `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${textOf(found)}`;
      throw conflict({ group, resource: plural }, name, why);
    };
    if (uid !== undefined && uid !== metadata.uid) refuse("UID", uid, metadata.uid);
    if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
      refuse("ResourceVersion", resourceVersion, metadata.resourceVersion);
    return;
  }
  const refuse = (why: string): never => {
    // Events of both groups are one kind in the store.
    throw conflict({ group: kind === "Event" ? "" : group, resource: kind }, name, why);
  };
  if (uid !== undefined && uid !== metadata.uid) {
    refuse(
      `the UID in the precondition (${uid}) does not match the UID in record (${textOf(metadata.uid)}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    refuse(
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${textOf(metadata.resourceVersion)}). The object might have been modified`,
    );
  }
}

async function deleteIfThere(
  core: ResourceCore,
  context: RequestContext,
  item: StoredObject,
  query: DeleteQuery,
): Promise<void> {
  try {
    await deleteObject(core, context, item.namespace, item.name, query, true);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

function withoutType({ kind: _kind, apiVersion: _apiVersion, ...item }: ApiObject): ApiObject {
  return item as ApiObject;
}

/** Deletes of one collection that wait for the store together. */
const AT_ONCE = 32;

/** DELETE of a collection: everything that the list finds. */
export async function deleteCollection(
  core: ResourceCore,
  context: RequestContext,
  namespace: string | undefined,
  list: ListQuery,
  query: DeleteQuery,
): Promise<Answer> {
  warnOfDeletion(core, context, query);
  const found = await listObjects(core, namespace, list);
  for (let i = 0; i < found.items.length; i += AT_ONCE) {
    const some = found.items.slice(i, i + AT_ONCE);
    await Promise.all(some.map((item) => deleteIfThere(core, context, item, query)));
  }
  return answerObject({
    kind: core.entry.listKind ?? `${core.entry.kind}List`,
    apiVersion: core.entry.group === "" ? core.entry.version : `${core.entry.group}/${core.entry.version}`,
    metadata: core.keepsItemTypes === true ? { continue: "", ...found.metadata } : found.metadata,
    items: found.items.map(({ object }) => (core.keepsItemTypes === true ? object : withoutType(object))),
  });
}
