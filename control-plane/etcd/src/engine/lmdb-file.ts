import { open, type FileHandle } from "node:fs/promises";
import { StoreError } from "../store/store.ts";
import { findPageDamage } from "./lmdb-pages.ts";

/** What a person can do about a file that cannot be used. */
export const MEND = "move its folder away to start empty, or put a backup in its place";

/** LMDB's file begins with two pages that say where the tree is; the numbers are offsets in such a page. */
const MAGIC = { at: 24, value: 0xbeefc0de } as const;
const VERSION = { at: 28, value: 2 } as const;
const PAGE_SIZE_AT = 48;
const LAST_PAGE_AT = 144;
const HEADER_BYTES = 168;

/**
 * Looks at a file before LMDB maps it: a foreign one, or one with damaged pages, is refused with `corrupt`. One that is cut short is filled with
 * zeros, which reads as damage where it would kill the process otherwise. A file that is absent or empty is fine.
 */
export async function checkLmdbFile(path: string): Promise<void> {
  const file = await openIfPresent(path);
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    if (size === 0) return;
    const first = await readHeader(file, 0);
    const pageSize = first?.readUInt32LE(PAGE_SIZE_AT) ?? 0;
    if (first === undefined || !isHeader(first) || pageSize < 512 || pageSize > 65_536) {
      throw new StoreError("corrupt", `${path} is not a store of ours (no LMDB header); ${MEND}`);
    }
    const second = await readHeader(file, pageSize);
    if (second === undefined || !isHeader(second))
      throw new StoreError("corrupt", `${path} is damaged (second header); ${MEND}`);
    const lastPage = [first, second].map((header) => header.readBigUInt64LE(LAST_PAGE_AT)).reduce(larger);
    const fullSize = Number(lastPage + 1n) * pageSize;
    if (size < fullSize) await file.truncate(fullSize);
    const damage = findPageDamage(path);
    if (damage !== undefined) throw new StoreError("corrupt", `${path} is damaged: ${damage}; ${MEND}`);
  } finally {
    await file.close();
  }
}

async function openIfPresent(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function readHeader(file: FileHandle, position: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, position);
  return bytesRead === HEADER_BYTES ? buffer : undefined;
}

function isHeader(page: Buffer): boolean {
  return page.readUInt32LE(MAGIC.at) === MAGIC.value && page.readUInt32LE(VERSION.at) === VERSION.value;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
