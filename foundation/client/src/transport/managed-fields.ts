import { endOfArray } from "./json-text.ts";

const OPENING = '"managedFields":[';
const COMMA = 0x2c;

/**
 * An object's JSON, or a list's, without its owners of fields. They are half of many objects, and reading them costs
 * more than leaving them out: each is a tree of names that no other has.
 */
export function withoutManagedFields(json: string): string {
  let at = json.indexOf(OPENING);
  if (at === -1) return json;
  let out = "";
  let from = 0;
  while (at !== -1) {
    let start = at;
    let end = endOfArray(json, at + OPENING.length);
    if (json.charCodeAt(end) === COMMA) end++;
    else if (json.charCodeAt(start - 1) === COMMA) start--;
    out += json.slice(from, start);
    from = end;
    at = json.indexOf(OPENING, end);
  }
  return out + json.slice(from);
}
