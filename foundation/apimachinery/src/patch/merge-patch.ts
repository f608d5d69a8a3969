import { cloneJson, isObject, type Draft } from "../json/json.ts";

/** Applies a JSON merge patch (RFC 7386). Neither argument is changed. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return cloneJson(patch);
  const result: Draft = isObject(target) ? shallowCopy(target) : {};
  for (const key of Object.keys(patch)) {
    const member = patch[key];
    if (member === null) delete result[key];
    else setMember(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, member));
  }
  return result;
}

/** Sets a member even where its name is `__proto__`. */
export function setMember(object: Draft, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

function shallowCopy(object: Draft): Draft {
  const copy: Draft = {};
  for (const key of Object.keys(object)) setMember(copy, key, object[key]);
  return copy;
}

/** The merge patch that turns `from` into `to`: members that differ, null for those that are gone. */
export function createMergePatch(from: unknown, to: unknown): unknown {
  if (!isObject(from) || !isObject(to)) return cloneJson(to);
  const patch: Draft = {};
  for (const key of Object.keys(from)) if (to[key] === undefined) setMember(patch, key, null);
  for (const key of Object.keys(to)) {
    const [before, after] = [from[key], to[key]];
    if (after === undefined) continue;
    if (isObject(before) && isObject(after)) {
      const nested = createMergePatch(before, after) as Draft;
      if (Object.keys(nested).length > 0) setMember(patch, key, nested);
    } else if (JSON.stringify(before) !== JSON.stringify(after)) setMember(patch, key, cloneJson(after));
  }
  return patch;
}
