import {
  duplicate,
  invalidValue,
  isQualifiedName,
  notSupported,
  required,
  tooLong,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
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

const REASON = /^[A-Za-z](?:[A-Za-z0-9_,:]*[A-Za-z0-9_])?$/;
const MAX_REASON = 1024;
const MAX_MESSAGE = 32_768;

/** Conditions of the common form: each type once, and when and why are told. */
export function validateConditions(errors: FieldError[], path: string, conditions: unknown): void {
  if (!Array.isArray(conditions)) return;
  const types = new Set<string>();
  conditions.forEach((condition: Draft, i) => {
    const at = `${path}[${i}]`;
    const { status, lastTransitionTime, observedGeneration } = condition;
    const [type, reason, message] = [condition["type"], condition["reason"], condition["message"]].map((value) =>
      typeof value === "string" ? value : "",
    ) as [string, string, string];
    if (types.has(type)) errors.push(duplicate(`${at}.type`, type));
    types.add(type);
    for (const problem of isQualifiedName(type)) errors.push(invalidValue(`${at}.type`, type, problem));
    if (status !== "True" && status !== "False" && status !== "Unknown")
      errors.push(notSupported(`${at}.status`, status ?? "", ["False", "True", "Unknown"]));
    if (typeof observedGeneration === "number" && observedGeneration < 0)
      errors.push(
        invalidValue(`${at}.observedGeneration`, observedGeneration, "must be greater than or equal to zero"),
      );
    if ((lastTransitionTime ?? null) === null) errors.push(required(`${at}.lastTransitionTime`));
    if (reason === "") errors.push(required(`${at}.reason`));
    else {
      if (!REASON.test(reason))
        errors.push(
          invalidValue(
            `${at}.reason`,
            reason,
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
          ),
        );
      if (reason.length > MAX_REASON) errors.push(tooLong(`${at}.reason`, MAX_REASON));
    }
    if (Buffer.byteLength(message) > MAX_MESSAGE) errors.push(tooLong(`${at}.message`, MAX_MESSAGE));
  });
}

/** The status subresource of a kind without rules of its own. */
export const statusUpdate: UpdateStrategy = { prepare: keepAllButStatus };
