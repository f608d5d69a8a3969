import { alreadyExists, invalid, isAlreadyExists, isStatusError, statusError, type Draft } from "@coracle/apimachinery";
import type { StoredObject } from "../storage/object-storage.ts";
import { decodeObject, settleNamespace } from "./decode.ts";
import { trackWrite } from "./field-ownership.ts";
import { textOf } from "./json-text.ts";
import { checkNewObject } from "./new-object-check.ts";
import { fillNewMeta, generateName } from "./object-meta.ts";
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
import type { ApiDraft, ApiObject } from "./resource-definition.ts";

const GENERATE_TRIES = 8;

/** POST to the collection. */
export async function createObject(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  body: Draft,
  query: WriteQuery,
): Promise<Answer> {
  const draft = decodeObject(core, body, query.fieldValidation, context);
  dropRepeatedOwners(draft, context);
  return createDraft(core, context, namespace, draft, query);
}

/** Creates a decoded object with its defaults set. `isTracked`: who owns what is recorded in it already. */
export async function createDraft(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  draft: ApiDraft,
  query: WriteQuery,
  isTracked = false,
): Promise<Answer> {
  settleNamespace(core, draft, namespace);
  const { metadata } = draft;
  const { generateName: stem, resourceVersion } = metadata;
  const generates = typeof stem === "string" && stem !== "" && (metadata.name === undefined || metadata.name === "");
  if (generates) metadata.name = generateName(stem, core.random);
  fillNewMeta(draft, core.clock.now());
  if (core.hasGeneration) metadata.generation = 1;
  if (!isTracked) trackWrite(core, draft, undefined, { manager: query.fieldManager, subresource: "" });
  const call = {
    operation: "CREATE",
    subresource: "",
    namespace,
    name: (metadata.name as string | undefined) ?? "",
    object: draft,
    oldObject: undefined,
    options: undefined,
    isDryRun: query.dryRun,
    context,
  } as const;
  const admitting = admit(core, "admit", generates ? { ...call, isUnnamed: true } : call);
  if (admitting !== undefined) await admitting;
  dropRepeatedOwners(draft, context, true);
  const strategy = strategyContext(core, context, namespace, query.dryRun);
  core.definition.prepareForCreate?.(draft, strategy);
  refuseKnown(core, draft, generates);
  const { hooks } = core;
  const reservation = hooks.reserve === undefined ? undefined : await hooks.reserve(draft, undefined, query.dryRun);
  try {
    if (core.definition.load !== undefined) await core.definition.load();
    checkNew(core, draft as ApiObject, strategy);
    warn(context, core.definition.createWarnings?.(draft as ApiObject));
    const validating = admit(core, "validate", call);
    if (validating !== undefined) await validating;
    if (!query.dryRun && textOf(resourceVersion) !== "" && resourceVersion !== "0") {
      throw statusError("", "resourceVersion should not be set on objects to be created");
    }
    if (query.dryRun) {
      refuseExisting(core, draft);
      await reservation?.release();
      return answerObject(draft, true);
    }
    const stored = await store(core, draft, generates ? stem : undefined);
    if (reservation !== undefined) await reservation.commit();
    return answerStored(stored, true);
  } catch (error) {
    await reservation?.release();
    throw error;
  }
}

function checkNew(core: ResourceCore, object: ApiObject, strategy: ReturnType<typeof strategyContext>): void {
  const errors = checkNewObject(core.definition, object, core.entry.namespaced, strategy);
  if (errors.length > 0)
    throw invalid(kindInErrors(core.entry), (object.metadata.name as string | undefined) ?? "", errors);
}

/** Services take addresses before they are stored: an existing name must be known before that. */
function refuseKnown(core: ResourceCore, draft: ApiDraft, generates: boolean): void {
  if (core.hooks.reserve !== undefined && !generates) refuseExisting(core, draft);
}

function refuseExisting(core: ResourceCore, draft: ApiDraft): void {
  const { namespace = "", name } = draft.metadata as { namespace?: string; name: string };
  const existing = core.storage.get(namespace, name);
  if (existing !== undefined) throw whileDeleting(alreadyExists(resourceOf(core), name), existing);
}

async function store(core: ResourceCore, draft: ApiDraft, stem: string | undefined): Promise<StoredObject> {
  const { metadata } = draft;
  for (let tries = 1; ; tries++) {
    try {
      return await core.storage.create(draft, { ttlSeconds: core.ttlSeconds });
    } catch (error) {
      if (!isAlreadyExists(error) || !isStatusError(error)) throw error;
      if (stem === undefined) {
        const { namespace = "", name } = metadata as { namespace?: string; name: string };
        throw whileDeleting(error, core.storage.get(namespace, name));
      }
      if (tries === GENERATE_TRIES) {
        throw statusError(
          "AlreadyExists",
          `${error.message}, the server was not able to generate a unique name for the object`,
          { name: metadata.name as string, group: core.entry.group, kind: core.entry.plural, retryAfterSeconds: 1 },
        );
      }
      metadata.name = generateName(stem, core.random);
    }
  }
}

function whileDeleting(error: ReturnType<typeof alreadyExists>, existing: StoredObject | undefined): Error {
  if (existing?.object.metadata.deletionTimestamp === undefined) return error;
  return statusError("AlreadyExists", `object is being deleted: ${error.message}`, error.status.details);
}
