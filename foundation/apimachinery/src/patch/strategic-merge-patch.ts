import { badRequest, statusError, type StatusError } from "../errors/status-error.ts";
import { goText } from "../json/go-text.ts";
import { isObject, type Draft } from "../json/json.ts";
import type { FieldSchema, ObjectSchema, SchemaNode } from "../schema/schema-node.ts";
import { setMember } from "./merge-patch.ts";

const DIRECTIVE = "$patch";
const RETAIN_KEYS = "$retainKeys";
const DELETE_PRIMITIVES = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER = "$setElementOrder/";

/**
 * Applies a strategic merge patch to `original`, an object of the type, which is not changed: what the patch does not
 * speak of is the same in both. Lists merge by the keys that the tables declare; `$patch`, `$retainKeys`, `$deleteFromPrimitiveList` and `$setElementOrder` are obeyed.
 * Throws a StatusError of code 400 for a patch of the wrong form.
 */
export function applyStrategicMergePatch(schema: ObjectSchema, original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) throw badRequest("invalid JSON document: a strategic merge patch is an object");
  return mergeMap(isObject(original) ? original : {}, patch, schema);
}

/** A copy of `before` with `patch` merged into it. */
function mergeMap(before: Draft, patch: Draft, schema: SchemaNode | undefined): Draft {
  const directive = patch[DIRECTIVE];
  if (directive === "replace") return withoutDirectives(patch) as Draft;
  if (directive === "delete") return {};
  if (directive !== undefined) throw badDirective(patch);

  const original = { ...before };
  retainKeys(original, patch);
  const orders: ElementOrder[] = [];
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(ELEMENT_ORDER)) continue;
    const name = key.slice(ELEMENT_ORDER.length);
    const list = original[name];
    orders.push({ name, order: patch[key], before: Array.isArray(list) ? list : [] });
  }
  for (const key of Object.keys(patch)) {
    if (key.startsWith(DELETE_PRIMITIVES)) deletePrimitives(original, key.slice(DELETE_PRIMITIVES.length), patch[key]);
  }
  for (const key of Object.keys(patch)) {
    if (isDirective(key)) continue;
    const value = patch[key];
    if (value === null) {
      delete original[key];
      continue;
    }
    const field = fieldOf(schema, key);
    const member = Object.hasOwn(original, key) ? original[key] : undefined;
    // Where there is nothing of the same form to merge with, the patch's own value is taken.
    const merged = isSameForm(member, value) ? mergeValue(member, value, field) : withoutDirectives(value);
    setMember(original, key, merged);
  }
  for (const each of orders) orderElements(original, each, patch[each.name], fieldOf(schema, each.name).field);
  return original;
}

const isSameForm = (a: unknown, b: unknown): boolean =>
  (isObject(a) && isObject(b)) || (Array.isArray(a) && Array.isArray(b));

const KNOWN_DIRECTIVES: ReadonlySet<unknown> = new Set(["replace", "delete", "merge"]);

function isDirective(key: string): boolean {
  return key === DIRECTIVE || key === RETAIN_KEYS || key.startsWith(DELETE_PRIMITIVES) || key.startsWith(ELEMENT_ORDER);
}

/** What upstream has no answer of its own for: an error of the server, with its text. */
const failed = (message: string): StatusError => statusError("", message);

function badDirective(map: Draft): StatusError {
  return failed(`unknown patch type: ${goText(map[DIRECTIVE])} in map: ${goText(map)}`);
}

interface Member {
  readonly type: SchemaNode | undefined;
  readonly field: FieldSchema | undefined;
}

function fieldOf(schema: SchemaNode | undefined, key: string): Member {
  if (schema?.kind === "object") {
    const field = schema.fields.get(key);
    return { type: field?.type, field };
  }
  return { type: schema?.kind === "map" ? schema.values : undefined, field: undefined };
}

function mergeValue(before: unknown, value: unknown, { type, field }: Member): unknown {
  if (isObject(value)) {
    if (field?.patchReplaces === true && !KNOWN_DIRECTIVES.has(value[DIRECTIVE])) return withoutDirectives(value);
    return mergeMap(isObject(before) ? before : {}, value, type);
  }
  if (Array.isArray(value) && field?.patchMerges === true) {
    return mergeList(Array.isArray(before) ? before : [], value, field);
  }
  return withoutDirectives(value);
}

