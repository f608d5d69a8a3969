import { Duplex } from "node:stream";
import { errorCode } from "./error-code.ts";
import type { Http2Stream } from "./stream.ts";

/** A stream's bodies as a Node stream, for what wants one: reads the request, writes the answer once it has begun. */
export class StreamDuplex extends Duplex {
  readonly #stream: Http2Stream;
  #written: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    super();
    this.#stream = stream;
    const drain = (): void => {
      const done = this.#written;
      this.#written = undefined;
      done?.();
    };
    stream.listener = {
      data: (chunk) => {
        if (!this.push(chunk)) stream.pause();
      },
      ended: () => void this.push(null),
      drained: drain,
      closed: () => {
        drain();
        // What has come can still be read.
        if (stream.isReceiveEnded && this.writableEnded) return;
        this.destroy();
      },
    };
  }

  override _read(): void {
    this.#stream.flow();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#stream.write(chunk) || this.#stream.isClosed) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.reset(error === null ? errorCode.cancel : errorCode.internalError);
    done(error);
  }
}
