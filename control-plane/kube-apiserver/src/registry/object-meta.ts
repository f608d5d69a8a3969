import { randomUUID } from "node:crypto";
import { randomSuffix, type Random } from "@coracle/base";
import {
  equalJson,
  forbiddenField,
  invalidValue,
  isDns1123Label,
  isLabelValue,
  isObject,
  isQualifiedName,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import { textOf } from "./json-text.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";

const MAX_GENERATED_BASE = 58;
const MAX_ANNOTATION_BYTES = 262_144;

/** Checks a name, or the stem of a generated one. */
export type NameRule = (name: string, isPrefix: boolean) => string[];

/** RFC 3339 in UTC, whole seconds: how the API writes times. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A name out of `generateName`. */
export function generateName(stem: string, random: Random): string {
  return stem.slice(0, MAX_GENERATED_BASE) + randomSuffix(random);
}

/** What the server decides of a new object's metadata. */
export function fillNewMeta(draft: ApiDraft, now: number): void {
  const { metadata } = draft;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
  delete metadata.managedFields;
  delete metadata.resourceVersion;
  delete metadata.generation;
  metadata.creationTimestamp = formatTime(now);
  metadata.uid = randomUUID();
}

/** Brings back what an update cannot change and leaves unsaid. */
export function keepOldMeta(draft: ApiDraft, old: ApiObject): void {
  const { metadata } = draft;
  const before = old.metadata;
  delete metadata.selfLink;
  delete metadata.managedFields;
  if (before.generation === undefined) delete metadata.generation;
  else metadata.generation = before.generation;
  metadata.uid = metadata.uid === undefined || metadata.uid === "" ? before.uid : metadata.uid;
  if (before.creationTimestamp !== undefined) metadata.creationTimestamp = before.creationTimestamp;
  if (before.deletionTimestamp !== undefined) metadata.deletionTimestamp = before.deletionTimestamp;
  else delete metadata.deletionTimestamp;
  if (before.deletionGracePeriodSeconds === undefined) delete metadata.deletionGracePeriodSeconds;
  else metadata.deletionGracePeriodSeconds ??= before.deletionGracePeriodSeconds;
}

/** Rules for the metadata of every object. */
export function validateMeta(object: ApiObject, isNamespaced: boolean, rule: NameRule): FieldError[] {
  const errors: FieldError[] = [];
  const meta = object.metadata as Draft;
  const stem = textOf(meta.generateName);
  const name = textOf(meta.name);
  if (stem !== "") {
    for (const why of rule(stem, true)) errors.push(invalidValue("metadata.generateName", stem, why));
  }
  if (name === "") errors.push(required("metadata.name", "name or generateName is required"));
  else for (const why of rule(name, false)) errors.push(invalidValue("metadata.name", name, why));
  errors.push(...validateNamespace(textOf(meta.namespace), isNamespaced));
  if (typeof meta.generation === "number" && meta.generation < 0) {
    errors.push(invalidValue("metadata.generation", meta.generation, "must be greater than or equal to 0"));
  }
  errors.push(...validateLabels(meta.labels, "metadata.labels"));
  errors.push(...validateAnnotations(meta.annotations, "metadata.annotations"));
  errors.push(...validateOwnerReferences(meta.ownerReferences));
  errors.push(...validateFinalizers(meta.finalizers));
  return errors;
}

function validateNamespace(namespace: string, isNamespaced: boolean): FieldError[] {
  if (!isNamespaced) {
    return namespace === "" ? [] : [forbiddenField("metadata.namespace", "not allowed on this type")];
  }
  if (namespace === "") return [required("metadata.namespace")];
  return isDns1123Label(namespace).map((why) => invalidValue("metadata.namespace", namespace, why));
}

/** Labels: qualified names to label values. */
export function validateLabels(labels: unknown, field: string): FieldError[] {
  if (!isObject(labels)) return [];
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels)) {
    for (const why of isQualifiedName(key)) errors.push(invalidValue(field, key, why));
    for (const why of isLabelValue(textOf(value))) errors.push(invalidValue(field, textOf(value), why));
  }
  return errors;
}

