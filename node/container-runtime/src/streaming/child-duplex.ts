import { Duplex, type Readable, type Writable } from "node:stream";

/**
 * A child's output and input as one connection. Its output is told to the last byte, however early the child has ended: an input that the
 * end of the child cuts off (nobody reads it any more) is not an error of the connection, which is what `Duplex.from` makes of it.
 */
export class ChildDuplex extends Duplex {
  readonly #input: Writable | undefined;
  readonly #output: Readable;

  constructor(input: Writable | undefined, output: Readable) {
    super({ allowHalfOpen: true });
    this.#input = input;
    this.#output = output;
    input?.on("error", () => {});
    output.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) output.pause();
    });
    output.once("end", () => this.push(null));
    output.once("close", () => {
      if (!output.readableEnded) this.destroy();
    });
    output.once("error", (error) => this.destroy(error));
  }

  override _read(): void {
    this.#output.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#input === undefined || !this.#input.writable) done();
    else this.#input.write(chunk, () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#input?.end();
    done();
  }
}
