import {
  badRequest,
  conflict,
  goText,
  invalid,
  invalidValue,
  isObject,
  notFound,
  type Draft,
  type Json,
} from "@coracle/apimachinery";
import { applyObject, readConfig } from "./apply-verb.ts";
import { checkName, decodeObject, settledMembers, settleNamespace, withoutManagedFields } from "./decode.ts";
import type { Answer, PatchKind, RequestContext, WriteQuery } from "./registry.ts";
import { resourceOf, type ResourceCore } from "./resource-core.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";
import { carryOutUpdate, mainWay, type UpdateWay } from "./update-verb.ts";
import type { TypeName } from "./resource-catalog.ts";

/** Applies a patch to a JSON value of a type and returns the new value; the old one is not changed. */
export type PatchPort = (kind: Exclude<PatchKind, "apply">, type: TypeName, value: Json, patch: Json) => Json;

/** Whether a patch changes `managedFields` itself; others need not carry them along. */
function speaksOfOwners(patch: Json): boolean {
  if (Array.isArray(patch)) return true;
  if (!isObject(patch)) return false;
  const { metadata } = patch;
  return isObject(metadata) && metadata.managedFields !== undefined;
}

/** The patch applies, but what comes of it is no object of the kind: the whole of it is shown, or the strategic patch. */
function unreadable(kind: PatchKind, patch: Json, patched: Draft, why: string): Error {
  const [text, fault] =
    kind === "strategic" ? [goText(patch), conversionFault(why)] : [JSON.stringify(sorted(patched)), why];
  return invalid({ group: "", kind: "" }, "", [invalidValue("patch", text, fault)]);
}

const NUMBERS = /^(u?int\d*|float\d+)$/;

/** What a decoder says of a value of the wrong form, as the converter of strategic patches says it. */
function conversionFault(why: string): string {
  const found = /^json: cannot unmarshal (\w+)(?: \S+)? into Go (?:struct field \S+|value) of type (\S+)$/.exec(why);
  if (found === null) return why;
  const [, given = "", type = ""] = found;
  const form = { number: "float64", object: "map", array: "slice" }[given] ?? given;
  if (type.startsWith("[]")) return `cannot restore slice from ${form}`;
  if (type.startsWith("map[")) return `cannot restore map from ${form}`;
  if (NUMBERS.test(type) && given === "number") return `cannot convert float64 to ${type}`;
  if (NUMBERS.test(type) || type === "bool") return `unrecognized type: ${type}`;
  if (type === "string") return `cannot convert ${given === "number" ? "int64" : form} to string`;
  return `cannot restore struct from: ${form}`;
}

const withOwners = (object: Draft, managedFields: unknown): Draft => ({
  ...object,
  metadata: { ...(isObject(object.metadata) ? object.metadata : {}), managedFields },
});

/** A copy with its members in order, the way patched objects are shown. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sorted(member)]));
}

/** A merge patch is an object. */
function refusePatchForm(kind: PatchKind, patch: Json): void {
  if (kind === "json" || isObject(patch) || patch === null) return;
  const form = Array.isArray(patch) ? "array" : typeof patch === "boolean" ? "bool" : typeof patch;
  const why = `json: cannot unmarshal ${form} into Go value of type map[string]interface {}`;
  throw badRequest(kind === "merge" ? `error decoding patch: ${why}` : why);
}

/** PATCH of an object or a subresource of the same kind. */
export async function patchObject(
  core: ResourceCore,
  patches: PatchPort,
  context: RequestContext,
  where: { readonly namespace: string; readonly name: string },
  patch: { readonly kind: PatchKind; readonly body: Json },
  query: WriteQuery & { readonly force: boolean },
  way: UpdateWay = mainWay(core),
): Promise<Answer> {
  const { namespace, name } = where;
  const { kind } = patch;
  // Upstream reads a configuration once it has the object that it is about.
  if (way.subresource !== "" && core.storage.get(namespace, name) === undefined) throw notFound(resourceOf(core), name);
  if (kind === "apply") {
    return applyObject(core, context, where, readConfig(core, core.entry, patch.body), query, way);
  }
  if (core.storage.get(namespace, name) === undefined) throw notFound(resourceOf(core), name);
  let untouched: Draft = {};
  const next = (old: ApiObject): ApiDraft => {
    const isOwnersPatch = speaksOfOwners(patch.body);
    const target = isOwnersPatch ? old : (withoutManagedFields(old) as ApiObject);
    refusePatchForm(kind, patch.body);
    const patched = patches(kind, core.entry, target, patch.body) as Draft;
    const refuse = (why: string): Error => {
      const { managedFields } = old.metadata;
      const shown = isOwnersPatch || managedFields === undefined ? patched : withOwners(patched, managedFields);
      return unreadable(kind, patch.body, shown, why);
    };
    untouched = settledMembers(core, patched, old);
    const draft = decodeObject(core, patched, query.fieldValidation, context, refuse, untouched);
    if (!isOwnersPatch && old.metadata.managedFields !== undefined) {
      draft.metadata.managedFields = old.metadata.managedFields;
    }
    settleNamespace(core, draft, namespace);
    checkName(draft, name);
    // The patch itself asked for another version: no retry will help.
    const { resourceVersion } = draft.metadata;
    if (resourceVersion !== undefined && resourceVersion !== "" && resourceVersion !== old.metadata.resourceVersion) {
      throw conflict(resourceOf(core), name);
    }
    return draft;
  };
  const plan = { name, namespace, next, query, way, isPatch: true, untouched: () => untouched };
  return carryOutUpdate(core, context, plan);
}
