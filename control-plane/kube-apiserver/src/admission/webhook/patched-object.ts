import {
  applyJsonPatch,
  internalError,
  isObject,
  isStatusError,
  readManagedFields,
  type Draft,
} from "@coracle/apimachinery";
import { jsonFaultOf } from "../../outbound/json-answer.ts";
import type { TypeName } from "../../registry/resource-catalog.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { ApiDraft } from "../../registry/resource-definition.ts";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The operations of a patch. Throws an Error when it is none. */
export function decodePatch(patch: Buffer): readonly unknown[] {
  const text = patch.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(jsonFaultOf(text), { cause: error });
  }
  if (Array.isArray(value)) return value;
  const form = value === null ? "null" : isObject(value) ? "object" : typeof value;
  throw new Error(`json: cannot unmarshal ${form} into Go value of type jsonpatch.Patch`);
}

/** Applies a webhook's patch. Throws 500 when it does not fit: the webhook is to blame, not the client. */
export function applyPatch(object: Draft, operations: readonly unknown[]): Draft {
  try {
    return applyJsonPatch(object, operations) as Draft;
  } catch (error) {
    if (!isStatusError(error)) throw error;
    throw internalError(messageOf(error.cause ?? error));
  }
}

/** The patched object, read as one from a client would be: structure, defaults. Throws 500 when it cannot be read. */
export function readPatched(attributes: AdmissionAttributes, type: TypeName, value: Draft): ApiDraft {
  const { reading } = attributes;
  if (!isObject(value)) throw internalError("couldn't get version/kind; json parse error: the object is none");
  if (reading === undefined) return value as ApiDraft;
  const isOwn =
    type.group === reading.entry.group && type.version === reading.entry.version && type.kind === reading.entry.kind;
  let object: ApiDraft;
  try {
    object = reading.schema.decode(isOwn ? reading.entry : type, value).object as ApiDraft;
  } catch (error) {
    // The reader says which kind it read; upstream does not, here.
    throw internalError(messageOf(error).replace(/^.*? cannot be handled as an? \w+: /, ""));
  }
  object.apiVersion = value.apiVersion;
  object.kind = value.kind;
  if (!isObject(object.metadata)) object.metadata = {};
  if (isOwn) reading.definition.defaults?.(object);
  return object;
}

/** Members that the server has set already and that no webhook decides. */
const OWN = ["uid", "creationTimestamp", "generation"] as const;

const INVALID_OWNERS =
  ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: ";

/** Makes `draft` what `fresh` is, in place: others hold on to it and to its metadata. */
export function replaceDraft(draft: ApiDraft, fresh: ApiDraft, warnings: string[]): void {
  const { metadata } = draft;
  const keep: Draft = {};
  for (const member of OWN) if (metadata[member] !== undefined) keep[member] = metadata[member];
  const owners = metadata.managedFields;
  for (const member of Object.keys(metadata)) if (!(member in fresh.metadata)) delete metadata[member];
  Object.assign(metadata, fresh.metadata, keep);
  keepOwners(metadata, owners, warnings);
  for (const member of Object.keys(draft)) if (!(member in fresh)) delete draft[member];
  Object.assign(draft, fresh, { metadata });
}

/** Records of owners that cannot be read any longer are set back. */
function keepOwners(metadata: Draft, before: unknown, warnings: string[]): void {
  const { managedFields } = metadata;
  if (managedFields === undefined) return;
  try {
    readManagedFields(managedFields);
  } catch (error) {
    if (before === undefined) delete metadata.managedFields;
    else metadata.managedFields = before;
    warnings.push(`${INVALID_OWNERS}${messageOf(error)}`);
  }
}
