import { equalJson, isObject } from "@coracle/apimachinery";
import type { RequestContext } from "./registry.ts";
import { warn } from "./resource-core.ts";
import type { ApiDraft } from "./resource-definition.ts";

const WHAT_TO_DO =
  "API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed:";

const uidOf = (owner: unknown): string => (isObject(owner) && typeof owner["uid"] === "string" ? owner["uid"] : "");

/** Leaves out owners that are named twice in all their members, and warns of them. */
export function dropRepeatedOwners(draft: ApiDraft, context: RequestContext, isAfterAdmission = false): void {
  const { ownerReferences: owners } = draft.metadata as { readonly ownerReferences?: unknown };
  if (!Array.isArray(owners) || owners.length < 2) return;
  const kept: unknown[] = [];
  const repeated: string[] = [];
  const byUid = new Map<string, unknown[]>();
  for (const owner of owners as readonly unknown[]) {
    const uid = uidOf(owner);
    const same = byUid.get(uid) ?? [];
    if (same.some((other) => equalJson(other, owner))) repeated.push(uid);
    else {
      byUid.set(uid, [...same, owner]);
      kept.push(owner);
    }
  }
  if (repeated.length === 0) return;
  const when = isAfterAdmission ? " after mutating admission happens" : "";
  warn(context, [`.metadata.ownerReferences contains duplicate entries${when}; ${WHAT_TO_DO} ${repeated.join(", ")}`]);
  draft.metadata.ownerReferences = kept;
}
