import { FIELD_OVERHEAD_BYTES } from "./header-field.ts";
import { encodeHuffman, huffmanLength } from "./huffman.ts";
import { writeInteger } from "./integer.ts";
import { DYNAMIC_FROM, STATIC_TABLE } from "./static-table.ts";

/** Never in HTTP/2 (RFC 9113, section 8.2.2): they speak about a connection that is not there. */
const FORBIDDEN = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
/** Different each time: the table would be full of what never comes again. */
const CHANGING = new Set([
  ":path",
  "age",
  "audit-id",
  "content-length",
  "content-range",
  "etag",
  "expires",
  "last-modified",
  "location",
]);
/** Never kept in a table, by us or by anybody between (RFC 7541, section 7.1.3). */
const SECRET = new Set(["cookie", "set-cookie", "proxy-authorization"]);
/** Longer values are not kept: one would throw out all others. */
const LONGEST_KEPT = 1024;
const TABLE_BYTES = 4096;

/** What is known of a name. */
interface NameEntry {
  readonly name: string;
  /** An index of the static table, 0: none. */
  readonly index: number;
  readonly isForbidden: boolean;
  readonly isChanging: boolean;
  readonly isSecret: boolean;
  /** Indices of the static table, by value. */
  readonly fixed: ReadonlyMap<string, number>;
}

function describe(name: string, index: number, fixed: ReadonlyMap<string, number>): NameEntry {
  return {
    name,
    index,
    fixed,
    isForbidden: FORBIDDEN.has(name),
    isChanging: CHANGING.has(name),
    isSecret: SECRET.has(name),
  };
}

const NONE: ReadonlyMap<string, number> = new Map();
const NAMES = new Map<string, NameEntry>();
for (let index = 1; index < DYNAMIC_FROM; index++) {
  const { name } = STATIC_TABLE[index]!;
  if (NAMES.has(name)) continue;
  const values = new Map<string, number>();
  STATIC_TABLE.forEach((field, i) => {
    if (field.name === name && field.value !== "") values.set(field.value, i);
  });
  NAMES.set(name, describe(name, index, values.size === 0 ? NONE : values));
}
for (const name of [...FORBIDDEN, ...CHANGING, ...SECRET])
  if (!NAMES.has(name)) NAMES.set(name, describe(name, 0, NONE));

/** What no value may hold, and what does not fit into an octet. */
// eslint-disable-next-line no-control-regex
const UNFIT = /[\0\r\n\u0100-\uffff]/;

/** A character for each octet of the text's UTF-8; line ends and zeros, which would end a value elsewhere, are blanks. */
function wireText(value: string): string {
  // eslint-disable-next-line no-control-regex
  return Buffer.from(value.replace(/[\0\r\n]/g, " "), "utf8").toString("latin1");
}

interface TableEntry {
  readonly name: string;
  readonly value: string;
  readonly serial: number;
}

/**
 * Writes header blocks (RFC 7541, section 6). What comes again and again costs a byte: it is kept in the dynamic table
 * and, being written once, Huffman-coded; what is different each time is written as it is.
 */
export class HeaderEncoder {
  #block = Buffer.allocUnsafeSlow(1024);
  #at = 0;
  /** Entries, oldest first, from `#oldest` on. */
  #entries: TableEntry[] = [];
  #oldest = 0;
  #bytes = 0;
  #maxBytes = TABLE_BYTES;
  /** Changes of the table's size that the other side has to be told of: the smallest, and the last. */
  #smallest: number | undefined;
  /** Serial number of the last entry. */
  #serial = 0;
  readonly #known = new Map<string, Map<string, number>>();

