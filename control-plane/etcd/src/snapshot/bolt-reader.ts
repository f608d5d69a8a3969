import type { FileHandle } from "node:fs/promises";
import { StoreError } from "../store/store.ts";
import {
  BUCKET_ELEMENT,
  ELEMENT_BYTES,
  fnv1a64,
  MAGIC,
  META_BYTES,
  META_SUMMED_BYTES,
  PAGE_HEADER_BYTES,
  pageFlag,
  VERSION,
} from "./bolt-layout.ts";

/** A key of a bucket and what it holds. */
export interface BoltRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

const DEEPEST = 64;

/** Reads a bbolt file. Throws `corrupt` for what is none, or is damaged. */
export class BoltReader {
  readonly #file: FileHandle;
  readonly #name: string;
  readonly #size: number;
  #pageBytes = 0;
  #root = 0;

  private constructor(file: FileHandle, name: string, size: number) {
    this.#file = file;
    this.#name = name;
    this.#size = size;
  }

  static async open(file: FileHandle, name: string, size: number): Promise<BoltReader> {
    const reader = new BoltReader(file, name, size);
    await reader.#readMeta();
    return reader;
  }

  /** The rows of a bucket, in order; none when there is no such bucket. */
  async *rows(bucket: string): AsyncGenerator<BoltRow> {
    for await (const { key, value, flags } of this.#tree(this.#root, 0)) {
      if ((flags & BUCKET_ELEMENT) === 0 || key.toString() !== bucket) continue;
      const root = Number(value.readBigUInt64LE(0));
      if (root === 0) yield* this.#leaf(value.subarray(16));
      else yield* this.#tree(root, 0);
      return;
    }
  }

  async hasBucket(bucket: string): Promise<boolean> {
    for await (const { key, flags } of this.#tree(this.#root, 0)) {
      if ((flags & BUCKET_ELEMENT) !== 0 && key.toString() === bucket) return true;
    }
    return false;
  }

  async #readMeta(): Promise<void> {
    let newest = -1n;
    // The second one is a page further on; how large a page is, the first one says, if it is whole.
    for (const at of [0, 4_096, 8_192, 16_384, 32_768, 65_536]) {
      const meta = (await this.#read(at, PAGE_HEADER_BYTES + META_BYTES))?.subarray(PAGE_HEADER_BYTES);
      if (meta === undefined || meta.readUInt32LE(0) !== MAGIC || meta.readUInt32LE(4) !== VERSION) continue;
      if (meta.readBigUInt64LE(META_SUMMED_BYTES) !== fnv1a64(meta.subarray(0, META_SUMMED_BYTES))) continue;
      const transaction = meta.readBigUInt64LE(48);
      if (transaction <= newest) continue;
      newest = transaction;
      this.#pageBytes = meta.readUInt32LE(8);
      this.#root = Number(meta.readBigUInt64LE(16));
    }
    if (newest < 0n) throw new StoreError("corrupt", `${this.#name} is no snapshot (it has no readable header)`);
  }

  async *#tree(page: number, depth: number): AsyncGenerator<BoltRow & { readonly flags: number }> {
    const bytes = await this.#page(page);
    const flags = bytes.readUInt16LE(8);
    if ((flags & pageFlag.leaf) !== 0) {
      yield* this.#leaf(bytes);
      return;
    }
    if ((flags & pageFlag.branch) === 0 || depth > DEEPEST) throw this.#damaged(page);
    for (let index = 0; index < bytes.readUInt16LE(10); index++) {
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      yield* this.#tree(Number(bytes.readBigUInt64LE(element + 8)), depth + 1);
    }
  }

  *#leaf(page: Buffer): Generator<BoltRow & { readonly flags: number }> {
    for (let index = 0; index < page.readUInt16LE(10); index++) {
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      const start = element + page.readUInt32LE(element + 4);
      const middle = start + page.readUInt32LE(element + 8);
      const end = middle + page.readUInt32LE(element + 12);
      if (end > page.length) throw this.#damaged(Number(page.readBigUInt64LE(0)));
      yield { flags: page.readUInt32LE(element), key: page.subarray(start, middle), value: page.subarray(middle, end) };
    }
  }

  async #page(number: number): Promise<Buffer> {
    const at = number * this.#pageBytes;
    const head = await this.#read(at, this.#pageBytes);
    if (head === undefined || Number(head.readBigUInt64LE(0)) !== number) throw this.#damaged(number);
    const overflow = head.readUInt32LE(12);
    if (overflow === 0) return head;
    const whole =
      at + (overflow + 1) * this.#pageBytes <= this.#size
        ? await this.#read(at, (overflow + 1) * this.#pageBytes)
        : undefined;
    if (whole === undefined) throw this.#damaged(number);
    return whole;
  }

  async #read(at: number, length: number): Promise<Buffer | undefined> {
    const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(length), 0, length, at);
    return bytesRead === length ? buffer : undefined;
  }

  #damaged(page: number): StoreError {
    return new StoreError("corrupt", `${this.#name} is damaged (page ${page})`);
  }
}
