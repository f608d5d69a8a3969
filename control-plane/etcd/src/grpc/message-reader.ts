import { GrpcError, grpcCode } from "./grpc-error.ts";

const PREFIX_BYTES = 5;

/** Cuts a body into its length-prefixed messages. Compressed messages are refused: none is ever asked for. */
export class MessageReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The messages that are complete with this chunk. Throws GrpcError when one is too large or compressed. */
  push(chunk: Buffer): Buffer[] {
    this.#parts.push(chunk);
    this.#size += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      if (this.#size < PREFIX_BYTES) return messages;
      let head = this.#parts[0] as Buffer;
      if (head.length < PREFIX_BYTES) head = this.#join();
      if (head[0] !== 0) throw new GrpcError(grpcCode.unimplemented, "grpc: compressed messages are not supported");
      const length = head.readUInt32BE(1);
      if (length > this.#limit) {
        throw new GrpcError(
          grpcCode.resourceExhausted,
          `grpc: received message larger than max (${length} vs. ${this.#limit})`,
        );
      }
      if (this.#size < PREFIX_BYTES + length) return messages;
      if (head.length < PREFIX_BYTES + length) head = this.#join();
      messages.push(head.subarray(PREFIX_BYTES, PREFIX_BYTES + length));
      const rest = head.subarray(PREFIX_BYTES + length);
      if (rest.length === 0) this.#parts.shift();
      else this.#parts[0] = rest;
      this.#size -= PREFIX_BYTES + length;
    }
  }

  /** Whether a message has begun and not ended. */
  get isInside(): boolean {
    return this.#size > 0;
  }

  #join(): Buffer {
    const all = Buffer.concat(this.#parts, this.#size);
    this.#parts = [all];
    return all;
  }
}

/** A message with its prefix. */
export function frameMessage(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}
