import { badRequest, statusError, type StatusError } from "../errors/status-error.ts";
import { cloneJson, equalJson, isObject } from "../json/json.ts";
import { setMember } from "./merge-patch.ts";

/** Most operations that one patch may have. */
export const MAX_JSON_PATCH_OPERATIONS = 10_000;
/** Most bytes that the copy operations of one patch may add. */
const MAX_COPIED_BYTES = 3 * 1024 * 1024;

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/**
 * Applies a JSON patch (RFC 6902) to a copy of `target`. A patch of the wrong form is refused with 400, one with too
 * many operations with 413, one that does not fit the object (a failed `test`, a missing path) with 422.
 */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  const operations = readOperations(patch);
  let copied = 0;
  let document = cloneJson(target);
  for (const operation of operations) {
    const path = parsePointer(operation.path);
    switch (operation.op) {
      case "add":
        // A value that is not told is null.
        document = add(document, path, cloneJson(operation.value ?? null), operation);
        break;
      case "remove":
        document = remove(document, path, operation.path, operation, "remove");
        break;
      case "replace":
        document = replace(document, path, cloneJson(operation.value ?? null), operation);
        break;
      case "test":
        testValue(document, path, operation);
        break;
      case "move":
      case "copy": {
        const from = parsePointer(operation.from ?? "");
        const value = valueFrom(document, from, operation);
        if (operation.op === "move") {
          if (operation.path.startsWith(`${operation.from}/`))
            throw refused(operation, "a value cannot move into itself");
          document = add(remove(document, from, from.at(-1) ?? "", operation, "move"), path, value, operation);
          break;
        }
        copied += Buffer.byteLength(JSON.stringify(value));
        if (copied > MAX_COPIED_BYTES) {
          const why = `Unable to complete the copy, the accumulated size increase of copy is ${copied}, exceeding the limit ${MAX_COPIED_BYTES}`;
          throw refused(operation, why);
        }
        document = add(document, path, cloneJson(value), operation);
        break;
      }
      default:
        throw refused(operation, `Unexpected kind: ${operation.op}`);
    }
  }
  return document;
}

const jsonKindOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;

const MISSING = Symbol("missing");

function readOperations(patch: unknown): readonly Operation[] {
  if (!Array.isArray(patch))
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${jsonKindOf(patch)} into Go value of type []handlers.jsonPatchOp`,
    );
  if (patch.length > MAX_JSON_PATCH_OPERATIONS) {
    throw statusError(
      "RequestEntityTooLarge",
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`,
    );
  }
  for (const operation of patch as unknown[]) {
    if (operation === null) throw refused({}, "no operation");
    if (!isObject(operation)) {
      throw badRequest(
        `error decoding patch: json: cannot unmarshal ${jsonKindOf(operation)} into Go value of type handlers.jsonPatchOp`,
      );
    }
    const { op, path, from } = operation;
    if (typeof op !== "string" || typeof path !== "string" || (path !== "" && !path.startsWith("/"))) {
      throw refused(operation, "operation or path is missing");
    }
    if ((op === "move" || op === "copy") && typeof from !== "string") throw refused(operation, "from is missing");
  }
  return patch as Operation[];
}

function refused(_operation: unknown, why: string): StatusError {
  return statusError(
    "Invalid",
    "the server rejected our request due to an error in our request",
    {},
    // In upstream's words: who applies the patch of another than the client passes them on.
    { code: 422, cause: new Error(why) },
  );
}

function parsePointer(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The index that a list's part names; negative ones count from the end. Undefined for none of the list's. */
function indexOf(part: string, length: number): number | undefined {
  if (!/^-?(?:0|[1-9]\d*)$/.test(part)) return undefined;
  const index = Number(part);
  const at = index < 0 ? index + length : index;
  return at >= 0 && at < length ? at : undefined;
}

function child(value: unknown, part: string): unknown {
  if (Array.isArray(value)) {
    const index = indexOf(part, value.length);
    return index === undefined ? MISSING : value[index];
  }
  return isObject(value) && Object.hasOwn(value, part) ? value[part] : MISSING;
}

function find(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const part of path) {
    value = child(value, part);
    if (value === MISSING) return MISSING;
  }
  return value;
}

/** The list or object that a path ends in; undefined when there is none. */
function parentOf(document: unknown, path: readonly string[]): unknown[] | { [key: string]: unknown } | undefined {
  const parent = find(document, path.slice(0, -1));
  return typeof parent === "object" && parent !== null ? (parent as { [key: string]: unknown }) : undefined;
}

