import type { ObjectMeta } from "@coracle/api/meta/v1";
import { conflict, equalJson, invalid, invalidValue, notFound, statusError, type Draft } from "@coracle/apimachinery";
import type { StoredObject } from "../storage/object-storage.ts";
import { textOf } from "./json-text.ts";
import { createDraft } from "./create-verb.ts";
import { checkName, decodeObject, settleNamespace } from "./decode.ts";
import { trackWrite } from "./field-ownership.ts";
import { checksChangeFirst, checkUpdatedMetadata } from "./metadata-checks.ts";
import { keepOldMeta } from "./object-meta.ts";
import type { Answer, RequestContext, WriteQuery } from "./registry.ts";
import { dropRepeatedOwners } from "./owner-references.ts";
import {
  admit,
  answerObject,
  answerStored,
  kindInErrors,
  resourceOf,
  strategyContext,
  warn,
  type ResourceCore,
} from "./resource-core.ts";
import type { ApiDraft, ApiObject, UpdateStrategy } from "./resource-definition.ts";

const MAX_TRIES = 32;

/** One way of writing an object: as a whole, or through a subresource. */
export interface UpdateWay {
  /** `""` for the object itself. */
  readonly subresource: string;
  readonly strategy: UpdateStrategy;
  /** Whether the kind's rules for the whole object apply. Absent: for the object itself only. */
  readonly validatesAsMain?: boolean;
  /** What admission sees instead of the object: another kind (Scale). */
  readonly admissionView?: {
    readonly kind: string;
    of(object: ApiObject): ApiObject;
    /** Takes over what admission made of the view. */
    take?(draft: ApiDraft, view: ApiObject): void;
  };
}

/** The object itself. */
export const mainWay = (core: ResourceCore): UpdateWay => ({
  subresource: "",
  strategy: core.definition.update ?? {},
});

/** What to write, from what is there. Runs again when the object changed meanwhile. */
export interface UpdatePlan {
  readonly name: string;
  readonly namespace: string;
  /** The new object, decoded, defaulted; undefined in the old one's place: it does not exist. */
  next(old: ApiObject): ApiDraft;
  /** Members of the old object that the last call of `next` left as they are. */
  untouched?(): Draft;
  readonly query: WriteQuery;
  readonly way: UpdateWay;
  /** The new object's resourceVersion says nothing: another precondition was checked by `next`. */
  readonly isUnconditional?: boolean;
  /** A uid in the new object is looked at as a change, not as a precondition. */
  readonly isPatch?: boolean;
  /** `next` has recorded who owns what. */
  readonly isTracked?: boolean;
}

/** PUT of an object or a subresource of the same kind. */
export async function updateObject(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  name: string,
  body: Draft,
  query: WriteQuery,
  way: UpdateWay = mainWay(core),
): Promise<Answer> {
  const sent = decodeObject(core, body, query.fieldValidation, context);
  dropRepeatedOwners(sent, context);
  settleNamespace(core, sent, namespace);
  checkName(sent, name);
  const existing = core.storage.get(namespace, name);
  if (existing === undefined && way.subresource === "" && core.definition.allowCreateOnUpdate === true) {
    return createOnUpdate(core, context, namespace, sent, query);
  }
  // Admission and strategies change the draft: a second try needs the object as sent.
  const text = JSON.stringify(sent);
  let isFirst = true;
  const next = (): ApiDraft => {
    if (!isFirst) return JSON.parse(text) as ApiDraft;
    isFirst = false;
    return sent;
  };
  return carryOutUpdate(core, context, { name, namespace, query, way, next });
}

async function createOnUpdate(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  sent: ApiDraft,
  query: WriteQuery,
): Promise<Answer> {
  const { uid, name, resourceVersion } = sent.metadata as { uid?: string; name: string; resourceVersion?: string };
  if (uid !== undefined && uid !== "") throw uidConflict(core, namespace, name, uid, "");
  if (resourceVersion !== undefined && resourceVersion !== "" && resourceVersion !== "0") {
    throw notFound(resourceOf(core), name);
  }
  await context.authorizeCreate?.();
  return createDraft(core, context, namespace, sent, query);
}

