import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from "@coracle/api/meta/v1";
import { forbiddenField, invalidValue, required, tooLong, type FieldError } from "../errors/field-error.ts";
import { equalJson } from "../json/json.ts";
import { IMMUTABLE_MESSAGE, isDns1123Label, isLabelValue, isQualifiedName, NEGATIVE_MESSAGE } from "./names.ts";

/** Most bytes that all annotations of an object may have together. */
export const MAX_ANNOTATION_BYTES = 256 * 1024;

/** Why a name is refused; `isPrefix`: it is a generateName. */
export type NameRule = (name: string, isPrefix: boolean) => readonly string[];

/**
 * What is wrong with the metadata of any object. `field` is `metadata`. `hasFreeFinalizers`: finalizers need no domain,
 * as those of custom resources and their definitions.
 */
export function validateObjectMeta(
  meta: ObjectMeta,
  isNamespaced: boolean,
  nameRule: NameRule,
  field = "metadata",
  hasFreeFinalizers = false,
): FieldError[] {
  const errors: FieldError[] = [];
  const { name = "", generateName = "", namespace = "" } = meta;
  if (generateName !== "") {
    for (const message of nameRule(generateName, true)) {
      errors.push(invalidValue(`${field}.generateName`, generateName, message));
    }
  }
  if (name === "") errors.push(required(`${field}.name`, "name or generateName is required"));
  else for (const message of nameRule(name, false)) errors.push(invalidValue(`${field}.name`, name, message));
  if (isNamespaced) {
    if (namespace === "") errors.push(required(`${field}.namespace`));
    else
      for (const message of isDns1123Label(namespace))
        errors.push(invalidValue(`${field}.namespace`, namespace, message));
  } else if (namespace !== "") {
    errors.push(forbiddenField(`${field}.namespace`, "not allowed on this type"));
  }
  if ((meta.generation ?? 0) < 0) errors.push(invalidValue(`${field}.generation`, meta.generation, NEGATIVE_MESSAGE));
  return [
    ...errors,
    ...validateLabels(meta.labels, `${field}.labels`),
    ...validateAnnotations(meta.annotations, `${field}.annotations`),
    ...validateOwnerReferences(meta.ownerReferences ?? [], `${field}.ownerReferences`),
    ...validateFinalizers(meta.finalizers ?? [], `${field}.finalizers`, hasFreeFinalizers),
    ...validateManagedFields(meta.managedFields ?? [], `${field}.managedFields`),
  ];
}

/** What an update may not do to metadata. Both objects have been checked by `validateObjectMeta`. */
export function validateObjectMetaUpdate(meta: ObjectMeta, old: ObjectMeta, field = "metadata"): FieldError[] {
  const errors: FieldError[] = [];
  if (old.deletionTimestamp !== undefined) {
    const known = new Set(old.finalizers ?? []);
    const added = (meta.finalizers ?? []).filter((finalizer) => !known.has(finalizer));
    if (added.length > 0) {
      const list = added.map((finalizer) => JSON.stringify(finalizer)).join(", ");
      errors.push(
        forbiddenField(
          `${field}.finalizers`,
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
        ),
      );
    }
  }
  if ((meta.resourceVersion ?? "") === "") {
    errors.push(
      invalidValue(`${field}.resourceVersion`, meta.resourceVersion ?? "", "must be specified for an update"),
    );
  }
  if ((meta.generation ?? 0) < (old.generation ?? 0)) {
    errors.push(invalidValue(`${field}.generation`, meta.generation, "must not be decremented"));
  }
  for (const member of IMMUTABLE) {
    if (!equalJson(meta[member] ?? null, old[member] ?? null)) {
      errors.push(invalidValue(`${field}.${member}`, meta[member], IMMUTABLE_MESSAGE));
    }
  }
  return errors;
}

const IMMUTABLE = [
  "name",
  "namespace",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
] as const satisfies readonly (keyof ObjectMeta)[];

/** Labels of an object or a template. */
export function validateLabels(labels: ObjectMeta["labels"], field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    for (const message of isQualifiedName(key)) {
      errors.push(invalidValue(field, key, message.replace(/^a qualified name must/, "a valid label key must")));
    }
    for (const message of isLabelValue(value)) errors.push(invalidValue(field, value, message));
  }
  return errors;
}

/** Annotations of an object or a template. */
export function validateAnnotations(annotations: ObjectMeta["annotations"], field: string): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    // The prefix may have capitals here, unlike in labels.
    for (const message of isQualifiedName(key.toLowerCase())) errors.push(invalidValue(field, key, message));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATION_BYTES) errors.push(tooLong(field, MAX_ANNOTATION_BYTES));
  return errors;
}

const MAX_OWNER_ERRORS = 10;

function validateOwnerReferences(owners: readonly OwnerReference[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  // All references are spoken of together, without their index.
  const at = field;
  owners.forEach((owner) => {
    if (!/^(?:[^/]+\/)?[^/]+$/.test(owner.apiVersion)) {
      errors.push(invalidValue(`${at}.apiVersion`, owner.apiVersion, "version must not be empty"));
    }
    for (const member of ["kind", "name", "uid"] as const) {
      if ((owner[member] ?? "") === "")
        errors.push(invalidValue(`${at}.${member}`, owner[member] ?? "", "must not be empty"));
    }
    if (owner.apiVersion === "v1" && owner.kind === "Event") {
      errors.push(invalidValue(at, owner, "/v1, Kind=Event is disallowed from being an owner"));
    }
    if (owner.controller !== true) return;
    const name = `${owner.kind}/${owner.name}`;
    if (controller === undefined) controller = name;
    // Each such error holds the whole list: a few say as much as thousands.
    else if (errors.length < MAX_OWNER_ERRORS) {
      errors.push(
        invalidValue(
          field,
          owners,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
        ),
      );
    }
  });
  return errors;
}

/** Names that finalizers may have without a domain. */
const STANDARD_FINALIZERS = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

function validateFinalizers(finalizers: readonly string[], field: string, areFree: boolean): FieldError[] {
  const errors: FieldError[] = [];
  for (const finalizer of finalizers) {
    const messages = isQualifiedName(finalizer);
    for (const message of messages) errors.push(invalidValue(field, finalizer, message));
  }
  finalizers.forEach((finalizer, i) => {
    if (areFree || finalizer.includes("/") || STANDARD_FINALIZERS.has(finalizer)) return;
    const why = "name is neither a standard finalizer name nor is it fully qualified";
    errors.push(invalidValue(`${field}[${i}]`, finalizer, why));
  });
  if (finalizers.includes("orphan") && finalizers.includes("foregroundDeletion")) {
    errors.push(invalidValue(field, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"));
  }
  return errors;
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  entries.forEach((entry, i) => {
    const at = `${field}[${i}]`;
    const { operation, fieldsType = "", manager = "" } = entry;
    if (operation !== "Apply" && operation !== "Update") {
      errors.push(invalidValue(`${at}.operation`, operation ?? "", "must be `Apply` or `Update`"));
    }
    if (fieldsType !== "" && fieldsType !== "FieldsV1") {
      errors.push(invalidValue(`${at}.fieldsType`, fieldsType, "must be `FieldsV1`"));
    }
    if (manager.length > 128) errors.push(tooLong(`${at}.manager`, 128));
  });
  return errors;
}
