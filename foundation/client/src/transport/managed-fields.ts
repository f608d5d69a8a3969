const OPENING = '"managedFields":[';
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
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

/** The place behind the bracket that closes the array whose content begins at `at`. */
function endOfArray(json: string, at: number): number {
  let depth = 1;
  for (let i = at; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === QUOTE) i = endOfString(json, i + 1);
    else if (code === OPEN) depth++;
    else if (code === CLOSE && --depth === 0) return i + 1;
  }
  return json.length;
}

/** The place of the quote that ends the string whose content begins at `at`. */
function endOfString(json: string, at: number): number {
  for (let i = at; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === QUOTE) return i;
  }
  return json.length;
}
