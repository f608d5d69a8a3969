import { closeSync, openSync, statSync, writeSync } from "node:fs";

/** What one write may need of a file, in pages at most. */
export interface Demand {
  /** Pages that may lie anywhere. */
  readonly single: number;
  /** Pages that must lie side by side. */
  readonly adjacent: number;
  /** It may not touch what is kept for deletes and compactions, which give room back. */
  readonly isGrowth: boolean;
}

/** How the tree of a file stands between two writes. */
export interface FilePages {
  readonly pageBytes: number;
  /** Up to the last page that was ever written. */
  readonly reachedPages: number;
  /** Of these, pages that hold nothing any more. */
  readonly freePages: number;
}

/** Written ahead in one go. */
const STEP_BYTES = 1024 * 1024;
/** Only deletes and compactions may use it on a full disk. Enough for what a store drops at once. */
const KEPT_BYTES = 1536 * 1024;
const BLOCK_BYTES = 512;

/**
 * Room at the end of LMDB's file, written with zeros before it is needed. The library's native part damages its memory when a write of its own
 * meets a full disk, so none ever does: here it is found out first whether there is room. A sync is quicker too where the file does not grow.
 */
export class WriteRoom {
  readonly #path: string;
  readonly #pages: () => FilePages;
  #pageBytes = 0;
  /** Beyond what is kept, without looking again. */
  #sureBytes = 0;

  constructor(path: string, pages: () => FilePages) {
    this.#path = path;
    this.#pages = pages;
  }

  /** Makes sure of room for a write, which follows at once. Not called while one is under way. Returns false when the disk is full. */
  take(demand: Demand): boolean {
    this.#sureBytes -= (demand.single + demand.adjacent) * this.#pageBytes;
    return this.#sureBytes > 0 || this.#make(demand);
  }

  #make({ single, adjacent, isGrowth }: Demand): boolean {
    const { pageBytes, reachedPages, freePages } = this.#pages();
    this.#pageBytes = pageBytes;
    const reached = reachedPages * pageBytes;
    const needed = (single + adjacent) * pageBytes;
    const wanted = reached + needed + KEPT_BYTES;
    let end = endOf(this.#path, reached);
    if (end < wanted) end = extend(this.#path, end, wanted + STEP_BYTES);
    this.#sureBytes = end - wanted;
    if (end >= wanted) return true;
    if (end < reached + needed) return false;
    // What is free within the file is taken first, unless it must lie side by side.
    const keepsEnough = adjacent === 0 || end >= reached + adjacent * pageBytes + KEPT_BYTES;
    const isReplaced = freePages >= 2 * single && keepsEnough;
    return !isGrowth || isReplaced;
  }
}

/** Where the room ends. A file with holes, a copy say, has less than its size tells. */
function endOf(path: string, reached: number): number {
  const { size, blocks } = statSync(path);
  return blocks * BLOCK_BYTES < size ? reached : Math.max(size, reached);
}

/**
 * Writes zeros up to `wanted`, or as far as the disk lets it; returns where they end. Into memory, and at once: a busy process has writers wait
 * longer for an answer of the file system than for this.
 */
function extend(path: string, from: number, wanted: number): number {
  const file = openSync(path, "r+");
  try {
    const zeros = Buffer.alloc(Math.min(STEP_BYTES, wanted - from));
    let end = from;
    while (end < wanted) {
      const written = writeSync(file, zeros, 0, Math.min(zeros.length, wanted - end), end);
      if (written === 0) break;
      end += written;
    }
    return end;
  } catch {
    // The disk is full, or the file may not be longer.
    return Math.max(from, endOf(path, from));
  } finally {
    closeSync(file);
  }
}
