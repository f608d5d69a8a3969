import type { ObjectMeta } from "@coracle/api/meta/v1";
import { invalidValue, required, type FieldError } from "../errors/field-error.ts";
import { isObject, type Draft } from "../json/json.ts";
import { decodeObject, DecodeError, type Decoded } from "../schema/decode.ts";
import { builtInSchema } from "../schema/schema-engine.ts";
import type { ObjectSchema } from "../schema/schema-node.ts";
import { isDns1035Label, nameIsPathSegment } from "../validation/names.ts";
import { validateObjectMeta } from "../validation/object-meta.ts";
import type { StructuralNode } from "./structural-node.ts";

let objectMeta: ObjectSchema | undefined;

/** Reads metadata as the type that all resources have; unknown members are named. Throws DecodeError. */
export function decodeMetadata(metadata: unknown): Decoded {
  objectMeta ??= builtInSchema().find("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  if (objectMeta === undefined) throw new Error("the API tables have no ObjectMeta");
  if (metadata === null) return { object: {}, unknownFields: [] };
  return decodeObject(objectMeta, metadata);
}

/** The same, leaving out the members that cannot be read: for what was stored in the days before checks. */
export function decodeGoodMetadata(metadata: unknown): Draft {
  try {
    return decodeMetadata(metadata).object;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  const out: Draft = {};
  if (!isObject(metadata)) return out;
  for (const [name, value] of Object.entries(metadata)) {
    try {
      Object.assign(out, decodeMetadata({ [name]: value }).object);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
  return out;
}

/**
 * Brings type and metadata of the resources inside an object into form. `drops`: what cannot be read is left out
 * instead of refused. Returns `unknown field` paths, sorted. Throws DecodeError.
 */
export function coerceEmbedded(node: StructuralNode, object: unknown, drops: boolean): readonly string[] {
  if (!node.hasEmbeddedBelow) return [];
  const unknown: string[] = [];
  coerce(node, object, "", drops, unknown);
  return unknown.sort();
}

function coerce(node: StructuralNode, value: unknown, at: string, drops: boolean, unknown: string[]): void {
  if (!node.hasEmbeddedBelow) return;
  if (Array.isArray(value)) {
    if (node.items !== undefined)
      for (let i = 0; i < value.length; i++) coerce(node.items, value[i], `${at}[${i}]`, drops, unknown);
    return;
  }
  if (!isObject(value)) return;
  if (node.isEmbeddedResource) coerceResource(value, at, drops, unknown);
  for (const key in value) {
    const property = node.properties.get(key);
    if (property !== undefined) coerce(property, value[key], join(at, key), drops, unknown);
    else if (node.additional !== undefined) coerce(node.additional, value[key], `${at}[${key}]`, drops, unknown);
  }
}

const join = (at: string, key: string): string => (at === "" ? key : `${at}.${key}`);

function coerceResource(resource: Draft, at: string, drops: boolean, unknown: string[]): void {
  for (const name of ["apiVersion", "kind"]) {
    const value = resource[name];
    if (value === undefined || typeof value === "string") continue;
    if (!drops) throw fieldProblem(invalidValue(join(at, name), value, "must be a string"));
    delete resource[name];
  }
  const { metadata } = resource;
  if (metadata === undefined) return;
  if (drops) {
    resource["metadata"] = decodeGoodMetadata(metadata);
    return;
  }
  try {
    const decoded = decodeMetadata(metadata);
    resource["metadata"] = decoded.object;
    for (const text of decoded.unknownFields) unknown.push(`${join(at, "metadata")}.${fieldOf(text)}`);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw fieldProblem(invalidValue(join(at, "metadata"), metadata, error.message));
  }
}

/** `unknown field "a.b"` → `a.b`. */
export const fieldOf = (text: string): string => text.slice(text.indexOf('"') + 1, -1);

const fieldProblem = (error: FieldError): DecodeError => new DecodeError(`${error.field}: ${error.message}`);

/** What is wrong with type and metadata of the resources inside an object. */
export function checkEmbedded(node: StructuralNode, value: unknown, at = ""): FieldError[] {
  const errors: FieldError[] = [];
  if (node.hasEmbeddedBelow) walk(node, value, at, errors);
  return errors;
}

function walk(node: StructuralNode, value: unknown, at: string, errors: FieldError[]): void {
  if (!node.hasEmbeddedBelow) return;
  if (Array.isArray(value)) {
    if (node.items !== undefined)
      for (let i = 0; i < value.length; i++) walk(node.items, value[i], `${at}[${i}]`, errors);
    return;
  }
  if (!isObject(value)) return;
  if (node.isEmbeddedResource) checkResource(value, at, errors);
  for (const key in value) {
    const property = node.properties.get(key);
    if (property !== undefined) walk(property, value[key], join(at, key), errors);
    else if (node.additional !== undefined) walk(node.additional, value[key], `${at}[${key}]`, errors);
  }
}

/** The rules for type and metadata of one resource inside another. */
export function checkResource(resource: Draft, at: string, errors: FieldError[]): void {
  const { apiVersion, kind, metadata } = resource;
  if (apiVersion === undefined) errors.push(required(join(at, "apiVersion")));
  else checkApiVersion(apiVersion, join(at, "apiVersion"), errors);
  if (kind === undefined) errors.push(required(join(at, "kind")));
  else checkKind(kind, join(at, "kind"), errors);
  if (metadata === undefined) return;
  try {
    const meta = decodeMetadata(metadata).object as ObjectMeta;
    const named = { ...meta, name: (meta.name ?? "") === "" ? "fakename" : meta.name } as ObjectMeta;
    errors.push(...validateObjectMeta(named, (meta.namespace ?? "") !== "", nameIsPathSegment, join(at, "metadata")));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    errors.push(invalidValue(join(at, "metadata"), metadata, error.message));
  }
}

function checkApiVersion(value: unknown, at: string, errors: FieldError[]): void {
  if (typeof value !== "string") errors.push(invalidValue(at, value, "must be a string"));
  else if (value === "") errors.push(invalidValue(at, value, "must not be empty"));
  else if (value.split("/").length > 2)
    errors.push(invalidValue(at, value, `unexpected GroupVersion string: ${value}`));
}

function checkKind(value: unknown, at: string, errors: FieldError[]): void {
  if (typeof value !== "string") errors.push(invalidValue(at, value, "must be a string"));
  else if (value === "") errors.push(invalidValue(at, value, "must not be empty"));
  else {
    const messages = isDns1035Label(value.toLowerCase());
    if (messages.length > 0)
      errors.push(invalidValue(at, value, `may have mixed case, but should otherwise match: ${messages.join(",")}`));
  }
}
