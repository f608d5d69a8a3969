import { randomBytes } from "node:crypto";
import { open, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { IndexBlock } from "../mvcc/key-index.ts";
import { PackedRows } from "../mvcc/packed-rows.ts";
import type { SavedIndex } from "../mvcc/restore.ts";
import type { Revision } from "../store/store.ts";

/**
 * The index as it once was, in a file of its own beside the log, so that opening reads keys and what came later, not
 * the whole log. The log says which file is in force; whatever is wrong with one, the log has it all.
 *
 *     "CORIDX01" revision:6, then blocks: length:4 crc:4 isPlain:1 rows; the last one has length 0
 */
const MAGIC = Buffer.from("CORIDX01");
const HEADER_BYTES = MAGIC.length + 6;
const BLOCK_HEADER_BYTES = 9;
/** Written at once; between two, others get their turn. */
const WRITE_BYTES = 32 * 1024;
const READ_BYTES = 1024 * 1024;

/** What the log keeps about the file in force. */
export interface IndexFile {
  /** The end of the file's name: never used before. */
  readonly id: string;
  readonly revision: Revision;
}

const pathOf = (logPath: string, id: string): string => `${logPath}.index-${id}`;

/** Writes a file that is not yet in force. Others get their turn between the blocks. */
export async function writeIndexFile(
  logPath: string,
  revision: Revision,
  blocks: Iterable<IndexBlock>,
  isSynced: boolean,
): Promise<IndexFile> {
  const id = randomBytes(8).toString("hex");
  const path = pathOf(logPath, id);
  const file = await open(path, "wx", 0o600);
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    header.writeUIntBE(revision, MAGIC.length, 6);
    let parts: Buffer[] = [header];
    let size = 0;
    for (const { rows, isPlain } of blocks) {
      parts.push(blockHeader(rows.bytes, isPlain), rows.bytes);
      size += rows.bytes.length;
      if (size < WRITE_BYTES) continue;
      // oxlint-disable-next-line no-await-in-loop
      await file.appendFile(Buffer.concat(parts));
      parts = [];
      size = 0;
    }
    parts.push(blockHeader(Buffer.alloc(0), true));
    await file.appendFile(Buffer.concat(parts));
    if (isSynced) await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return { id, revision };
}

/** Undefined when the file is absent, or not what was written. */
export async function readIndexFile(logPath: string, { id, revision }: IndexFile): Promise<SavedIndex | undefined> {
  let file;
  try {
    file = await open(pathOf(logPath, id), "r");
  } catch {
    return undefined;
  }
  try {
    const read = async (length: number): Promise<Buffer> => {
      const buffer = Buffer.allocUnsafeSlow(length);
      const { bytesRead } = await file.read(buffer, 0, length, null);
      return buffer.subarray(0, bytesRead);
    };
    const header = await read(HEADER_BYTES);
    if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    if (header.readUIntBE(MAGIC.length, 6) !== revision) return undefined;
    const blocks: IndexBlock[] = [];
    let rest: Buffer = Buffer.alloc(0);
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      const piece = await read(READ_BYTES);
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      const used = takeBlocks(bytes, blocks);
      if (used === "end") return { revision, blocks };
      if (used === "damaged" || piece.length === 0) return undefined;
      rest = bytes.subarray(used);
    }
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

/** Removes all index files but the one in force. */
export async function removeIndexFiles(logPath: string, inForce: string | undefined): Promise<void> {
  const folder = dirname(logPath);
  const prefix = basename(pathOf(logPath, ""));
  for (const name of await readdir(folder)) {
    // oxlint-disable-next-line no-await-in-loop
    if (name.startsWith(prefix) && name !== prefix + inForce) await rm(join(folder, name), { force: true });
  }
}

function blockHeader(bytes: Buffer, isPlain: boolean): Buffer {
  const header = Buffer.alloc(BLOCK_HEADER_BYTES);
  header.writeUInt32LE(bytes.length, 0);
  header.writeUInt32LE(crc32(bytes), 4);
  header[8] = isPlain ? 1 : 0;
  return header;
}

/** Takes the blocks that are complete; returns how many bytes they had. */
function takeBlocks(bytes: Buffer, blocks: IndexBlock[]): number | "end" | "damaged" {
  let at = 0;
  while (at + BLOCK_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    if (length === 0) return "end";
    const from = at + BLOCK_HEADER_BYTES;
    if (from + length > bytes.length) break;
    // Each in memory of its own, that goes when the block is no longer needed.
    const own = Buffer.allocUnsafeSlow(length);
    bytes.copy(own, 0, from, from + length);
    if (crc32(own) !== bytes.readUInt32LE(at + 4)) return "damaged";
    blocks.push({ rows: new PackedRows(own), isPlain: bytes[at + 8] === 1 });
    at = from + length;
  }
  return at;
}
