import type { FileHandle } from "node:fs/promises";
import {
  BUCKET_ELEMENT,
  ELEMENT_BYTES,
  fnv1a64,
  MAGIC,
  META_SUMMED_BYTES,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  pageFlag,
  VERSION,
} from "./bolt-layout.ts";

interface Element {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly flags: number;
}

interface Child {
  readonly firstKey: Buffer;
  readonly page: number;
}

/** Pages gathered before they go to the file. */
const BLOCK_BYTES = 1024 * 1024;

/** Writes a bbolt file from front to back: buckets one after another, in the order of their names, each with its keys in order. */
export class BoltWriter {
  readonly #file: FileHandle;
  #nextPage = 3;
  #written = 0;
  #block: Buffer[] = [Buffer.alloc(3 * PAGE_BYTES)];
  #blockBytes = 3 * PAGE_BYTES;
  readonly #buckets: Element[] = [];
  #leaves: Child[] = [];
  #items: Element[] = [];
  #itemBytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Adds to the bucket that is open. Resolves when there is room for more. */
  put(key: Buffer, value: Buffer): Promise<void> | undefined {
    const bytes = ELEMENT_BYTES + key.length + value.length;
    if (this.#items.length > 0 && PAGE_HEADER_BYTES + this.#itemBytes + bytes > PAGE_BYTES) this.#endLeaf();
    this.#items.push({ key, value, flags: 0 });
    this.#itemBytes += bytes;
    return this.#blockBytes >= BLOCK_BYTES ? this.#flush() : undefined;
  }

  /** Ends the bucket whose keys were put. */
  endBucket(name: string): void {
    const value = Buffer.alloc(16);
    if (this.#items.length > 0) this.#endLeaf();
    const isEmpty = this.#leaves.length === 0;
    if (!isEmpty) value.writeBigUInt64LE(BigInt(this.#endTree()), 0);
    // An empty bucket is its own page, within the entry.
    const inline = isEmpty ? pageOf(0, pageFlag.leaf, 0, PAGE_HEADER_BYTES) : Buffer.alloc(0);
    this.#buckets.push({ key: Buffer.from(name), value: Buffer.concat([value, inline]), flags: BUCKET_ELEMENT });
  }

  /** Completes the file; resolves when it is on disk. */
  async end(): Promise<void> {
    this.#items = [...this.#buckets];
    this.#endLeaf();
    const root = this.#endTree();
    await this.#flush();
    const head = Buffer.alloc(3 * PAGE_BYTES);
    for (const transaction of [0, 1]) this.#meta(root, transaction).copy(head, transaction * PAGE_BYTES);
    pageOf(2, pageFlag.freelist, 0, PAGE_HEADER_BYTES).copy(head, 2 * PAGE_BYTES);
    await this.#file.write(head, 0, head.length, 0);
    await this.#file.sync();
  }

  #meta(root: number, transaction: number): Buffer {
    const page = pageOf(transaction, pageFlag.meta, 0, PAGE_BYTES);
    const meta = page.subarray(PAGE_HEADER_BYTES);
    meta.writeUInt32LE(MAGIC, 0);
    meta.writeUInt32LE(VERSION, 4);
    meta.writeUInt32LE(PAGE_BYTES, 8);
    meta.writeBigUInt64LE(BigInt(root), 16);
    meta.writeBigUInt64LE(2n, 32);
    meta.writeBigUInt64LE(BigInt(this.#nextPage), 40);
    meta.writeBigUInt64LE(BigInt(transaction), 48);
    meta.writeBigUInt64LE(fnv1a64(meta.subarray(0, META_SUMMED_BYTES)), META_SUMMED_BYTES);
    return page;
  }

  #endLeaf(): void {
    const items = this.#items;
    const data = items.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    const page = pageOf(
      this.#nextPage,
      pageFlag.leaf,
      items.length,
      PAGE_HEADER_BYTES + items.length * ELEMENT_BYTES + data,
    );
    let position = PAGE_HEADER_BYTES + items.length * ELEMENT_BYTES;
    items.forEach(({ key, value, flags }, index) => {
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      page.writeUInt32LE(flags, element);
      page.writeUInt32LE(position - element, element + 4);
      page.writeUInt32LE(key.length, element + 8);
      page.writeUInt32LE(value.length, element + 12);
      key.copy(page, position);
      value.copy(page, position + key.length);
      position += key.length + value.length;
    });
    this.#leaves.push({ firstKey: items[0]?.key ?? Buffer.alloc(0), page: this.#append(page) });
    this.#items = [];
    this.#itemBytes = 0;
  }

  /** Branch pages over the leaves, up to the root; its page. */
  #endTree(): number {
    let level = this.#leaves;
    this.#leaves = [];
    while (level.length > 1) {
      const parents: Child[] = [];
      for (let from = 0; from < level.length;) {
        let to = from;
        let bytes = PAGE_HEADER_BYTES;
        while (to < level.length) {
          bytes += ELEMENT_BYTES + (level[to] as Child).firstKey.length;
          if (bytes > PAGE_BYTES && to > from + 1) break;
          to++;
        }
        parents.push(this.#branch(level.slice(from, to)));
        from = to;
      }
      level = parents;
    }
    return (level[0] as Child).page;
  }

  #branch(children: readonly Child[]): Child {
    const data = children.reduce((sum, { firstKey }) => sum + firstKey.length, 0);
    const start = PAGE_HEADER_BYTES + children.length * ELEMENT_BYTES;
    const page = pageOf(this.#nextPage, pageFlag.branch, children.length, start + data);
    let position = start;
    children.forEach(({ firstKey, page: child }, index) => {
      const element = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      page.writeUInt32LE(position - element, element);
      page.writeUInt32LE(firstKey.length, element + 4);
      page.writeBigUInt64LE(BigInt(child), element + 8);
      firstKey.copy(page, position);
      position += firstKey.length;
    });
    return { firstKey: (children[0] as Child).firstKey, page: this.#append(page) };
  }

  #append(page: Buffer): number {
    const number = this.#nextPage;
    this.#nextPage += page.length / PAGE_BYTES;
    this.#block.push(page);
    this.#blockBytes += page.length;
    return number;
  }

  async #flush(): Promise<void> {
    const block = Buffer.concat(this.#block, this.#blockBytes);
    this.#block = [];
    this.#blockBytes = 0;
    await this.#file.write(block, 0, block.length, this.#written);
    this.#written += block.length;
  }
}

/** An empty page, or several in a row, with `bytes` of room; the last number says how many follow the first. */
function pageOf(number: number, flags: number, count: number, bytes: number): Buffer {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const page = Buffer.alloc(bytes === PAGE_HEADER_BYTES ? bytes : pages * PAGE_BYTES);
  page.writeBigUInt64LE(BigInt(number), 0);
  page.writeUInt16LE(flags, 8);
  page.writeUInt16LE(count, 10);
  page.writeUInt32LE(pages - 1, 12);
  return page;
}
