/** Bytes of one write: worth its cost, and little enough to stay in the processor's cache until it is encrypted. */
export const CHUNK_BYTES = 128 * 1024;
/** Chunks that are kept for the next list. */
const SPARE_CHUNKS = 8;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;

/** Part of an answer. Whoever has sent it gives its memory back. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly release: () => void;
}

const spare: Buffer[] = [];

const keep = (memory: Buffer): void => {
  if (memory.length === CHUNK_BYTES && spare.length < SPARE_CHUNKS) spare.push(memory);
};

const memoryFor = (size: number): Buffer =>
  (size <= CHUNK_BYTES ? spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(size, CHUNK_BYTES));

/**
 * Copies pieces together. Its chunks are used again and again: memory outside of the heap that is asked for anew makes
 * the garbage collector look through the whole heap every few lists.
 */
class ChunkFiller {
  #memory: Buffer;
  #at = 0;

  constructor(memory = memoryFor(0)) {
    this.#memory = memory;
  }

  /** The chunk so far, if `size` more bytes do not fit into it: to be written before anything is added. */
  full(size: number): Chunk | undefined {
    if (this.#at + size <= this.#memory.length) return undefined;
    const chunk = this.rest();
    this.#memory = memoryFor(size);
    this.#at = 0;
    if (chunk.bytes.length > 0) return chunk;
    chunk.release();
    return undefined;
  }

  add(bytes: Uint8Array): void {
    this.#memory.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Adds an object without the members that its first `from` bytes hold. */
  addObject(json: Buffer, from: number, isFirst: boolean): void {
    const memory = this.#memory;
    if (!isFirst) memory[this.#at++] = COMMA;
    memory[this.#at++] = OPEN_BRACE;
    json.copy(memory, this.#at, from);
    this.#at += json.length - from;
  }

  rest(): Chunk {
    const memory = this.#memory;
    return { bytes: memory.subarray(0, this.#at), release: () => keep(memory) };
  }
}

/** Pieces, copied together. */
export function* joinPieces(pieces: readonly Uint8Array[]): Generator<Chunk> {
  const filler = new ChunkFiller();
  for (const piece of pieces) {
    const full = filler.full(piece.length);
    if (full !== undefined) yield full;
    filler.add(piece);
  }
  yield filler.rest();
}

/** A JSON list whose items are written already. */
export interface JsonList<Item extends { readonly json: Buffer }> {
  readonly head: Buffer;
  readonly items: readonly Item[];
  /** What the items' JSON begins with and the list leaves out: at least the opening brace. */
  readonly left: Buffer;
  /** The JSON of an item that begins otherwise. */
  readonly otherwise: (item: Item) => Buffer;
  readonly tail: Buffer;
}

/** Bytes of the list, or more. */
export function sizeOfJsonList<Item extends { readonly json: Buffer }>({ head, items, tail }: JsonList<Item>): number {
  let size = head.length + tail.length;
  for (const { json } of items) size += json.length + 2;
  return size;
}

/** The list in chunks: in one, if `memory` that is long enough is given. */
export function* joinJsonList<Item extends { readonly json: Buffer }>(
  { head, items, left, otherwise, tail }: JsonList<Item>,
  memory?: Buffer,
): Generator<Chunk> {
  const filler = new ChunkFiller(memory);
  const tooLong = filler.full(head.length);
  if (tooLong !== undefined) yield tooLong;
  filler.add(head);
  let isFirst = true;
  for (const item of items) {
    const isAlike = startsWith(item.json, left);
    const json = isAlike ? item.json : otherwise(item);
    const full = filler.full(json.length + 2);
    if (full !== undefined) yield full;
    filler.addObject(json, isAlike ? left.length : 1, isFirst);
    isFirst = false;
  }
  const full = filler.full(tail.length);
  if (full !== undefined) yield full;
  filler.add(tail);
  yield filler.rest();
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  const { length } = start;
  for (let i = 0; i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}
