import { badRequest, cloneJson, isObject, isStatusError, type Draft } from "@coracle/apimachinery";
import { textOf } from "./json-text.ts";
import type { FieldValidation, RequestContext } from "./registry.ts";
import type { TypeName } from "./resource-catalog.ts";
import { apiVersionOfCore, warn, type ResourceCore } from "./resource-core.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";
import type { SchemaPort } from "./schema-port.ts";

const versionName = ({ group, version }: TypeName): string => (group === "" ? version : `${group}/${version}`);

/**
 * A request's JSON value as an object of the type: structure checked, unknown fields treated as asked, in its normal
 * form. The type that the value names must be the expected one; a value that names none is taken for it.
 */
export function decodeAs(
  schema: SchemaPort,
  type: TypeName,
  value: Draft,
  validation: FieldValidation,
  context: RequestContext | undefined,
  refuse?: (why: string) => Error,
): Draft {
  if (!isObject(value)) throw badRequest(`the object provided is unrecognized (must be of type ${type.kind})`);
  const expected = versionName(type);
  const apiVersion = (value.apiVersion ?? "") === "" ? expected : value.apiVersion;
  const kind = (value.kind ?? "") === "" ? type.kind : value.kind;
  const fail = (why: string): never => {
    if (refuse !== undefined) throw refuse(why);
    const version = textOf(apiVersion).replace(/^.*\//, "");
    throw badRequest(
      `${textOf(kind)} in version ${JSON.stringify(version)} cannot be handled as a ${type.kind}: ${why}`,
    );
  };
  if (typeof apiVersion !== "string" || typeof kind !== "string") {
    throw badRequest("couldn't get version/kind; json parse error: apiVersion and kind must be strings");
  }
  if (schema.checkType !== undefined) schema.checkType(type, value);
  else if (apiVersion !== expected || kind !== type.kind) fail(otherType(schema, type, apiVersion, kind));
  let decoded: ReturnType<SchemaPort["decode"]>;
  try {
    decoded = schema.decode(type, value);
  } catch (error) {
    if (isStatusError(error)) {
      if (refuse !== undefined) throw refuse(error.message.replace(/^.* cannot be handled as an? \w+: /, ""));
      throw error;
    }
    return fail(error instanceof Error ? error.message : String(error));
  }
  // A patched object has no text whose order counts: its members stand by name.
  const unknown = refuse === undefined || decoded.strict.length < 2 ? decoded.strict : decoded.strict.toSorted();
  const strict = strictFaults(schema, unknown, context);
  if (strict.length > 0 && validation === "Strict") fail(`strict decoding error: ${strict.join(", ")}`);
  if (validation === "Warn" && context !== undefined) warn(context, strict);
  const { object } = decoded;
  object.apiVersion = expected;
  object.kind = type.kind;
  return object;
}

/** What is wrong with a body beside what keeps it from being decoded. */
function strictFaults(
  schema: SchemaPort,
  unknown: readonly string[],
  context: RequestContext | undefined,
): readonly string[] {
  const repeated = context?.repeatedFields;
  if (repeated === undefined) return unknown;
  return schema.tellsRepeatedFirst === true ? [...repeated.texts, ...unknown] : repeated.among(unknown);
}

/** Why an object of another type is not taken. */
function otherType(schema: SchemaPort, type: TypeName, apiVersion: string, kind: string): string {
  const slash = apiVersion.lastIndexOf("/");
  const sent = { group: slash === -1 ? "" : apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
  if (schema.mergeType?.(sent) === undefined)
    return `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`;
  const family = type.group === "" || type.group === "events.k8s.io" ? "core" : type.group.replace(/\..*$/, "");
  return `converting (${sent.version}.${kind}) to (${family}.${type.kind}): unknown conversion`;
}

/** Decodes an object of the resource itself and sets its defaults. `settled`: members that are copied as they are. */
export function decodeObject(
  core: ResourceCore,
  value: Draft,
  validation: FieldValidation,
  context: RequestContext | undefined,
  refuse?: (why: string) => Error,
  settled: Draft = {},
): ApiDraft {
  const object = decodeRest(settled, value, (rest) =>
    decodeAs(core.schema, core.entry, rest, validation, context, refuse),
  ) as ApiDraft;
  if (!isObject(object.metadata)) object.metadata = {};
  const owners = managedFieldsOf(value);
  // An empty list says something: that no one owns anything any longer.
  if (Array.isArray(owners) && owners.length === 0) object.metadata.managedFields = [{}];
  core.definition.defaults?.(object);
  context?.noteObject?.(object);
  return object;
}

/** The members beside metadata that what a patch made of `old` has from that, where they need not be decoded again. */
export function settledMembers(core: ResourceCore, patched: Draft, old: ApiObject): Draft {
  const out: Draft = {};
  if (core.schema.isSettled !== true || !isObject(patched)) return out;
  for (const member in patched) {
    const value = patched[member];
    if (member !== "metadata" && typeof value === "object" && value !== null && value === old[member])
      out[member] = value;
  }
  return out;
}

function decodeRest(settled: Draft, value: Draft, decode: (rest: Draft) => Draft): Draft {
  const rest: Draft = {};
  let isWhole = true;
  for (const member in value) {
    if (settled[member] === undefined) rest[member] = value[member];
    else isWhole = false;
  }
  if (isWhole) return decode(value);
  const decoded = decode(rest);
  const out: Draft = {};
  for (const member in value) {
    const known = settled[member];
    if (known !== undefined) out[member] = cloneJson(known);
    else if (decoded[member] !== undefined) out[member] = decoded[member];
  }
  for (const member in decoded) out[member] ??= decoded[member];
  return out;
}

/** Puts the request's namespace into the object, or refuses one that says otherwise. */
export function settleNamespace(core: ResourceCore, draft: ApiDraft, namespace: string): void {
  const { metadata } = draft;
  if (!core.entry.namespaced) {
    delete metadata.namespace;
    return;
  }
  const given = metadata.namespace;
  if (given === undefined || given === "") metadata.namespace = namespace;
  else if (given !== namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
}

/** The object's name must be the one in the URL. */
export function checkName(draft: ApiDraft, name: string): void {
  const given = draft.metadata.name;
  if (given === undefined || given === "") {
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  }
  if (given !== name) {
    throw badRequest(`the name of the object (${textOf(given)}) does not match the name on the URL (${name})`);
  }
}

/** A copy that strategies and admission may change. */
export function draftOf(core: ResourceCore, object: unknown): ApiDraft {
  const draft = cloneJson(withoutManagedFields(object)) as ApiDraft;
  const managedFields = managedFieldsOf(object);
  if (managedFields !== undefined) draft.metadata.managedFields = managedFields;
  draft.apiVersion = apiVersionOfCore(core);
  draft.kind = core.entry.kind;
  return draft;
}

/** Who owns what, as the object says. Shared between versions of objects: not to be changed. */
export const managedFieldsOf = (object: unknown): unknown =>
  isObject(object) && isObject(object.metadata) ? object.metadata.managedFields : undefined;

/** A view of the object without `managedFields`, which are large and which most writes do not touch. */
export function withoutManagedFields(object: unknown): unknown {
  if (managedFieldsOf(object) === undefined) return object;
  const { managedFields: _, ...metadata } = (object as ApiDraft).metadata;
  return { ...(object as ApiDraft), metadata };
}
