/** One HTTP request to an API server. Header names are lower case. */
export interface TransportRequest {
  readonly method: string;
  /** Path with query, from `/`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Ends the request, and its body's stream when that has begun. */
  readonly signal?: AbortSignal | undefined;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Must be read to its end or left by `break`; a watch's body has no end of its own. */
  readonly body: AsyncIterable<Buffer>;
}

/**
 * How requests reach an API server: over a socket, or by a call inside the process. It says who is asking
 * (certificate, token); the client above says what is asked. Rejects only when no answer came.
 */
export interface Transport extends AsyncDisposable {
  request(request: TransportRequest): Promise<TransportResponse>;
}
