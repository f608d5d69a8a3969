import { openSync, readSync, closeSync } from "node:fs";

/** Where things are in a file of LMDB's data version 2. Offsets within a page are counted from the end of its header. */
const HEADER_BYTES = 24;
const META = { freeTree: 48, mainTree: 96, lastPage: 144, transaction: 152 } as const;
const TREE = { depth: 6, branches: 8, leaves: 16, overflows: 24, entries: 32, root: 40 } as const;
const NODE_BYTES = 8;
const OVERFLOW_BYTES = 24;
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const KIND_BITS = 0x2f;
const BIG_DATA = 1;
const EMPTY_ROOT = 2n ** 64n - 1n;

/**
 * What is wrong with the pages of a file, in a few words; undefined: nothing. Looks at every page that the newest state reaches: LMDB itself
 * trusts what it maps, and ends the process, or answers wrongly, where a page is not what it should be.
 */
export function findPageDamage(path: string): string | undefined {
  const file = openSync(path, "r");
  try {
    return new PageCheck(file).run();
  } finally {
    closeSync(file);
  }
}

interface Tree {
  readonly depth: number;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  readonly root: bigint;
}

class Damage extends Error {}

class PageCheck {
  readonly #file: number;
  #pageBytes = 0;
  #lastPage = 0;
  #transaction = 0n;
  /** A bit a page: whether something reaches it. */
  #reached = new Uint8Array(0);
  #found = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
  /** A page for each level of a tree, read into again and again. */
  readonly #levels: Buffer[] = [];
  readonly #overflow = Buffer.alloc(HEADER_BYTES);
  #compare: (a: Buffer, b: Buffer) => number = compareBytes;

  constructor(file: number) {
    this.#file = file;
  }

  run(): string | undefined {
    const meta = this.#newestMeta();
    this.#lastPage = Number(meta.readBigUInt64LE(META.lastPage));
    this.#transaction = meta.readBigUInt64LE(META.transaction);
    this.#reached = new Uint8Array((this.#lastPage >> 3) + 1);
    try {
      // The keys of the free pages are numbers of this machine's kind.
      this.#compare = compareNumbers;
      this.#checkTree("free pages", readTree(meta, META.freeTree));
      this.#compare = compareBytes;
      this.#checkTree("entries", readTree(meta, META.mainTree));
      return undefined;
    } catch (error) {
      if (error instanceof Damage) return error.message;
      throw error;
    }
  }

