import { ConnectionError, errorCode } from "../error-code.ts";
import { HeaderField } from "./header-field.ts";
import { decodeHuffman } from "./huffman.ts";
import { readInteger, type Cursor } from "./integer.ts";
import { DYNAMIC_FROM, STATIC_TABLE } from "./static-table.ts";

const fault = (message: string): ConnectionError => new ConnectionError(errorCode.compressionError, message);

/** A header list, as far as it was kept. */
export interface DecodedList {
  readonly fields: HeaderField[];
  /** It was longer than allowed; `fields` has its beginning. */
  isTooLarge: boolean;
}

export interface DecoderLimits {
  /** Of the dynamic table, as we have announced it. */
  readonly tableBytes: number;
  /** Of one list. */
  readonly listBytes: number;
  readonly listFields: number;
}

/** Reads header blocks (RFC 7541, section 3). One for each direction of a connection, since blocks build on each other. */
export class HeaderDecoder {
  readonly #limits: DecoderLimits;
  /** A ring: the newest entry is at `#newest`. */
  #ring: (HeaderField | undefined)[] = Array.from({ length: 64 });
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes: number;

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
    this.#maxBytes = limits.tableBytes;
  }

  /** Bytes that the dynamic table holds, as the RFC counts them. */
  get tableBytes(): number {
    return this.#bytes;
  }

  /** Reads a whole block. Throws ConnectionError when it is broken: then nothing that follows can be read. */
  decode(block: Buffer): DecodedList {
    const list: DecodedList = { fields: [], isTooLarge: false };
    const cursor: Cursor = { bytes: block, at: 0 };
    let listBytes = 0;
    let mayResize = true;
    while (cursor.at < block.length) {
      const first = block[cursor.at]!;
      let field: HeaderField;
      if (first >= 0x80) {
        field = this.#entry(readInteger(cursor, 7));
      } else if (first >= 0x40) {
        field = this.#literal(cursor, 6);
        this.#add(field);
      } else if (first >= 0x20) {
        if (!mayResize) throw fault("the table's size changes inside a block");
        this.#resize(readInteger(cursor, 5));
        continue;
      } else {
        field = this.#literal(cursor, 4);
      }
      mayResize = false;
      listBytes += field.size;
      // Read to its end all the same: the table has to stay in step.
      if (listBytes > this.#limits.listBytes || list.fields.length >= this.#limits.listFields) list.isTooLarge = true;
      else list.fields.push(field);
    }
    return list;
  }

  #entry(index: number): HeaderField {
    if (index === 0) throw fault("index 0");
    if (index < DYNAMIC_FROM) return STATIC_TABLE[index]!;
    const age = index - DYNAMIC_FROM;
    if (age >= this.#count) throw fault(`no entry ${index}`);
    return this.#ring[(this.#newest - age) & (this.#ring.length - 1)]!;
  }

  #literal(cursor: Cursor, bits: number): HeaderField {
    const index = readInteger(cursor, bits);
    const name = index === 0 ? this.#string(cursor) : this.#entry(index).name;
    return new HeaderField(name, this.#string(cursor));
  }

  #string(cursor: Cursor): string {
    const { bytes } = cursor;
    if (cursor.at >= bytes.length) throw fault("a string is missing");
    const isHuffman = bytes[cursor.at]! >= 0x80;
    const length = readInteger(cursor, 7);
    const from = cursor.at;
    const to = from + length;
    if (to > bytes.length) throw fault("a string is cut off");
    cursor.at = to;
    return isHuffman ? decodeHuffman(bytes, from, to) : bytes.toString("latin1", from, to);
  }

  #resize(maxBytes: number): void {
    if (maxBytes > this.#limits.tableBytes) throw fault(`a table of ${maxBytes} bytes`);
    this.#maxBytes = maxBytes;
    this.#evict(0);
  }

  /** Makes room for so many bytes, the oldest first. */
  #evict(room: number): void {
    while (this.#count > 0 && this.#bytes + room > this.#maxBytes) {
      const oldest = (this.#newest - this.#count + 1) & (this.#ring.length - 1);
      this.#bytes -= this.#ring[oldest]!.size;
      this.#ring[oldest] = undefined;
      this.#count -= 1;
    }
  }

  #add(field: HeaderField): void {
    const { size } = field;
    this.#evict(size);
    // One that is larger than the table empties it, which is no error (section 4.4).
    if (size > this.#maxBytes) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count += 1;
    this.#bytes += size;
  }

  #grow(): void {
    const mask = this.#ring.length - 1;
    const entries = Array.from(
      { length: this.#count },
      (_, i) => this.#ring[(this.#newest - this.#count + 1 + i) & mask],
    );
    this.#newest = entries.length - 1;
    this.#ring = [...entries, ...Array.from<undefined>({ length: entries.length })];
  }
}
