import type { HeaderField } from "./hpack/header-field.ts";

/** What a message begins with. */
export class MessageHead {
  readonly fields: readonly HeaderField[];
  method = "";
  /** With its query; `""` for CONNECT alone. */
  path = "";
  scheme = "";
  authority = "";
  /** Of an answer. */
  status = 0;
  /** Announced length of the body, -1: none was. */
  contentLength = -1;

  constructor(fields: readonly HeaderField[]) {
    this.fields = fields;
  }

  /** A field's value; of several: all, with commas between (cookies: with semicolons). */
  get(name: string): string | undefined {
    let found: string | undefined;
    for (const field of this.fields) {
      if (field.name !== name) continue;
      if (found === undefined) found = field.value;
      else if (!ONLY_FIRST.has(name)) found += (name === "cookie" ? "; " : ", ") + field.value;
    }
    return found;
  }

  /** All values of a field. */
  all(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map(({ value }) => value);
  }

  /** All fields by name. */
  record(): Record<string, string | string[]> {
    const record = Object.create(null) as Record<string, string | string[]>;
    for (const { name } of this.fields) {
      if (record[name] !== undefined) continue;
      record[name] = name === "set-cookie" ? this.all(name) : this.get(name)!;
    }
    return record;
  }
}

/** Fields that have one value: more are ignored. */
const ONLY_FIRST = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "date",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "user-agent",
]);

/** The length that a value says, -1 when it is none. */
function lengthOf(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : -1;
}

/** The part of the rules that requests and answers share; false: malformed. */
function takePlain(head: MessageHead, field: HeaderField): boolean {
  switch (field.kind) {
    case "plain":
      return true;
    case "length": {
      const length = lengthOf(field.value);
      if (length === -1 || (head.contentLength !== -1 && head.contentLength !== length)) return false;
      head.contentLength = length;
      return true;
    }
    case "te":
      return field.value.toLowerCase() === "trailers";
    default:
      return false;
  }
}

/** A request's head; undefined: malformed (RFC 9113, sections 8.2 and 8.3.1). */
export function readRequestHead(fields: readonly HeaderField[]): MessageHead | undefined {
  const head = new MessageHead(fields);
  let isAtPseudo = true;
  let hasAuthority = false;
  for (const field of fields) {
    const { kind, value } = field;
    if (kind !== "pseudo") {
      isAtPseudo = false;
      if (kind !== "plain" && !takePlain(head, field)) return undefined;
      continue;
    }
    if (!isAtPseudo || (value === "" && field.name !== ":authority")) return undefined;
    switch (field.name) {
      case ":method":
        if (head.method !== "") return undefined;
        head.method = value;
        break;
      case ":path":
        if (head.path !== "") return undefined;
        head.path = value;
        break;
      case ":scheme":
        if (head.scheme !== "") return undefined;
        head.scheme = value;
        break;
      case ":authority":
        if (hasAuthority) return undefined;
        hasAuthority = true;
        head.authority = value;
        break;
      default:
        return undefined;
    }
  }
  if (head.method === "") return undefined;
  if (head.method === "CONNECT") return head.path === "" && head.scheme === "" && hasAuthority ? head : undefined;
  if (head.scheme === "" || head.path === "") return undefined;
  const isPath = head.path.charCodeAt(0) === 0x2f || (head.path === "*" && head.method === "OPTIONS");
  return isPath ? head : undefined;
}

/** An answer's head; undefined: malformed (RFC 9113, section 8.3.2). */
export function readResponseHead(fields: readonly HeaderField[]): MessageHead | undefined {
  const head = new MessageHead(fields);
  let isAtPseudo = true;
  for (const field of fields) {
    if (field.kind !== "pseudo") {
      isAtPseudo = false;
      if (field.kind !== "plain" && !takePlain(head, field)) return undefined;
      continue;
    }
    if (!isAtPseudo || field.name !== ":status" || head.status !== 0 || !/^[1-5]\d\d$/.test(field.value))
      return undefined;
    head.status = Number(field.value);
  }
  return head.status === 0 ? undefined : head;
}

/** Trailers hold no pseudo-fields (RFC 9113, section 8.1). */
export function areTrailers(fields: readonly HeaderField[]): boolean {
  return fields.every(({ kind }) => kind === "plain" || kind === "length");
}
