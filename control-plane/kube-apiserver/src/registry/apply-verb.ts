import {
  badRequest,
  checkConfig,
  isAlreadyExists,
  isObject,
  isStatusError,
  notFound,
  statusError,
  type Draft,
  type Json,
} from "@coracle/apimachinery";
import { createDraft } from "./create-verb.ts";
import { checkName, decodeObject, draftOf, settleNamespace } from "./decode.ts";
import { settleEmptyLists } from "./empty-lists.ts";
import { applyTo } from "./field-ownership.ts";
import { textOf } from "./json-text.ts";
import type { Answer, RequestContext, WriteQuery } from "./registry.ts";
import type { TypeName } from "./resource-catalog.ts";
import { apiVersionOfCore, resourceOf, type ResourceCore } from "./resource-core.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";
import { carryOutUpdate, type UpdateWay } from "./update-verb.ts";

/** A server-side apply: PATCH that says what its manager wants of the object, as a whole. */
export async function applyObject(
  core: ResourceCore,
  context: RequestContext,
  where: { readonly namespace: string; readonly name: string },
  config: Draft,
  query: WriteQuery & { readonly force: boolean },
  way: UpdateWay,
): Promise<Answer> {
  const { namespace, name } = where;
  const write = { manager: query.fieldManager, subresource: way.subresource, force: query.force };
  const next = (old: ApiObject | undefined): ApiDraft => {
    const applied = applyTo(core, old, config, write);
    const { managedFields } = applied.metadata as Draft;
    // The owners were made here: they need no check.
    delete (applied.metadata as Draft).managedFields;
    const draft = decodeApplied(core, context, config, applied);
    settleEmptyLists(core.entry, draft);
    if (managedFields !== undefined) draft.metadata.managedFields = managedFields;
    // What is made is of no version yet.
    if (old === undefined) delete draft.metadata.resourceVersion;
    settleNamespace(core, draft, namespace);
    checkNamed(draft, name);
    return draft;
  };
  if (core.storage.get(namespace, name) === undefined) {
    if (way.subresource !== "") throw notFound(resourceOf(core), name);
    refuseUid(core, name, config);
    await context.authorizeCreate?.();
    try {
      return await createDraft(core, context, namespace, next(undefined), query, true);
    } catch (error) {
      // Someone was quicker: then it is an update.
      if (!isAlreadyExists(error) || core.storage.get(namespace, name) === undefined) throw error;
    }
  }
  return carryOutUpdate(core, context, { name, namespace, next, query, way, isTracked: true, isPatch: true });
}

function checkNamed(draft: ApiDraft, name: string): void {
  if (textOf(draft.metadata.name) !== "") return checkName(draft, name);
  throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
}

const OVERFLOW = /cannot unmarshal number -?\d+ into .* of type int32$/;

/** The configuration fits the declared fields, yet values may not: an error of the server, as upstream has it. */
function decodeApplied(core: ResourceCore, context: RequestContext, config: Draft, applied: Draft): ApiDraft {
  try {
    return decodeObject(core, applied, "Ignore", context);
  } catch (error) {
    if (!isStatusError(error, "BadRequest")) throw error;
    const { schema, entry } = core;
    if (OVERFLOW.test(error.message) && schema.wrapIntegers !== undefined) {
      const wrapped = schema.wrapIntegers(entry, applied);
      if (JSON.stringify(wrapped) !== JSON.stringify(applied)) return decodeApplied(core, context, config, wrapped);
    }
    const why = error.message.replace(/^.* cannot be handled as an? \w+: /, "");
    const type = `${apiVersionOfCore(core)}, Kind=${core.entry.kind}`;
    throw statusError(
      "",
      `failed to convert new object (${textOfConfig(config)}) to proper version: unable to convert unstructured object to ${type}: ${why}`,
    );
  }
}

/** A configuration as messages name it. */
function textOfConfig({ apiVersion, kind, metadata }: Draft): string {
  const { namespace, name } = (isObject(metadata) ? metadata : {}) as { namespace?: unknown; name?: unknown };
  return `${textOf(namespace)}/${textOf(name)}; ${typeText(apiVersion, kind)}`;
}

/** `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`. */
function typeText(apiVersion: unknown, kind: unknown): string {
  const text = textOf(apiVersion);
  return `${text.includes("/") ? text : `/${text}`}, Kind=${textOf(kind)}`;
}

/** A configuration that speaks of one certain object does not make another. */
function refuseUid(core: ResourceCore, name: string, config: Draft): void {
  const uid = isObject(config.metadata) ? textOf(config.metadata.uid) : "";
  if (uid === "") return;
  const { group, resource } = resourceOf(core);
  throw statusError(
    "Conflict",
    `Operation cannot be fulfilled on ${group === "" ? resource : `${resource}.${group}`} "${name}": uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    { name, group, kind: resource },
  );
}

/** Checks an apply's body: of the expected type, with declared fields only, without owners. */
export function readConfig(core: ResourceCore, type: TypeName, body: Json): Draft {
  if (!isObject(body)) {
    const form = Array.isArray(body)
      ? "array"
      : body === null
        ? "null"
        : typeof body === "boolean"
          ? "bool"
          : typeof body;
    throw badRequest(
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${form} into Go value of type map[string]interface {}`,
    );
  }
  const config = draftOf(core, body);
  config.apiVersion = body["apiVersion"];
  config.kind = body["kind"];
  const expected = type.group === "" ? type.version : `${type.group}/${type.version}`;
  if (config.apiVersion !== expected || config.kind !== type.kind) {
    throw badRequest(`invalid object type: ${typeText(config.apiVersion, config.kind)}`);
  }
  const { metadata } = config;
  if (isObject(metadata) && metadata.managedFields !== undefined && metadata.managedFields !== null) {
    throw badRequest("metadata.managedFields must be nil");
  }
  checkDeclared(core, type, config);
  return config;
}

function checkDeclared(core: ResourceCore, type: TypeName, config: Draft): void {
  const mergeType = core.schema.mergeType?.(type);
  const errors = mergeType === undefined ? [] : checkConfig(mergeType, config);
  if (errors.length === 0) return;
  const list = errors.length === 1 ? errors[0] : ["errors:", ...errors.map((error) => `  ${error}`)].join("\n");
  throw statusError("", `failed to create typed patch object (${textOfConfig(config)}): ${list}`);
}