function indexFault(part: string): string {
  return /^-?\d+$/.test(part)
    ? `Unable to access invalid index: ${part}: invalid index referenced`
    : `strconv.Atoi: parsing ${JSON.stringify(part)}: invalid syntax`;
}

function add(document: unknown, path: readonly string[], value: unknown, operation: Operation): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = parentOf(document, path);
  const { op, path: text } = operation;
  if (parent === undefined) {
    const place = op === "add" ? `doc is missing path: "${text}"` : `doc is missing destination path: ${text}`;
    throw refused(operation, `${op} operation does not apply: ${place}: missing value`);
  }
  if (Array.isArray(parent)) {
    // One past the end is a place to add at.
    const index = last === "-" ? parent.length : indexOf(last, parent.length + 1);
    if (index === undefined) {
      const isNumber = /^-?\d+$/.test(last);
      const why = isNumber ? indexFault(last) : `value was not a proper array index: '${last}': ${indexFault(last)}`;
      const head = op === "copy" ? "error while adding value during copy" : `error in ${op} for path: '${text}'`;
      throw refused(operation, `${head}: ${why}`);
    }
    parent.splice(index, 0, value);
  } else setMember(parent, last, value);
  return document;
}

/** What stands where a move or copy begins; of an object a member that is not there is null. */
function valueFrom(document: unknown, from: readonly string[], operation: Operation): unknown {
  const { op } = operation;
  const last = from.at(-1);
  const parent = last === undefined ? undefined : parentOf(document, from);
  if (last === undefined || parent === undefined) {
    const why = `${op} operation does not apply: doc is missing from path: ${operation.from ?? ""}: missing value`;
    throw refused(operation, why);
  }
  const value = child(parent, last);
  if (value !== MISSING) return value;
  if (!Array.isArray(parent)) return null;
  const head =
    op === "copy" ? `error in copy for from: '${operation.from ?? ""}'` : `error in move for path: '${last}'`;
  throw refused(operation, `${head}: ${indexFault(last)}`);
}

function remove(
  document: unknown,
  path: readonly string[],
  named: string,
  operation: Operation,
  op: "remove" | "move",
): unknown {
  const last = path.at(-1);
  const parent = last === undefined ? undefined : parentOf(document, path);
  if (last === undefined || parent === undefined) {
    throw refused(operation, `${op} operation does not apply: doc is missing path: "${named}": missing value`);
  }
  if (child(parent, last) === MISSING) {
    const why = Array.isArray(parent) ? indexFault(last) : `Unable to remove nonexistent key: ${last}: missing value`;
    throw refused(operation, `error in ${op} for path: '${named}': ${why}`);
  }
  if (Array.isArray(parent)) parent.splice(indexOf(last, parent.length) as number, 1);
  else delete parent[last];
  return document;
}

/** Of a list only what is there; of an object any member. */
function replace(document: unknown, path: readonly string[], value: unknown, operation: Operation): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = parentOf(document, path);
  if (parent === undefined) {
    const why = `replace operation does not apply: doc is missing path: ${operation.path}: missing value`;
    throw refused(operation, why);
  }
  if (Array.isArray(parent)) {
    const index = indexOf(last, parent.length);
    if (index === undefined) {
      const why = `replace operation does not apply: doc is missing key: ${operation.path}: missing value`;
      throw refused(operation, why);
    }
    parent[index] = value;
  } else setMember(parent, last, value);
  return document;
}

function testValue(document: unknown, path: readonly string[], operation: Operation): void {
  const wanted = operation.value ?? null;
  const last = path.at(-1);
  const parent = last === undefined ? undefined : parentOf(document, path);
  if (last !== undefined && parent === undefined) {
    throw refused(operation, `test operation does not apply: is missing path: ${operation.path}: missing value`);
  }
  const actual = last === undefined ? document : child(parent, last);
  if (actual === MISSING && Array.isArray(parent)) {
    throw refused(operation, `error in test for path: '${operation.path}': ${indexFault(last ?? "")}`);
  }
  // An absent value passes a test for null.
  const isSame = actual === MISSING ? wanted === null : equalJson(actual, wanted);
  if (!isSame) throw refused(operation, `testing value ${operation.path} failed: test failed`);
}
