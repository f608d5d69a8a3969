import type { Duplex } from "node:stream";
import { DATA, FRAME_BYTES, FRAME_HEAD_BYTES, writeFrameHead } from "./frame-type.ts";

const SLAB_BYTES = 64 * 1024;
/** Where much waits: eight whole frames, little enough to stay in the processor's cache until it is encrypted. */
const LARGE_SLAB_BYTES = 8 * (FRAME_HEAD_BYTES + FRAME_BYTES);
/** A slab with less room left is not begun again. */
const LEAST_ROOM = 2 * 1024;
/** Slabs kept for later: what a burst needed is given back. */
const MOST_KEPT = 96;
const MOST_LARGE_KEPT = 16;

/** Memory that frames are put together in. It is written to again once the socket is done with it. */
class Slab {
  readonly bytes: Buffer;
  used = 0;
  /** Pieces that the socket has not confirmed. */
  pending = 0;
  /** Nobody writes to it: it waits for the socket. */
  isFull = false;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }
}

/** Slabs for all connections of a server: a connection that has nothing to say holds none. */
class SlabPool {
  readonly #kept: Slab[] = [];
  readonly #large: Slab[] = [];

  /** A slab with room for so many bytes. */
  take(size: number, isLarge: boolean): Slab {
    const slab = (isLarge ? this.#large : this.#kept).pop();
    const full = isLarge ? LARGE_SLAB_BYTES : SLAB_BYTES;
    if (slab === undefined) return new Slab(full);
    if (slab.pending === 0) slab.used = 0;
    if (slab.used + size <= full) return slab;
    slab.isFull = true;
    return new Slab(full);
  }

  /** Gives back what may have room left; a large one only when it is empty. */
  give(slab: Slab): void {
    if (slab.pending === 0) slab.used = 0;
    const isLarge = slab.bytes.length > SLAB_BYTES;
    slab.isFull = isLarge ? slab.used > 0 : SLAB_BYTES - slab.used < LEAST_ROOM;
    if (slab.isFull) return;
    if (isLarge) {
      if (this.#large.length < MOST_LARGE_KEPT) this.#large.push(slab);
    } else if (this.#kept.length < MOST_KEPT) this.#kept.push(slab);
  }

  /** The socket is done with a piece. */
  settle(slab: Slab): void {
    slab.pending -= 1;
    if (slab.pending === 0 && slab.isFull) this.give(slab);
  }
}

/** What is written in a turn of the event loop goes out at its end, for all connections of a server. */
export class FlushTurn {
  readonly pool: SlabPool = new SlabPool();
  #dirty: Output[] = [];

  add(output: Output): void {
    if (this.#dirty.length === 0) setImmediate(() => this.#flush());
    this.#dirty.push(output);
  }

  #flush(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const output of dirty) output.flush();
  }
}

/** Part of a slab that waits for the socket. */
interface Piece {
  readonly slab: Slab;
  readonly bytes: Buffer;
}

/**
 * The sending side of a connection's socket: frames are copied one behind the other, so that a turn of the event loop
 * costs one write and one TLS record per 16 KiB, however many streams had something to say. The socket has one piece at
 * a time: several would be copied together first, into memory that is asked for anew.
 */
export class Output {
  readonly #socket: Duplex;
  readonly #turn: FlushTurn;
  readonly #onRelief: () => void;
  readonly #onWritten: () => void;
  #slab: Slab | undefined;
  /** Where in the slab begins what is not written yet. */
  #from = 0;
  #isDirty = false;
  #isEnding = false;
  #isClosed = false;
  /** What the socket has and has not confirmed. */
  #writing: Piece | undefined;
  /** What comes after it, before what is in the slab. */
  #queue: Piece[] = [];
  #queuedBytes = 0;
  /** What comes last: bodies that are not put together yet, and whose they are. */
  #bodies: Buffer[] = [];
  #bodyStreams: number[] = [];
  #nextBody = 0;
  /** With their frames' heads. */
  #bodyBytes = 0;

  /** `onRelief`: called whenever the socket has taken something. */
  constructor(socket: Duplex, turn: FlushTurn, onRelief: () => void) {
    this.#socket = socket;
    this.#turn = turn;
    this.#onRelief = onRelief;
    this.#onWritten = () => this.#written();
  }

  /** Bytes that the socket has not confirmed, and those that it has not got yet. */
  get waitingBytes(): number {
    const inSlab = this.#slab === undefined ? 0 : this.#slab.used - this.#from;
    return (this.#writing?.bytes.length ?? 0) + this.#queuedBytes + inSlab + this.#bodyBytes;
  }

  /** Where to write. */
  get bytes(): Buffer {
    return this.#slab!.bytes;
  }

  /** Room for so many bytes of a frame at the place that it answers, in `bytes`. `isMuch`: more frames of that kind follow. */
  reserve(size: number, isMuch = false): number {
    while (this.#bodyBytes > 0)
      if (!this.#assemble()) this.#next(FRAME_HEAD_BYTES + this.#bodies[this.#nextBody]!.length, true);
    let slab = this.#slab;
    if (slab === undefined || slab.used + size > slab.bytes.length) slab = this.#next(size, isMuch);
    const at = slab.used;
    slab.used = at + size;
    this.#touch();
    return at;
  }

  /**
   * A frame of a body that stays as it is: copied when the socket is ready for it, into memory that the processor still
   * has in its cache when it is encrypted. Many streams that say the same at once would fill many slabs before one is read.
   */
  body(streamId: number, body: Buffer): void {
    this.#bodies.push(body);
    this.#bodyStreams.push(streamId);
    this.#bodyBytes += FRAME_HEAD_BYTES + body.length;
    this.#touch();
  }

  #touch(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#turn.add(this);
  }

  /** Puts bodies into the slab; false: more are left than it has room for. */
  #assemble(): boolean {
    const bodies = this.#bodies;
    const slab = this.#slab;
    let at = this.#nextBody;
    if (slab !== undefined) {
      const { bytes } = slab;
      let { used } = slab;
      const before = used;
      for (; at < bodies.length; at++) {
        const body = bodies[at]!;
        if (used + FRAME_HEAD_BYTES + body.length > bytes.length) break;
        writeFrameHead(bytes, used, body.length, DATA, 0, this.#bodyStreams[at]!);
        bytes.set(body, used + FRAME_HEAD_BYTES);
        used += FRAME_HEAD_BYTES + body.length;
      }
      slab.used = used;
      this.#bodyBytes -= used - before;
    }
    this.#nextBody = at;
    if (at < bodies.length) return false;
    this.#dropBodies();
    return true;
  }

  #dropBodies(): void {
    this.#bodies = [];
    this.#bodyStreams = [];
    this.#nextBody = 0;
    this.#bodyBytes = 0;
  }

  #next(size: number, isLarge: boolean): Slab {
    const piece = this.#cut();
    if (piece !== undefined) {
      this.#queue.push(piece);
      this.#queuedBytes += piece.bytes.length;
      if (this.#writing === undefined) this.#writeNext();
    }
    this.#letGo();
    return (this.#slab = this.#take(size, isLarge));
  }

  #take(size: number, isLarge: boolean): Slab {
    const slab = this.#turn.pool.take(size, isLarge);
    this.#from = slab.used;
    return slab;
  }

  /** The end of the turn. What the socket has no time for goes on being gathered. */
  flush(): void {
    this.#isDirty = false;
    if (this.#writing === undefined) this.#writeNext();
  }

  /** Ends the socket after all that was written. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (!this.#isDirty && this.#writing === undefined) this.#writeNext();
  }

  /** The socket is gone. */
  close(): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#dropBodies();
    this.#letGo();
  }

  /** What is in the slab and not written yet. */
  #cut(): Piece | undefined {
    const slab = this.#slab;
    if (slab === undefined || slab.used === this.#from) return undefined;
    const bytes = slab.bytes.subarray(this.#from, slab.used);
    this.#from = slab.used;
    slab.pending += 1;
    return { slab, bytes };
  }

  #writeNext(): void {
    let piece = this.#queue.shift();
    if (piece === undefined) {
      if (this.#bodyBytes > 0) this.#gather();
      piece = this.#cut();
      this.#letGo();
    } else {
      this.#queuedBytes -= piece.bytes.length;
    }
    if (this.#isClosed || this.#socket.writableEnded || this.#socket.destroyed) return;
    if (piece === undefined) {
      if (this.#isEnding) this.#socket.end();
      return;
    }
    this.#writing = piece;
    this.#socket.write(piece.bytes, this.#onWritten);
  }

  /** Puts together as many bodies as go out in one write. */
  #gather(): void {
    if (this.#slab === undefined)
      this.#slab = this.#take(FRAME_HEAD_BYTES + this.#bodies[this.#nextBody]!.length, this.#bodyBytes > SLAB_BYTES);
    if (this.#assemble() || this.#slab.used > this.#from) return;
    // What is in the slab is written already, and there is no room behind it.
    this.#next(FRAME_HEAD_BYTES + this.#bodies[this.#nextBody]!.length, this.#bodyBytes > SLAB_BYTES);
    this.#assemble();
  }

  #letGo(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    this.#slab = undefined;
    this.#turn.pool.give(slab);
  }

  #written(): void {
    const piece = this.#writing;
    if (piece === undefined) return;
    this.#writing = undefined;
    this.#turn.pool.settle(piece.slab);
    if (this.#isClosed) return;
    if (!this.#isDirty || this.#queue.length > 0 || this.#bodyBytes > 0) this.#writeNext();
    this.#onRelief();
  }
}