function validateAnnotations(annotations: unknown, field: string): FieldError[] {
  if (!isObject(annotations)) return [];
  const errors: FieldError[] = [];
  let total = 0;
  for (const [key, value] of Object.entries(annotations)) {
    for (const why of isQualifiedName(key.toLowerCase())) errors.push(invalidValue(field, key, why));
    total += Buffer.byteLength(key) + Buffer.byteLength(textOf(value));
  }
  if (total > MAX_ANNOTATION_BYTES) {
    errors.push({
      type: "FieldValueTooLong",
      field,
      message: `Too long: may not be more than ${MAX_ANNOTATION_BYTES} bytes`,
    });
  }
  return errors;
}

function validateOwnerReferences(references: unknown): FieldError[] {
  if (!Array.isArray(references)) return [];
  const errors: FieldError[] = [];
  let controller: string | undefined;
  (references as Draft[]).forEach((reference, i) => {
    const field = `metadata.ownerReferences[${i}]`;
    const apiVersion = textOf(reference.apiVersion);
    const [group, version, ...more] = apiVersion.split("/");
    if (apiVersion === "") errors.push(invalidValue(`${field}.apiVersion`, apiVersion, "version must not be empty"));
    else if (more.length > 0 || (version === undefined ? group : version) === "") {
      errors.push(invalidValue(`${field}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
    }
    if (textOf(reference.kind) === "") errors.push(invalidValue(`${field}.kind`, "", "must not be empty"));
    if (textOf(reference.name) === "") errors.push(invalidValue(`${field}.name`, "", "must not be empty"));
    if (textOf(reference.uid) === "") errors.push(invalidValue(`${field}.uid`, "", "must not be empty"));
    if (apiVersion === "v1" && reference.kind === "Event") {
      errors.push(invalidValue(field, "/v1, Kind=Event", "/v1, Kind=Event is disallowed from being an owner"));
    }
    if (reference.controller !== true) return;
    if (controller !== undefined) {
      const why = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${textOf(reference.name)}`;
      errors.push(invalidValue("metadata.ownerReferences", references, why));
    }
    controller = textOf(reference.name);
  });
  return errors;
}

function validateFinalizers(finalizers: unknown): FieldError[] {
  if (!Array.isArray(finalizers)) return [];
  const errors: FieldError[] = [];
  const names = finalizers as string[];
  for (const name of names) {
    for (const why of isQualifiedName(name)) errors.push(invalidValue("metadata.finalizers", name, why));
  }
  if (names.includes("orphan") && names.includes("foregroundDeletion")) {
    errors.push(
      invalidValue("metadata.finalizers", names, "finalizer orphan and foregroundDeletion cannot be both set"),
    );
  }
  return errors;
}

const IMMUTABLE = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/** Rules for what an update does to the metadata. */
export function validateMetaUpdate(object: ApiObject, old: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const meta = object.metadata as Draft;
  const before = old.metadata as Draft;
  if (before.deletionTimestamp !== undefined) {
    const had = (before.finalizers as string[] | undefined) ?? [];
    const added = ((meta.finalizers as string[] | undefined) ?? []).filter((name) => !had.includes(name));
    if (added.length > 0) {
      const shown = `[]string{${added.map((name) => JSON.stringify(name)).join(", ")}}`;
      const why = `no new finalizers can be added if the object is being deleted, found new finalizers ${shown}`;
      errors.push(forbiddenField("metadata.finalizers", why));
    }
  }
  for (const member of IMMUTABLE) {
    if (!equalJson(meta[member], before[member])) {
      errors.push(invalidValue(`metadata.${member}`, meta[member], "field is immutable"));
    }
  }
  return errors;
}
