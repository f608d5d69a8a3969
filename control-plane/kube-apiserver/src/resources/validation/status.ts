import { notSupported, required, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, UpdateStrategy } from "../../registry/resource-definition.ts";

/** For updates of the main resource: status is what it was. */
export function keepStatus(draft: ApiDraft, old: ApiObject): void {
  if (old["status"] === undefined) delete draft["status"];
  else draft["status"] = old["status"];
}

/** For creates: clients may not set status. */
export function clearStatus(draft: ApiDraft): void {
  delete draft["status"];
}

/** For the status subresource: everything but status and metadata is what it was; labels and annotations too. */
export function keepAllButStatus(draft: ApiDraft, old: ApiObject): void {
  for (const field of Object.keys(draft)) {
    if (
      field !== "metadata" &&
      field !== "status" &&
      field !== "apiVersion" &&
      field !== "kind" &&
      old[field] === undefined
    )
      delete draft[field];
  }
  for (const field of Object.keys(old)) {
    if (field !== "metadata" && field !== "status") draft[field] = old[field];
  }
}

/** Brings back members of the metadata that a way of writing may not change. */
export function keepMetadata(draft: ApiDraft, old: ApiObject, members: readonly string[]): void {
  for (const member of members) {
    if (old.metadata[member] === undefined) delete draft.metadata[member];
    else draft.metadata[member] = old.metadata[member];
  }
}

const METADATA_BESIDE_STATUS = ["labels", "annotations", "finalizers", "ownerReferences"] as const;

/** The same, for kinds where nothing but the status can be written. */
export const onlyStatusUpdate: UpdateStrategy = {
  prepare(draft, old) {
    keepAllButStatus(draft, old);
    keepMetadata(draft, old, METADATA_BESIDE_STATUS);
  },
};

/** Conditions of the common form: when and why are told. */
export function validateConditions(errors: FieldError[], path: string, conditions: unknown): void {
  if (!Array.isArray(conditions)) return;
  conditions.forEach((condition: Draft, i) => {
    const at = `${path}[${i}]`;
    const { status, lastTransitionTime, reason } = condition;
    if (status !== "True" && status !== "False" && status !== "Unknown")
      errors.push(notSupported(`${at}.status`, status ?? "", ["False", "True", "Unknown"]));
    if ((lastTransitionTime ?? null) === null) errors.push(required(`${at}.lastTransitionTime`));
    if ((reason ?? "") === "") errors.push(required(`${at}.reason`));
  });
}

/** The status subresource of a kind without rules of its own. */
export const statusUpdate: UpdateStrategy = { prepare: keepAllButStatus };
