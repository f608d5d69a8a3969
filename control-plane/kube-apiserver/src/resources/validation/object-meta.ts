import type { ObjectMeta, OwnerReference } from "@coracle/api/meta/v1";
import { equalJson, forbiddenField, invalidValue, required, tooLong, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { dns1123Label, labelValue, qualifiedName } from "./names.ts";

const ANNOTATIONS_MAX_BYTES = 262_144;
type StringMap = { readonly [key: string]: string | undefined } | undefined;

/** Keys are qualified names, values label values. */
export function validateLabels(errors: FieldError[], path: string, labels: StringMap): void {
  if (labels === undefined) return;
  for (const key of Object.keys(labels).toSorted()) {
    for (const message of qualifiedName(key)) errors.push(invalidValue(path, key, message));
    const value = text(labels[key]);
    for (const message of labelValue(value)) errors.push(invalidValue(path, value, message));
  }
}

/** Keys are qualified names in lower case; all together at most 256 KiB. */
export function validateAnnotations(errors: FieldError[], path: string, annotations: StringMap): void {
  if (annotations === undefined) return;
  let size = 0;
  for (const key of Object.keys(annotations).toSorted()) {
    for (const message of qualifiedName(key.toLowerCase())) errors.push(invalidValue(path, key, message));
    size += Buffer.byteLength(key) + Buffer.byteLength(text(annotations[key]));
  }
  if (size > ANNOTATIONS_MAX_BYTES) errors.push(tooLong(path, ANNOTATIONS_MAX_BYTES));
}

/** A finalizer is a qualified name; those without a prefix must be known. */
export function validateFinalizerName(errors: FieldError[], path: string, name: string): void {
  for (const message of qualifiedName(name)) errors.push(invalidValue(path, name, message));
  if (!name.includes("/") && name !== "orphan" && name !== "foregroundDeletion" && name !== "kubernetes") {
    if (!path.startsWith("metadata")) return;
  }
}

function validateOwnerReferences(
  errors: FieldError[],
  path: string,
  owners: readonly Decoded<OwnerReference>[] | undefined,
): void {
  let controller: string | undefined;
  owners?.forEach((owner, i) => {
    const at = `${path}[${i}]`;
    const apiVersion = text(owner.apiVersion);
    const slash = apiVersion.indexOf("/");
    const version = slash < 0 ? apiVersion : apiVersion.slice(slash + 1);
    if (version === "") errors.push(invalidValue(`${at}.apiVersion`, apiVersion, "version must not be empty"));
    if (text(owner.kind) === "") errors.push(invalidValue(`${at}.kind`, "", "must not be empty"));
    if (text(owner.name) === "") errors.push(invalidValue(`${at}.name`, "", "must not be empty"));
    if (text(owner.uid) === "") errors.push(invalidValue(`${at}.uid`, "", "must not be empty"));
    if (owner.kind === "Event" && apiVersion === "v1")
      errors.push(invalidValue(path, owner, "is disallowed from being an owner"));
    if (owner.controller === true) {
      const name = `${text(owner.kind)}/${text(owner.name)}`;
      if (controller === undefined) controller = name;
      else
        errors.push(
          invalidValue(
            path,
            owners,
            `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
          ),
        );
    }
  });
}

/** What may be checked of metadata in every object, at any time. */
export interface MetadataRules {
  readonly namespaced: boolean;
  readonly validateName: (name: string, isPrefix: boolean) => string[];
}

/** The rules for the metadata of a new object. `path` is `metadata`. */
export function validateObjectMeta(
  errors: FieldError[],
  path: string,
  meta: Decoded<ObjectMeta>,
  rules: MetadataRules,
): void {
  const generateName = text(meta.generateName);
  if (generateName !== "") {
    for (const message of rules.validateName(generateName, true))
      errors.push(invalidValue(`${path}.generateName`, generateName, message));
  }
  const name = text(meta.name);
  if (name === "") errors.push(required(`${path}.name`, "name or generateName is required"));
  else for (const message of rules.validateName(name, false)) errors.push(invalidValue(`${path}.name`, name, message));
  const namespace = text(meta.namespace);
  if (rules.namespaced) {
    if (namespace === "") errors.push(required(`${path}.namespace`));
    else
      for (const message of dns1123Label(namespace)) errors.push(invalidValue(`${path}.namespace`, namespace, message));
  } else if (namespace !== "") {
    errors.push(forbiddenField(`${path}.namespace`, "not allowed on this type"));
  }
  validateMetadataFields(errors, path, meta);
}

function validateMetadataFields(errors: FieldError[], path: string, meta: Decoded<ObjectMeta>): void {
  if ((meta.generation ?? 0) < 0)
    errors.push(invalidValue(`${path}.generation`, meta.generation, "must be greater than or equal to 0"));
  validateLabels(errors, `${path}.labels`, meta.labels);
  validateAnnotations(errors, `${path}.annotations`, meta.annotations);
  validateOwnerReferences(errors, `${path}.ownerReferences`, meta.ownerReferences);
  validateFinalizers(errors, `${path}.finalizers`, meta.finalizers);
}

function validateFinalizers(errors: FieldError[], path: string, finalizers: readonly string[] | undefined): void {
  if (finalizers === undefined) return;
  for (const finalizer of finalizers) {
    for (const message of qualifiedName(finalizer)) errors.push(invalidValue(path, finalizer, message));
  }
  if (finalizers.includes("orphan") && finalizers.includes("foregroundDeletion"))
    errors.push(invalidValue(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"));
}

/** One field may not change. */
export function validateImmutable(errors: FieldError[], path: string, value: unknown, old: unknown): boolean {
  if (equalJson(value, old)) return true;
  errors.push(invalidValue(path, value, "field is immutable"));
  return false;
}

/** The rules for the metadata of an object that replaces `old`. */
export function validateObjectMetaUpdate(
  errors: FieldError[],
  path: string,
  meta: Decoded<ObjectMeta>,
  old: Decoded<ObjectMeta>,
): void {
  if (old.deletionTimestamp !== undefined && old.deletionTimestamp !== null) {
    for (const finalizer of meta.finalizers ?? []) {
      if (!(old.finalizers ?? []).includes(finalizer))
        errors.push(
          forbiddenField(
            `${path}.finalizers`,
            `no new finalizers can be added if the object is being deleted, found new finalizers []string{${JSON.stringify(finalizer)}}`,
          ),
        );
    }
  }
  if (text(meta.resourceVersion) === "")
    errors.push(invalidValue(`${path}.resourceVersion`, "", "must be specified for an update"));
  if ((meta.generation ?? 0) < (old.generation ?? 0))
    errors.push(invalidValue(`${path}.generation`, meta.generation ?? 0, "must not be decremented"));
  for (const field of [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
  ] as const) {
    validateImmutable(errors, `${path}.${field}`, meta[field] ?? undefined, old[field] ?? undefined);
  }
  validateMetadataFields(errors, path, meta);
}