/** The patch's own value, where there is nothing to merge it with. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !isObject(item) || item[DIRECTIVE] === undefined || item[DIRECTIVE] === "merge")
      .map(withoutDirectives);
  }
  if (!isObject(value)) return value;
  const out: Draft = {};
  for (const key of Object.keys(value)) {
    if (!isDirective(key) && value[key] !== null) setMember(out, key, withoutDirectives(value[key]));
  }
  return out;
}

function retainKeys(original: Draft, patch: Draft): void {
  const kept = patch[RETAIN_KEYS];
  if (kept === undefined) return;
  if (!Array.isArray(kept)) throw badRequest("invalid patch format of retainKeys");
  const names = new Set<unknown>(kept);
  for (const key of Object.keys(patch)) {
    if (!isDirective(key) && patch[key] !== null && !names.has(key)) {
      throw badRequest("invalid patch format of retainKeys");
    }
  }
  for (const key of Object.keys(original)) if (!names.has(key)) delete original[key];
}

function deletePrimitives(original: Draft, key: string, deleted: unknown): void {
  if (!Array.isArray(deleted)) throw badRequest("invalid patch format of primitive list");
  const list = original[key];
  if (Array.isArray(list)) {
    const placeOf = placesIn(deleted, undefined);
    original[key] = list.filter((item) => placeOf(item) === -1);
  }
}

function mergeList(original: readonly unknown[], patch: readonly unknown[], field: FieldSchema): unknown[] {
  const sample = patch.find((item) => item !== null) ?? original[0];
  if (!isObject(sample)) {
    if (Array.isArray(sample)) throw statusError("", "lists of lists are not supported", undefined, { code: 422 });
    return inPatchOrder(mergePrimitives(original, patch), patch, original, undefined);
  }
  const { patchMergeKey: mergeKey, type } = field;
  if (mergeKey === undefined) throw failed(`cannot merge lists without merge key for ${field.name}`);
  const items = type.kind === "array" ? type.items : undefined;

  const additions: Draft[] = [];
  const deleted: Draft[] = [];
  let isReplaced = false;
  for (const item of patch) {
    if (!isObject(item)) throw failed("list element types are not identical");
    const directive = item[DIRECTIVE];
    if (directive === "replace") {
      isReplaced = true;
      if (item[mergeKey] !== undefined) additions.push(item);
    } else if (directive === "delete") {
      const key = item[mergeKey];
      if (key === undefined) throw missingMergeKey(item, mergeKey);
      deleted.push(item);
    } else if (directive === "merge") {
      throw failed("merging lists cannot yet be specified in the patch");
    } else if (directive !== undefined) {
      throw badDirective(item);
    } else additions.push(item);
  }
  if (isReplaced) return additions.map((item) => withoutDirectives(item));
  const isDeleted = placesIn(deleted, mergeKey);
  const merged = deleted.length === 0 ? [...original] : original.filter((item) => isDeleted(item) === -1);
  const before = placesIn(merged, mergeKey);
  const added = new Map<unknown, number>();
  for (const item of additions) {
    const key = item[mergeKey];
    if (key === undefined) throw missingMergeKey(item, mergeKey);
    const known = before(item);
    const at = known === -1 ? added.get(identityOf(key)) : known;
    if (at !== undefined) merged[at] = mergeMap(merged[at] as Draft, item, items);
    else added.set(identityOf(key), merged.push(mergeMap({}, item, items)) - 1);
  }
  return inPatchOrder(merged, additions, original, mergeKey);
}

function missingMergeKey(item: Draft, mergeKey: string): StatusError {
  return failed(`map: ${goText(item)} does not contain declared merge key: ${mergeKey}`);
}

function mergePrimitives(original: readonly unknown[], patch: readonly unknown[]): unknown[] {
  return [...new Set([...original, ...patch])];
}

/** A value as a key of maps: equal values have the same. */
const identityOf = (value: unknown): unknown =>
  typeof value === "object" && value !== null ? canonicalJson(value) : value;

/** Beside all texts that values may be, so that no text is taken for an object. */
const canonicalJson = (value: object): string =>
  `\0${JSON.stringify(value, (_, member: unknown) =>
    isObject(member) ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1))) : member,
  )}`;

/** The position in the list of an element like the one asked about, by merge key where there is one; -1 for none. */
function placesIn(list: readonly unknown[], mergeKey: string | undefined): (item: unknown) => number {
  const places = new Map<unknown, number>();
  list.forEach((other, at) => {
    if (mergeKey !== undefined && !isObject(other)) return;
    const identity = identityOf(mergeKey === undefined ? other : (other as Draft)[mergeKey]);
    if (!places.has(identity)) places.set(identity, at);
  });
  return (item) => {
    const value = mergeKey === undefined ? item : isObject(item) ? item[mergeKey] : undefined;
    return places.get(identityOf(value)) ?? -1;
  };
}

/**
 * Orders a merged list: elements of `order` as they stand there, the others as they stood before, and the two interleaved
 * by where their elements stood before.
 */
function inPatchOrder(
  merged: readonly unknown[],
  order: readonly unknown[],
  original: readonly unknown[],
  mergeKey: string | undefined,
): unknown[] {
  const inOrder = placesIn(order, mergeKey);
  const before = placesIn(original, mergeKey);
  const listed = merged.filter((item) => inOrder(item) !== -1).sort((a, b) => inOrder(a) - inOrder(b));
  const others = merged.filter((item) => inOrder(item) === -1).sort((a, b) => before(a) - before(b));
  const result: unknown[] = [];
  let next = 0;
  for (const item of listed) {
    const position = before(item);
    while (next < others.length && position !== -1) {
      const other = before(others[next]);
      if (other === -1 || other >= position) break;
      result.push(others[next++]);
    }
    result.push(item);
  }
  result.push(...others.slice(next));
  return result;
}

interface ElementOrder {
  readonly name: string;
  readonly order: unknown;
  /** The list as it stood before the patch. */
  readonly before: readonly unknown[];
}

function orderElements(
  result: Draft,
  { name, order, before }: ElementOrder,
  patched: unknown,
  field: FieldSchema | undefined,
): void {
  if (!Array.isArray(order)) throw badRequest(`invalid patch format of ${ELEMENT_ORDER} list`);
  const list = result[name];
  if (!Array.isArray(list)) return;
  const mergeKey = isObject(list[0]) ? field?.patchMergeKey : undefined;
  if (Array.isArray(patched)) checkOrder(patched, order, mergeKey);
  result[name] = inPatchOrder(list, order, before, mergeKey);
}

/** The patch's elements must stand in the order that the patch asks for. */
function checkOrder(patched: readonly unknown[], order: readonly unknown[], mergeKey: string | undefined): void {
  let last = -1;
  const placeOf = placesIn(order, mergeKey);
  for (const item of patched) {
    if (isObject(item) && item[DIRECTIVE] !== undefined) continue;
    const at = placeOf(item);
    if (at <= last) {
      throw failed(
        `The order in patch list:\n${goText(patched)}\n doesn't match $setElementOrder list:\n${goText(order)}\n`,
      );
    }
    last = at;
  }
}
