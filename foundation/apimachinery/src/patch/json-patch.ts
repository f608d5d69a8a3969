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
        document = add(document, path, cloneJson(operation.value), operation);
        break;
      case "remove":
        document = remove(document, path, operation);
        break;
      case "replace":
        if (path.length > 0 && find(document, path) === MISSING) throw refused(operation, "missing path");
        document = replace(document, path, cloneJson(operation.value), operation);
        break;
      case "test":
        testValue(find(document, path), operation);
        break;
      case "move":
      case "copy": {
        const from = parsePointer(operation.from ?? "");
        const value = find(document, from);
        if (value === MISSING) throw refused(operation, "missing from path");
        if (operation.op === "move") {
          if (operation.path.startsWith(`${operation.from}/`))
            throw refused(operation, "a value cannot move into itself");
          document = add(remove(document, from, operation), path, value, operation);
          break;
        }
        copied += Buffer.byteLength(JSON.stringify(value));
        if (copied > MAX_COPIED_BYTES) throw refused(operation, "the patch copies too much");
        document = add(document, path, cloneJson(value), operation);
        break;
      }
      default:
        throw refused(operation, `Unexpected kind: ${operation.op}`);
    }
  }
  return document;
}

const MISSING = Symbol("missing");

function readOperations(patch: unknown): readonly Operation[] {
  if (!Array.isArray(patch)) throw badRequest("json: cannot unmarshal object into Go value of type jsonpatch.Patch");
  if (patch.length > MAX_JSON_PATCH_OPERATIONS) {
    throw statusError(
      "RequestEntityTooLarge",
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`,
    );
  }
  for (const operation of patch as unknown[]) {
    if (!isObject(operation))
      throw badRequest("json: cannot unmarshal a value that is no object into a patch operation");
    const { op, path, from } = operation;
    if (typeof op !== "string" || typeof path !== "string" || (path !== "" && !path.startsWith("/"))) {
      throw refused(operation, "operation or path is missing");
    }
    if ((op === "move" || op === "copy") && typeof from !== "string") throw refused(operation, "from is missing");
    if ((op === "add" || op === "replace") && !("value" in operation)) throw refused(operation, "value is missing");
  }
  return patch as Operation[];
}

function refused(operation: { readonly op?: unknown; readonly path?: unknown }, why: string): StatusError {
  return statusError(
    "Invalid",
    "the server rejected our request due to an error in our request",
    {},
    { code: 422, cause: new Error(`${String(operation.op)} ${String(operation.path)}: ${why}`) },
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

function parentOf(document: unknown, path: readonly string[], operation: Operation): unknown {
  const parent = find(document, path.slice(0, -1));
  if (parent === MISSING || typeof parent !== "object" || parent === null) throw refused(operation, "missing path");
  return parent;
}

function add(document: unknown, path: readonly string[], value: unknown, operation: Operation): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = parentOf(document, path, operation);
  if (Array.isArray(parent)) {
    // One past the end is a place to add at.
    const index = last === "-" ? parent.length : indexOf(last, parent.length + 1);
    if (index === undefined) throw refused(operation, "index out of bounds");
    parent.splice(index, 0, value);
  } else setMember(parent as { [key: string]: unknown }, last, value);
  return document;
}

function remove(document: unknown, path: readonly string[], operation: Operation): unknown {
  const last = path.at(-1);
  if (last === undefined) return null;
  const parent = parentOf(document, path, operation);
  if (child(parent, last) === MISSING) throw refused(operation, "missing path");
  if (Array.isArray(parent)) parent.splice(indexOf(last, parent.length) as number, 1);
  else delete (parent as { [key: string]: unknown })[last];
  return document;
}

function replace(document: unknown, path: readonly string[], value: unknown, operation: Operation): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = parentOf(document, path, operation);
  if (Array.isArray(parent)) parent[indexOf(last, parent.length) as number] = value;
  else setMember(parent as { [key: string]: unknown }, last, value);
  return document;
}

function testValue(actual: unknown, operation: Operation): void {
  // An absent value passes a test for null.
  const isSame = actual === MISSING ? (operation.value ?? null) === null : equalJson(actual, operation.value ?? null);
  if (!isSame) throw refused(operation, "test failed");
}