  /** The other side's limit (SETTINGS_HEADER_TABLE_SIZE). We use no more than the protocol's default. */
  setTableLimit(bytes: number): void {
    const size = Math.min(bytes, TABLE_BYTES);
    if (size === this.#maxBytes && this.#smallest === undefined) return;
    this.#smallest = Math.min(this.#smallest ?? size, size);
    this.#maxBytes = size;
    this.#evict(0);
  }

  begin(): void {
    this.#at = 0;
    if (this.#smallest === undefined) return;
    if (this.#smallest < this.#maxBytes) this.#at = writeInteger(this.#block, this.#at, 0x20, 5, this.#smallest);
    this.#at = writeInteger(this.#block, this.#at, 0x20, 5, this.#maxBytes);
    this.#smallest = undefined;
  }

  /** The block: lent until the next `begin`. */
  get block(): Buffer {
    return this.#block;
  }

  get length(): number {
    return this.#at;
  }

  /** Adds a field. Names are written in lower case; fields that HTTP/2 has no place for are left out. */
  field(givenName: string, value: string): void {
    const entry = NAMES.get(givenName);
    const name = entry === undefined ? givenName.toLowerCase() : givenName;
    if (entry === undefined && name !== givenName && NAMES.has(name)) {
      this.field(name, value);
      return;
    }
    const index = entry?.index ?? 0;
    if (entry !== undefined) {
      if (entry.isForbidden) return;
      const fixed = entry.fixed.get(value);
      if (fixed !== undefined) {
        this.#need(5);
        this.#at = writeInteger(this.#block, this.#at, 0x80, 7, fixed);
        return;
      }
      if (entry.isChanging || entry.isSecret) {
        const text = UNFIT.test(value) ? wireText(value) : value;
        this.#literal(entry.isSecret ? 0x10 : 0, 4, index, name, text, false);
        return;
      }
    }
    let values = this.#known.get(name);
    const serial = values?.get(value);
    if (serial !== undefined) {
      this.#need(5);
      this.#at = writeInteger(this.#block, this.#at, 0x80, 7, DYNAMIC_FROM + this.#serial - serial);
      return;
    }
    if (UNFIT.test(value)) {
      this.field(name, wireText(value));
      return;
    }
    // A name that the table has needs not be written again.
    const any = index === 0 ? values?.values().next().value : undefined;
    const nameIndex = any === undefined ? index : DYNAMIC_FROM + this.#serial - any;
    const size = name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (size > this.#maxBytes || value.length > LONGEST_KEPT) {
      this.#literal(0, 4, nameIndex, name, value, true);
      return;
    }
    this.#literal(0x40, 6, nameIndex, name, value, true);
    this.#evict(size);
    this.#serial += 1;
    this.#entries.push({ name, value, serial: this.#serial });
    this.#bytes += size;
    values = this.#known.get(name);
    if (values === undefined) this.#known.set(name, (values = new Map()));
    values.set(value, this.#serial);
  }

  #literal(first: number, bits: number, nameIndex: number, name: string, value: string, isPacked: boolean): void {
    this.#need(16 + (name.length + value.length) * 4);
    this.#at = writeInteger(this.#block, this.#at, first, bits, nameIndex);
    if (nameIndex === 0) this.#string(name, isPacked);
    this.#string(value, isPacked);
  }

  #string(text: string, isPacked: boolean): void {
    const target = this.#block;
    if (isPacked) {
      const length = huffmanLength(text);
      if (length < text.length) {
        this.#at = encodeHuffman(text, target, writeInteger(target, this.#at, 0x80, 7, length));
        return;
      }
    }
    let at = writeInteger(target, this.#at, 0, 7, text.length);
    for (let i = 0; i < text.length; i++) target[at++] = text.charCodeAt(i);
    this.#at = at;
  }

  #need(bytes: number): void {
    if (this.#at + bytes <= this.#block.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#at + bytes));
    this.#block.copy(larger, 0, 0, this.#at);
    this.#block = larger;
  }

  #evict(room: number): void {
    while (this.#oldest < this.#entries.length && this.#bytes + room > this.#maxBytes) {
      const { name, value, serial } = this.#entries[this.#oldest++]!;
      this.#bytes -= name.length + value.length + FIELD_OVERHEAD_BYTES;
      const values = this.#known.get(name)!;
      if (values.get(value) === serial) values.delete(value);
      if (values.size === 0) this.#known.delete(name);
    }
    if (this.#oldest > 64) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}
