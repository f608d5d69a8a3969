import { conflict, invalid, invalidValue, isObject, notFound, type Draft, type Json } from "@coracle/apimachinery";
import { applyObject, readConfig } from "./apply-verb.ts";
import { checkName, decodeObject, settleNamespace, withoutManagedFields } from "./decode.ts";
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

/** The patch applies, but what comes of it is no object of the kind. */
function unreadable(patched: Draft, why: string): Error {
  const text = JSON.stringify(sorted(patched));
  return invalid({ group: "", kind: "" }, "", [invalidValue("patch", text, why)]);
}

/** A copy with its members in order, the way patched objects are shown. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sorted(member)]));
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
  if (kind === "apply") {
    return applyObject(core, context, where, readConfig(core, core.entry, patch.body), query, way);
  }
  if (core.storage.get(namespace, name) === undefined) throw notFound(resourceOf(core), name);
  const next = (old: ApiObject): ApiDraft => {
    const isOwnersPatch = speaksOfOwners(patch.body);
    const target = isOwnersPatch ? old : (withoutManagedFields(old) as ApiObject);
    const patched = patches(kind, core.entry, target, patch.body) as Draft;
    const refuse = (why: string): Error => unreadable(patched, why);
    const draft = decodeObject(core, patched, query.fieldValidation, context, refuse);
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
  return carryOutUpdate(core, context, { name, namespace, next, query, way });
}
