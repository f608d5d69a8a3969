import { isObject, nameIsPathSegment } from "@coracle/apimachinery";
import type { ResourceEntry } from "./resource-catalog.ts";
import type { ApiDraft, ApiObject, ResourceDefinition, UpdateStrategy } from "./resource-definition.ts";

function restore(draft: ApiDraft, old: ApiObject, member: string): void {
  if (old[member] === undefined) delete draft[member];
  else draft[member] = old[member];
}

/** The main resource leaves the status alone. */
const withoutStatus: UpdateStrategy = { prepare: (draft, old) => restore(draft, old, "status") };

/** `status` changes nothing but the status (and annotations, finalizers and the like of the metadata). */
export const statusOnly: UpdateStrategy = {
  prepare(draft, old) {
    for (const member of new Set([...Object.keys(draft), ...Object.keys(old)])) {
      if (member !== "metadata" && member !== "status") restore(draft, old, member);
    }
    if (old.metadata.labels === undefined) delete draft.metadata.labels;
    else draft.metadata.labels = old.metadata.labels;
  },
};

/** Everything is taken as sent except the status: `finalize` of namespaces, `approval` of signing requests. */
export const allButStatus: UpdateStrategy = withoutStatus;

/** A kind served from the tables alone. */
export function fallbackDefinition(entry: ResourceEntry): ResourceDefinition {
  const { group, version, plural, kind } = entry;
  const hasStatus = isObject(entry.subresources) && entry.subresources.status !== undefined;
  // RBAC's names hold colons.
  if (group === "rbac.authorization.k8s.io") return { group, version, plural, kind, validateName: nameIsPathSegment };
  if (!hasStatus) return { group, version, plural, kind };
  return {
    group,
    version,
    plural,
    kind,
    prepareForCreate: (draft) => void delete draft.status,
    update: withoutStatus,
    subresources: { status: statusOnly },
  };
}
