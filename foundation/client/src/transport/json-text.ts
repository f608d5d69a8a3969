const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const ARRAY = { open: 0x5b, close: 0x5d };
const OBJECT = { open: 0x7b, close: 0x7d };

const METADATA = '"metadata":{';
/** What servers write before an object's metadata. */
const TYPE = /^\{(?:"(?:kind|apiVersion)":"[^"\\]*",)*$/;

/**
 * An object's JSON with its type and metadata alone, which servers write first: what follows is most of it, and need
 * not be parsed. Text of another order stays as it is.
 */
export function metadataText(json: string): string {
  const at = json.indexOf(METADATA);
  if (at === -1 || !TYPE.test(json.slice(0, at))) return json;
  const end = endOf(OBJECT, json, at + METADATA.length);
  return json.charCodeAt(end) === COMMA ? `${json.slice(0, end)}}` : json;
}

/** The place behind the bracket that closes the array whose content begins at `at`. */
export function endOfArray(json: string, at: number): number {
  return endOf(ARRAY, json, at);
}

function endOf({ open, close }: typeof ARRAY, json: string, at: number): number {
  let depth = 1;
  for (let i = at; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === QUOTE) i = endOfString(json, i + 1);
    else if (code === open) depth++;
    else if (code === close && --depth === 0) return i + 1;
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