function uidConflict(core: ResourceCore, namespace: string, name: string, sent: string, stored: string): Error {
  const key = `${core.entry.etcdPrefix ?? ""}/${namespace === "" ? "" : `${namespace}/`}${name}`;
  return conflict(
    resourceOf(core),
    name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${sent}, UID in object meta: ${stored}`,
  );
}

/** Reads, plans, checks and writes, again and again while others are quicker. */
export async function carryOutUpdate(core: ResourceCore, context: RequestContext, plan: UpdatePlan): Promise<Answer> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const old = core.storage.get(plan.namespace, plan.name);
    if (old === undefined) throw notFound(resourceOf(core), plan.name);
    const answer = await updateOnce(core, context, plan, old);
    if (answer !== undefined) return answer;
  }
  throw conflict(resourceOf(core), plan.name);
}

/** Undefined: the object changed meanwhile. */
async function updateOnce(
  core: ResourceCore,
  context: RequestContext,
  plan: UpdatePlan,
  previous: StoredObject,
): Promise<Answer | undefined> {
  const { query, way, namespace, name } = plan;
  const view = way.admissionView;
  const old = previous.object;
  const draft = plan.next(old);
  checkVersion(core, draft, old, plan);
  if (plan.isTracked !== true)
    trackWrite(core, draft, old, { manager: query.fieldManager, subresource: way.subresource }, plan.untouched?.());
  const { validatesAsMain = way.subresource === "" } = way;
  const call = {
    operation: "UPDATE",
    subresource: way.subresource,
    namespace,
    name,
    object: view === undefined ? draft : (view.of(draft as ApiObject) as ApiDraft),
    oldObject: view === undefined ? old : view.of(old),
    options: undefined,
    isDryRun: query.dryRun,
    context,
    ...(view === undefined ? {} : { kind: view.kind }),
  } as const;
  await admit(core, "admit", call);
  dropRepeatedOwners(draft, context, true);
  if (view?.take !== undefined) view.take(draft, call.object as ApiObject);
  const { managedFields } = draft.metadata;
  keepOldMeta(draft, old);
  if (managedFields === undefined) delete draft.metadata.managedFields;
  else draft.metadata.managedFields = managedFields;
  draft.metadata.resourceVersion = old.metadata.resourceVersion;
  const strategy = strategyContext(core, context, namespace, query.dryRun);
  way.strategy.prepare?.(draft, old, strategy);
  const same = sameMembers(draft, old);
  raiseGeneration(core, draft, old, way, same);
  // Nothing changes the draft any more but who reserves: the versions share what is the same in both.
  if (core.hooks.reserve === undefined) for (const member of same) draft[member] = old[member];
  const reservation = way.subresource === "" ? await core.hooks.reserve?.(draft, old, query.dryRun) : undefined;
  try {
    const object = draft as ApiObject;
    await core.definition.load?.();
    checkUpdate(core, object, old, validatesAsMain, way, strategy);
    warn(context, way.strategy.warnings?.(object, old));
    await admit(core, "validate", call);
    const answer = await write(core, draft, previous, query);
    if (answer === undefined || query.dryRun) await reservation?.release();
    else await reservation?.commit();
    return answer;
  } catch (error) {
    await reservation?.release();
    throw error;
  }
}

async function write(
  core: ResourceCore,
  draft: ApiDraft,
  previous: StoredObject,
  query: WriteQuery,
): Promise<Answer | undefined> {
  const old = previous.object;
  const isLast = isDeletedByUpdate(draft, old);
  if (query.dryRun) {
    return answerObject(draft);
  }
  if (isLast) {
    const removed = await core.storage.remove(previous);
    if (removed === undefined) return undefined;
    await core.hooks.deleted?.(removed.object);
    return answerObject({ ...draft, metadata: { ...draft.metadata, resourceVersion: String(removed.revision) } });
  }
  ignoreNewTimes(draft, old);
  if (equalJson(draft, old) && core.storage.isOutdated?.(previous) !== true) return answerStored(previous);
  const stored = await core.storage.replace(previous, draft, { ttlSeconds: core.ttlSeconds });
  return stored === undefined ? undefined : answerStored(stored);
}

/** A write that changes nothing but when something was written changes nothing. */
function ignoreNewTimes(draft: ApiDraft, old: ApiObject): void {
  const now = draft.metadata.managedFields;
  const before = old.metadata.managedFields;
  if (!Array.isArray(now) || !Array.isArray(before) || !equalJson(timeless(now), timeless(before))) return;
  draft.metadata.managedFields = before;
  if (!equalJson(draft, old)) draft.metadata.managedFields = now;
}

const timeless = (entries: readonly unknown[]): unknown[] =>
  entries.map((entry) => ({ ...(entry as Draft), time: undefined }));

/** An object that waits for its deletion goes with its last finalizer. */
function isDeletedByUpdate(draft: ApiDraft, old: ApiObject): boolean {
  const { metadata } = old;
  if (metadata.deletionTimestamp === undefined) return false;
  if (((draft.metadata.finalizers as string[] | undefined) ?? []).length > 0) return false;
  if (draft.kind === "Namespace" && draft.apiVersion === "v1") {
    return (((draft.spec as Draft | undefined)?.finalizers as string[] | undefined) ?? []).length === 0;
  }
  const grace = metadata.deletionGracePeriodSeconds;
  return grace === undefined || grace === 0;
}

function checkVersion(core: ResourceCore, draft: ApiDraft, old: ApiObject, plan: UpdatePlan): void {
  const { uid, resourceVersion } = draft.metadata as { uid?: string; resourceVersion?: string };
  if (plan.isPatch !== true && uid !== undefined && uid !== "" && uid !== old.metadata.uid) {
    throw uidConflict(core, plan.namespace, plan.name, uid, textOf(old.metadata.uid));
  }
  if (plan.isUnconditional === true) return;
  if (resourceVersion === undefined || resourceVersion === "" || resourceVersion === "0") {
    if (core.definition.allowUnconditionalUpdate === false && WITH_VERSION.has(plan.way.subresource)) {
      throw invalid({ group: core.entry.group, kind: core.entry.plural }, plan.name, [
        invalidValue("metadata.resourceVersion", 0, "must be specified for an update"),
      ]);
    }
    return;
  }
  if (!/^\d+$/.test(resourceVersion)) {
    throw statusError("", `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`);
  }
  if (resourceVersion !== old.metadata.resourceVersion) throw conflict(resourceOf(core), plan.name);
}

function checkUpdate(
  core: ResourceCore,
  object: ApiObject,
  old: ApiObject,
  validatesAsMain: boolean,
  way: UpdateWay,
  strategy: ReturnType<typeof strategyContext>,
): void {
  const errors = checkUpdatedMetadata(
    core.entry,
    way.subresource,
    object.metadata as ObjectMeta,
    old.metadata as ObjectMeta,
    core.definition.hasFreeFinalizers,
  );
  const asObject = validatesAsMain ? (core.definition.validate?.(object, strategy) ?? []) : [];
  const asChange = way.strategy.validate?.(object, old, strategy) ?? [];
  errors.push(...(checksChangeFirst(core.entry) ? [...asChange, ...asObject] : [...asObject, ...asChange]));
  if (errors.length > 0) throw invalid(kindInErrors(core.entry), textOf(object.metadata.name), errors);
}

/** The members beside metadata that are the same in both. */
function sameMembers(draft: ApiDraft, old: ApiObject): ReadonlySet<string> {
  const out = new Set<string>();
  for (const member in draft) if (member !== "metadata" && equalJson(draft[member], old[member])) out.add(member);
  return out;
}

/** The generation counts the changes of what is wished for: everything but metadata and status. */
function raiseGeneration(
  core: ResourceCore,
  draft: ApiDraft,
  old: ApiObject,
  way: UpdateWay,
  same: ReadonlySet<string>,
): void {
  if (!core.hasGeneration || core.definition.keepsGeneration === true) return;
  const before = typeof old.metadata.generation === "number" ? old.metadata.generation : 0;
  const isChanged = (member: string): boolean =>
    !UNCOUNTED.has(member) && !same.has(member) && draft[member] !== old[member];
  const changed = Object.keys(draft).some(isChanged) || Object.keys(old).some(isChanged);
  // A controller that writes status may annotate on the way: that is no new wish.
  const counts = way.subresource === "" && core.definition.countsMetadata?.(draft, old) === true;
  if (changed || counts) draft.metadata.generation = before + 1;
}
/** Ways of writing that heed the kind's rule for updates without a version. */
const WITH_VERSION: ReadonlySet<string> = new Set(["", "status"]);
const UNCOUNTED: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "status"]);
