/**
 * What a field is to the rules of HTTP (RFC 9113, section 8.2): found out once, when it is made; fields of the tables
 * are shared by all messages that name them.
 */
export type FieldKind = "plain" | "pseudo" | "length" | "te" | "malformed";

const kinds = new Map<string, FieldKind>(
  ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map((name) => [name, "malformed"]),
);
kinds.set("content-length", "length");
kinds.set("te", "te");

/** Characters of a token in lower case (RFC 9110, section 5.6.2). */
const TOKEN = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") TOKEN[character.charCodeAt(0)] = 1;

function kindOf(name: string, value: string): FieldKind {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0 || code === 10 || code === 13) return "malformed";
  }
  const special = kinds.get(name);
  if (special !== undefined) return special;
  if (name.length === 0) return "malformed";
  let i = 0;
  if (name.charCodeAt(0) === 0x3a) {
    if (name.length === 1) return "malformed";
    i = 1;
  }
  for (let at = i; at < name.length; at++) if (TOKEN[name.charCodeAt(at)] === 0) return "malformed";
  return i === 1 ? "pseudo" : "plain";
}

/** What a field counts for, in the table and in a list's size (RFC 7541, section 4.1; RFC 9113, section 6.5.2). */
export const FIELD_OVERHEAD_BYTES = 32;

/** A field of a header list: name in lower case, a character of name and value for each octet. */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  readonly kind: FieldKind;
  /** `kind`: of a field of the same name whose value says nothing about it. */
  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.kind = kindOf(name, value);
  }

  get size(): number {
    return this.name.length + this.value.length + FIELD_OVERHEAD_BYTES;
  }
}
