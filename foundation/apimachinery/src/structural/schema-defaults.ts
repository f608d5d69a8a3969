import { invalidValue, type FieldError } from "../errors/field-error.ts";
import { cloneJson, equalJson, isObject, type Draft } from "../json/json.ts";
import { DecodeError } from "../schema/decode.ts";
import { checkValue } from "./check-value.ts";
import { checkEmbedded, checkResource, coerceEmbedded, decodeMetadata } from "./embedded-resources.ts";
import { ownMember, setOwn } from "./own-member.ts";
import { isMetaField, pruneValue } from "./prune.ts";
import { childPath, keyPath } from "./schema-path.ts";
import { sortedJson } from "./sorted-json.ts";
import type { StructuralNode } from "./structural-node.ts";

/** What is wrong with the defaults of a schema: each must be good as a value in its place. */
export function checkDefaults(
  path: string,
  root: StructuralNode,
  requiresPruned: boolean,
  checkRules: (node: StructuralNode, value: unknown, path: string, isResource: boolean) => readonly FieldError[],
): FieldError[] {
  const errors: FieldError[] = [];
  new DefaultsChecker(errors, requiresPruned, checkRules).node(root, path, undefined, true);
  return errors;
}

/** The way from an embedded resource to a place inside its metadata. */
interface MetaPlace {
  readonly resource: StructuralNode;
  readonly names: readonly (string | number)[];
}

class DefaultsChecker {
  readonly #errors: FieldError[];
  readonly #requiresPruned: boolean;
  readonly #checkRules: Parameters<typeof checkDefaults>[3];

  constructor(errors: FieldError[], requiresPruned: boolean, checkRules: Parameters<typeof checkDefaults>[3]) {
    this.#errors = errors;
    this.#requiresPruned = requiresPruned;
    this.#checkRules = checkRules;
  }

  node(node: StructuralNode, path: string, meta: MetaPlace | undefined, isRoot: boolean): void {
    if (!node.hasDefaultsBelow) return;
    const isResource = isRoot || node.isEmbeddedResource;
    const place = isResource ? undefined : meta;
    if (node.hasDefault && node.default !== null) this.#default(node, childPath(path, "default"), place, isRoot);
    if (node.items !== undefined)
      this.node(node.items, childPath(path, "items"), place && { ...place, names: [...place.names, 0] }, false);
    for (const [name, property] of node.properties) {
      const inside: MetaPlace | undefined =
        isResource && isMetaField(name)
          ? { resource: node, names: [name] }
          : place && { ...place, names: [...place.names, name] };
      this.node(property, keyPath(childPath(path, "properties"), name), inside, false);
    }
  }

  #default(node: StructuralNode, path: string, place: MetaPlace | undefined, isRoot: boolean): void {
    const value = node.default;
    const problems = place === undefined ? this.#plainProblems(node, path) : metadataProblems(place, value, path);
    if (problems.length > 0) {
      this.#errors.push(...problems);
      return;
    }
    const found = checkValue(node, value, path);
    this.#errors.push(
      ...(found.length > 0 ? found : this.#checkRules(node, value, path, isRoot || node.isEmbeddedResource)),
    );
  }

  #plainProblems(node: StructuralNode, path: string): readonly FieldError[] {
    if (this.#requiresPruned) {
      const pruned = cloneJson(node.default);
      pruneDefault(node, pruned);
      if (!equalJson(pruned, node.default))
        this.#errors.push(invalidValue(path, sortedJson(node.default), "must not have unknown fields"));
    }
    const copy = cloneJson(node.default);
    try {
      coerceEmbedded(node, copy, false);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return [invalidValue(path, sortedJson(node.default), error.message)];
    }
    return checkEmbedded(node, copy, path);
  }
}

/** Drops from a default what its schema does not declare. Nulls stay: they are no business of this. */
export function pruneDefault(node: StructuralNode, value: unknown): void {
  const before = cloneJson(value);
  pruneValue(node, value);
  restoreNulls(before, value);
}

function restoreNulls(before: unknown, after: unknown): void {
  if (Array.isArray(before) && Array.isArray(after)) before.forEach((item, i) => restoreNulls(item, after[i]));
  else if (isObject(before) && isObject(after))
    for (const key of Object.keys(before)) {
      const left = ownMember(after, key);
      if (before[key] === null && left === undefined) setOwn(after, key, null);
      else restoreNulls(before[key], left);
    }
}

/** A default inside metadata is tried in a resource that has nothing else. */
function metadataProblems(place: MetaPlace, value: unknown, path: string): readonly FieldError[] {
  const resource = surround(place.names, cloneJson(value)) as Draft;
  resource["kind"] ??= "Validation";
  resource["apiVersion"] ??= "validation/v1";
  const refuse = (why: string): readonly FieldError[] => [
    invalidValue(path, sortedJson(value), `must result in valid metadata: ${why}`),
  ];
  try {
    for (const name of ["apiVersion", "kind"])
      if (typeof resource[name] !== "string")
        return refuse(`${name}: Invalid value: ${JSON.stringify(resource[name])}: must be a string`);
    if (resource["metadata"] !== undefined) decodeMetadata(resource["metadata"]);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return refuse(`metadata: Invalid value: ${JSON.stringify(resource["metadata"])}: ${error.message}`);
  }
  const errors: FieldError[] = [];
  checkResource(resource, "", errors);
  const texts = errors.map((error) => `${error.field}: ${error.message}`);
  if (texts.length === 0) return [];
  return refuse(texts.length === 1 ? (texts[0] as string) : `[${texts.join(", ")}]`);
}

function surround(names: readonly (string | number)[], value: unknown): unknown {
  let out = value;
  for (const name of [...names].reverse()) out = typeof name === "number" ? [out] : { [name]: out };
  return out;
}
