import type { Duplex } from "node:stream";
import type { X509Certificate } from "node:crypto";

export type ResponseHeaders = Record<string, string | number | readonly string[]>;

/** The other end of a connection. One object per connection, so that what is found out about it can be kept with it. */
export interface Peer {
  readonly address: string;
  /** Certificate that the peer has proved to hold, leaf first; checked against no authority yet. */
  readonly certificates: readonly X509Certificate[];
}

/** The body of an answer that is written piece by piece. */
export interface BodyWriter {
  /** What is written in one turn of the event loop goes out together anyway: nobody has to gather it. */
  readonly batches?: boolean;
  /**
   * False: more than the connection takes at the moment; wait for `drained`. `whenSent` is called when the chunk's
   * memory is not looked at any more; not every transport says so, and none does once the client is gone.
   */
  write(chunk: Buffer, whenSent?: () => void): boolean;
  /** Resolves when writing may go on, and when the client is gone. */
  drained(): Promise<void>;
  /** Bytes accepted and not yet handed to the connection. */
  readonly bufferedBytes: number;
  readonly isClosed: boolean;
  end(): void;
  /** Ends without a proper end of the body. */
  abort(): void;
  /** Called once when the client is gone or the body has ended. */
  onClose(action: () => void): void;
}

/** One request and its answer, over whatever transport it came. */
export interface Exchange {
  readonly method: string;
  /** Path as sent, without the query. */
  readonly path: string;
  /** What follows `?`, `""` when nothing. */
  readonly query: string;
  readonly peer: Peer;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  /** By lower-case name. */
  header(name: string): string | undefined;
  headers(): Readonly<Record<string, string | readonly string[] | undefined>>;
  /** All values of a header as they were sent, one for each time; absent: the transport does not tell them apart. */
  headerValues?(name: string): readonly string[];
  /** Whether a header has a name that begins so (lower case); absent: look at all of them. */
  hasHeaderLike?(prefix: string): boolean;
  /** The whole body; throws 413 as soon as it is longer. */
  readBody(limitBytes: number): Promise<Buffer>;
  /** The body as it comes, for proxying. */
  bodyStream(): AsyncIterable<Buffer>;
  /** The answer's code, once it has begun. */
  readonly status?: number | undefined;
  /** Bytes of the body of an answer that was sent in one go. */
  readonly sentBytes?: number | undefined;
  /** Whether the answer has begun. */
  readonly isStarted: boolean;
  /** The whole answer in one go. */
  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void;
  /** Begins an answer of unknown length. */
  stream(status: number, headers: ResponseHeaders): BodyWriter;
  /** HTTP/1.1 upgrade requests: the raw connection. */
  readonly upgrade: { readonly protocol: string; readonly socket: Duplex; readonly head: Buffer } | undefined;
}

/** Collects a body, refusing it once it is longer than `limitBytes`. */
export async function collectBody(
  chunks: AsyncIterable<Buffer>,
  limitBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limitBytes) throw tooLarge();
    parts.push(chunk);
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts, size);
}
