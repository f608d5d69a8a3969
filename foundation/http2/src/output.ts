import type { Duplex } from "node:stream";

const SLAB_BYTES = 64 * 1024;
/** A slab with less room left is not begun again. */
const LEAST_ROOM = 2 * 1024;
/** Slabs kept for later: what a burst needed is given back. */
const MOST_KEPT = 32;

/** Memory that frames are put together in. It is written to again once the socket is done with it. */
class Slab {
  readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  used = 0;
  /** Writes that the socket has not confirmed. */
  pending = 0;
  /** Nobody writes to it: it waits for the socket. */
  isFull = false;
}

/** Slabs for all connections of a server: a connection that has nothing to say holds none. */
class SlabPool {
  readonly #kept: Slab[] = [];

  /** A slab with room for so many bytes. */
  take(size: number): Slab {
    const slab = this.#kept.pop();
    if (slab === undefined) return new Slab();
    if (slab.pending === 0) slab.used = 0;
    if (slab.used + size <= SLAB_BYTES) return slab;
    slab.isFull = true;
    return new Slab();
  }

  /** Gives back what may have room left. */
  give(slab: Slab): void {
    if (slab.pending === 0) slab.used = 0;
    slab.isFull = SLAB_BYTES - slab.used < LEAST_ROOM;
    if (!slab.isFull && this.#kept.length < MOST_KEPT) this.#kept.push(slab);
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

/**
 * The sending side of a connection's socket: frames are copied one behind the other, so that a turn of the event loop
 * costs one write and one TLS record per 16 KiB, however many streams had something to say.
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
  /** What the socket has and not confirmed, oldest first. */
  #inFlight: Slab[] = [];
  #inFlightSizes: number[] = [];
  #inFlightBytes = 0;

  /** `onRelief`: called whenever the socket has taken something. */
  constructor(socket: Duplex, turn: FlushTurn, onRelief: () => void) {
    this.#socket = socket;
    this.#turn = turn;
    this.#onRelief = onRelief;
    this.#onWritten = () => this.#written();
  }

  /** Bytes that the socket has not confirmed, and those of this turn. */
  get waitingBytes(): number {
    return this.#inFlightBytes + (this.#slab === undefined ? 0 : this.#slab.used - this.#from);
  }

  /** Where to write. */
  get bytes(): Buffer {
    return this.#slab!.bytes;
  }

  /** Room for so many bytes of a frame at the place that it answers, in `bytes`. */
  reserve(size: number): number {
    let slab = this.#slab;
    if (slab === undefined || slab.used + size > SLAB_BYTES) slab = this.#next(size);
    const at = slab.used;
    slab.used = at + size;
    if (!this.#isDirty) {
      this.#isDirty = true;
      this.#turn.add(this);
    }
    return at;
  }

  #next(size: number): Slab {
    this.#write();
    this.#letGo();
    const slab = this.#turn.pool.take(size);
    this.#slab = slab;
    this.#from = slab.used;
    return slab;
  }

  /** The end of the turn. */
  flush(): void {
    this.#isDirty = false;
    this.#write();
    this.#letGo();
    if (this.#isEnding && !this.#isClosed) this.#socket.end();
  }

  /** Ends the socket after all that was written. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (!this.#isDirty) this.flush();
  }

  /** The socket is gone. */
  close(): void {
    this.#isClosed = true;
    this.#letGo();
  }

  #write(): void {
    const slab = this.#slab;
    if (slab === undefined || slab.used === this.#from) return;
    const piece = slab.bytes.subarray(this.#from, slab.used);
    this.#from = slab.used;
    if (this.#isClosed || this.#socket.writableEnded || this.#socket.destroyed) return;
    slab.pending += 1;
    this.#inFlight.push(slab);
    this.#inFlightSizes.push(piece.length);
    this.#inFlightBytes += piece.length;
    this.#socket.write(piece, this.#onWritten);
  }

  #letGo(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    this.#slab = undefined;
    this.#turn.pool.give(slab);
  }

  #written(): void {
    const slab = this.#inFlight.shift();
    if (slab === undefined) return;
    this.#inFlightBytes -= this.#inFlightSizes.shift()!;
    this.#turn.pool.settle(slab);
    if (!this.#isClosed) this.#onRelief();
  }
}