  #newestMeta(): Buffer {
    const first = this.#read(Buffer.alloc(META.transaction + 8), 0);
    this.#pageBytes = first.readUInt32LE(META.freeTree);
    const second = this.#read(Buffer.alloc(META.transaction + 8), this.#pageBytes);
    return second.readBigUInt64LE(META.transaction) > first.readBigUInt64LE(META.transaction) ? second : first;
  }

  #read(into: Buffer, at: number): Buffer {
    if (readSync(this.#file, into, 0, into.length, at) < into.length) throw new Damage("the file is cut short");
    return into;
  }

  #checkTree(name: string, tree: Tree): void {
    this.#found = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    if (tree.root !== EMPTY_ROOT) this.#checkPage(Number(tree.root), 1, tree.depth, undefined, undefined);
    for (const field of ["branches", "leaves", "overflows", "entries"] as const) {
      const found = this.#found[field];
      if (found !== tree[field]) throw new Damage(`${found} of ${tree[field]} ${field} in the tree of ${name}`);
    }
  }

  /** All keys of the page are at least `low` and below `high`. */
  #checkPage(page: number, level: number, depth: number, low: Buffer | undefined, high: Buffer | undefined): void {
    const bytes = this.#page(page, level);
    const kind = bytes.readUInt16LE(18) & KIND_BITS;
    if (kind !== (level === depth ? LEAF : BRANCH)) throw wrong(page, "kind");
    const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)];
    const room = this.#pageBytes - HEADER_BYTES;
    if (lower === 0 || lower % 2 !== 0 || lower > upper || upper > room) throw wrong(page, "bounds");
    const count = lower / 2;
    if (kind === LEAF) {
      this.#found.leaves += 1;
      this.#found.entries += count;
    } else this.#found.branches += 1;
    let before = low;
    for (let index = 0; index < count; index++) {
      const node = HEADER_BYTES + bytes.readUInt16LE(HEADER_BYTES + 2 * index);
      const key = this.#key(bytes, node, page, lower);
      // The first key of a branch is not looked at: it stands for all below the second.
      const isOpen = kind === BRANCH && index === 0;
      if (!isOpen) {
        const isFirst = before === low;
        const order = before === undefined ? 1 : this.#compare(key, before);
        if (order < 0 || (order === 0 && !(isFirst && index <= 1))) throw wrong(page, "order");
        if (high !== undefined && this.#compare(key, high) >= 0) throw wrong(page, "order");
        before = key;
      }
      if (kind === LEAF) this.#checkValue(bytes, node, key.length, page);
      else {
        const next = index + 1 < count ? this.#nextKey(bytes, index + 1, page, lower) : high;
        this.#checkPage(childOf(bytes, node), level + 1, depth, isOpen ? low : key, next);
      }
    }
  }

  #nextKey(bytes: Buffer, index: number, page: number, lower: number): Buffer {
    return this.#key(bytes, HEADER_BYTES + bytes.readUInt16LE(HEADER_BYTES + 2 * index), page, lower);
  }

  #key(bytes: Buffer, node: number, page: number, lower: number): Buffer {
    if (node < HEADER_BYTES + lower || node + NODE_BYTES > this.#pageBytes) throw wrong(page, "place of an entry");
    const end = node + NODE_BYTES + bytes.readUInt16LE(node + 6);
    if (end > this.#pageBytes) throw wrong(page, "length of a key");
    return bytes.subarray(node + NODE_BYTES, end);
  }

  #checkValue(bytes: Buffer, node: number, keyBytes: number, page: number): void {
    const size = bytes.readUInt16LE(node) + bytes.readUInt16LE(node + 2) * 65_536;
    const flags = bytes.readUInt16LE(node + 4);
    const at = node + NODE_BYTES + keyBytes;
    if (flags === 0) {
      if (at + size > this.#pageBytes) throw wrong(page, "length of a value");
      return;
    }
    if (flags !== BIG_DATA || at + OVERFLOW_BYTES > this.#pageBytes) throw wrong(page, "kind of an entry");
    const first = Number(bytes.readBigUInt64LE(at));
    const pages = Number(bytes.readBigUInt64LE(at + 16));
    if (pages !== Math.ceil((HEADER_BYTES + size) / this.#pageBytes)) throw wrong(page, "length of a value");
    for (let each = first; each < first + pages; each++) this.#reach(each);
    this.#found.overflows += pages;
    const header = this.#read(this.#overflow, first * this.#pageBytes);
    if (header.readBigUInt64LE(0) !== BigInt(first)) throw wrong(first, "number");
    if ((header.readUInt16LE(18) & KIND_BITS) !== OVERFLOW || header.readUInt32LE(20) !== pages)
      throw wrong(first, "kind");
  }

  #page(page: number, level: number): Buffer {
    this.#reach(page);
    const bytes = this.#read((this.#levels[level] ??= Buffer.alloc(this.#pageBytes)), page * this.#pageBytes);
    if (bytes.readBigUInt64LE(0) !== BigInt(page)) throw wrong(page, "number");
    if (bytes.readBigUInt64LE(8) > this.#transaction) throw wrong(page, "age");
    return bytes;
  }

  #reach(page: number): void {
    if (!(page >= 2 && page <= this.#lastPage)) throw new Damage(`page ${page} is out of reach`);
    const mask = 1 << (page & 7);
    const byte = this.#reached[page >> 3] as number;
    if ((byte & mask) !== 0) throw wrong(page, "place: it is used twice");
    this.#reached[page >> 3] = byte | mask;
  }
}

function readTree(meta: Buffer, at: number): Tree {
  const number = (field: number): number => Number(meta.readBigUInt64LE(at + field));
  return {
    depth: meta.readUInt16LE(at + TREE.depth),
    branches: number(TREE.branches),
    leaves: number(TREE.leaves),
    overflows: number(TREE.overflows),
    entries: number(TREE.entries),
    root: meta.readBigUInt64LE(at + TREE.root),
  };
}

function compareBytes(a: Buffer, b: Buffer): number {
  return a.compare(b);
}

function compareNumbers(a: Buffer, b: Buffer): number {
  if (a.length !== 8 || b.length !== 8) return 0;
  const [left, right] = [a.readBigUInt64LE(), b.readBigUInt64LE()];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function childOf(bytes: Buffer, node: number): number {
  return bytes.readUInt16LE(node) + bytes.readUInt16LE(node + 2) * 65_536 + bytes.readUInt16LE(node + 4) * 2 ** 32;
}

function wrong(page: number, what: string): Damage {
  return new Damage(`page ${page} has a wrong ${what}`);
}
