/** Bytes that are not the message they should be. The only error that decoders throw. */
export class ProtoError extends Error {
  override readonly name = "ProtoError";
}

/** How a value is laid out: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
export type WireType = 0 | 1 | 2 | 5;

const TWO_32 = 4294967296;
const TWO_63 = 9223372036854775808;

/** Reads protobuf's primitive forms from a buffer, never past `end`. */
export class ProtoReader {
  readonly bytes: Buffer;
  position: number;
  /** First byte that does not belong to the message being read. */
  end: number;
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
    this.end = bytes.byteLength;
  }

  /** A varint's low 32 bits, unsigned: tags, lengths, uint32. */
  uint32(): number {
    const first = this.bytes[this.position];
    if (first !== undefined && first < 0x80 && this.position < this.end) {
      this.position++;
      return first;
    }
    this.#varint();
    return this.#low;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** Exact up to 2^53; beyond that the nearest double. */
  int64(): number {
    const small = this.#smallVarint();
    if (small !== -1) return small;
    this.#varint();
    return (this.#high | 0) * TWO_32 + this.#low;
  }

  uint64(): number {
    const small = this.#smallVarint();
    if (small !== -1) return small;
    this.#varint();
    return this.#high * TWO_32 + this.#low;
  }

  bigInt64(): bigint {
    this.#varint();
    return (BigInt(this.#high | 0) << 32n) | BigInt(this.#low);
  }

  bigUint64(): bigint {
    this.#varint();
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  double(): number {
    this.#need(8);
    const value = this.bytes.readDoubleLE(this.position);
    this.position += 8;
    return value;
  }

  float(): number {
    this.#need(4);
    const value = this.bytes.readFloatLE(this.position);
    this.position += 4;
    return value;
  }

  string(): string {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    // Short ASCII, the usual case, is faster by hand than through the decoder.
    if (length < 24) {
      let text = "";
      for (let i = start; i < this.position; i++) {
        const byte = this.bytes[i] as number;
        if (byte > 0x7f) return this.bytes.toString("utf8", start, this.position);
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return this.bytes.toString("utf8", start, this.position);
  }

  /** A view of the bytes, not a copy. */
  view(): Buffer {
    const length = this.length();
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /** The length of a delimited value, checked against what is left. */
  length(): number {
    const length = this.uint32();
    this.#need(length);
    return length;
  }

  /** Steps over a field of an unknown number. */
  skip(wireType: number, depth = 0): void {
    switch (wireType) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#need(8);
        this.position += 8;
        return;
      case 2: {
        const length = this.length();
        this.position += length;
        return;
      }
      case 3:
        if (depth > 100) throw new ProtoError("proto: groups are nested too deeply");
        for (;;) {
          const tag = this.uint32();
          if ((tag & 7) === 4) return;
          this.skip(tag & 7, depth + 1);
        }
      case 5:
        this.#need(4);
        this.position += 4;
        return;
      default:
        throw new ProtoError(`proto: illegal wireType ${wireType}`);
    }
  }

  #need(count: number): void {
    if (this.position + count > this.end) throw new ProtoError("unexpected EOF");
  }

  /** A varint of at most four bytes; -1 with nothing consumed for longer ones. */
  #smallVarint(): number {
    let value = 0;
    for (let i = 0; i < 4; i++) {
      const at = this.position + i;
      if (at >= this.end) throw new ProtoError("unexpected EOF");
      const byte = this.bytes[at] as number;
      value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        this.position = at + 1;
        return value;
      }
    }
    return -1;
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.position >= this.end) throw new ProtoError("unexpected EOF");
      const byte = this.bytes[this.position++] as number;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new ProtoError("proto: integer overflow");
  }
}

const KEPT_BYTES = 1 << 20;

/** Writes protobuf's primitive forms into a growing buffer. */
export class ProtoWriter {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #position = 0;

  /** A copy of what was written; the writer is empty afterwards and may be used again. */
  finish(): Buffer {
    const result = Buffer.from(this.#bytes.subarray(0, this.#position));
    this.reset();
    return result;
  }

  reset(): void {
    this.#position = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(4096);
  }

  uint32(value: number): void {
    this.#room(5);
    while (value > 0x7f) {
      this.#bytes[this.#position++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    this.#bytes[this.#position++] = value;
  }

  int32(value: number): void {
    if (value >= 0) this.uint32(value);
    else this.#varint64(value >>> 0, 0xffffffff);
  }

  bool(value: boolean): void {
    this.#room(1);
    this.#bytes[this.#position++] = value ? 1 : 0;
  }

  /** int64 and uint64 alike. */
  int64(value: number | bigint): void {
    if (typeof value === "number") {
      if (value >= 0 && value < TWO_32) {
        this.uint32(value >>> 0);
        return;
      }
      if (Number.isSafeInteger(value)) {
        const high = Math.floor(value / TWO_32);
        this.#varint64(value - high * TWO_32, high >>> 0);
        return;
      }
      if (!Number.isFinite(value)) throw new ProtoError(`${value} is not an integer`);
      value = BigInt(Math.trunc(Math.min(Math.max(value, -TWO_63), TWO_63 * 2)));
    }
    const bits = BigInt.asUintN(64, value);
    this.#varint64(Number(bits & 0xffffffffn), Number(bits >> 32n));
  }

  double(value: number): void {
    this.#room(8);
    this.#position = this.#bytes.writeDoubleLE(value, this.#position);
  }

  float(value: number): void {
    this.#room(4);
    this.#position = this.#bytes.writeFloatLE(value, this.#position);
  }

  string(value: string): void {
    const most = value.length * 3;
    this.#room(most + 5);
    if (most < 0x80) {
      const written = this.#writeShort(value, this.#position + 1);
      this.#bytes[this.#position] = written;
      this.#position += written + 1;
      return;
    }
    this.uint32(Buffer.byteLength(value, "utf8"));
    this.#position += this.#bytes.write(value, this.#position, "utf8");
  }

  /** Short ASCII, the usual case, is faster by hand than through the encoder. */
  #writeShort(value: string, at: number): number {
    const bytes = this.#bytes;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return bytes.write(value, at, "utf8");
      bytes[at + i] = code;
    }
    return value.length;
  }

  view(value: Uint8Array): void {
    this.#room(value.length + 5);
    this.uint32(value.length);
    this.#bytes.set(value, this.#position);
    this.#position += value.length;
  }

  /** Bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    this.#room(value.length);
    this.#bytes.set(value, this.#position);
    this.#position += value.length;
  }

  /** Starts a length-delimited part; pass the result to `close`. */
  open(): number {
    this.#room(1);
    return this.#position++;
  }

  close(start: number): void {
    const length = this.#position - start - 1;
    if (length < 0x80) {
      this.#bytes[start] = length;
      return;
    }
    let extra = 0;
    for (let rest = length >>> 7; rest > 0; rest >>>= 7) extra++;
    this.#room(extra);
    this.#bytes.copyWithin(start + 1 + extra, start + 1, this.#position);
    const end = this.#position + extra;
    this.#position = start;
    this.uint32(length);
    this.#position = end;
  }

  #varint64(low: number, high: number): void {
    this.#room(10);
    while (high !== 0) {
      this.#bytes[this.#position++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.uint32(low);
  }

  #room(count: number): void {
    if (this.#position + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#position + count));
    this.#bytes.copy(larger, 0, 0, this.#position);
    this.#bytes = larger;
  }
}
