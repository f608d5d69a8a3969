import type { BodyWriter } from "./exchange.ts";

/** The part of a Node writable that bodies need: a response of HTTP/1.1 has it. */
interface Writable {
  write(chunk: Buffer, done?: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(): unknown;
  once(event: "drain" | "close", action: () => void): unknown;
  removeListener(event: "drain" | "close", action: () => void): unknown;
  readonly writableLength: number;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
}

/** A Node stream as a body writer. */
export class NodeStreamBody implements BodyWriter {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  write(chunk: Buffer, whenSent?: () => void): boolean {
    if (this.isClosed) return true;
    if (whenSent === undefined) return this.#stream.write(chunk);
    return this.#stream.write(chunk, (error) => {
      if (error === null || error === undefined) whenSent();
    });
  }

  drained(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      if (this.isClosed) {
        resolve();
        return;
      }
      const done = (): void => {
        stream.removeListener("drain", done);
        stream.removeListener("close", done);
        resolve();
      };
      stream.once("drain", done);
      stream.once("close", done);
    });
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  get isClosed(): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded;
  }

  end(): void {
    if (!this.isClosed) this.#stream.end();
  }

  abort(): void {
    this.#stream.destroy();
  }

  onClose(action: () => void): void {
    if (this.#stream.destroyed) action();
    else this.#stream.once("close", action);
  }
}
