/**
 * HTTP/2 (RFC 9113) on any socket, with its header compression (RFC 7541). Guaranteed: what the other side sends never
 * throws, and never takes more memory than the limits say; all that a turn of the event loop has to send on a connection
 * goes out in one write; a stream's listener hears `closed` exactly once, last.
 */
export { createHttp2Client, type ClientConnectionEvents, type Http2Client, type Http2ClientOptions } from "./client.ts";
export { errorCode, ConnectionError } from "./error-code.ts";
export { Http2Connection } from "./connection.ts";
export type { ConnectionOptions } from "./connection-life.ts";
export { DEFAULT_LIMITS, type Http2Limits } from "./limits.ts";
export { MessageHead } from "./message-head.ts";
export type { HeaderField } from "./hpack/header-field.ts";
export { createHttp2Server, type Http2Server, type Http2ServerOptions } from "./server.ts";
export { StreamDuplex } from "./stream-duplex.ts";
export { Http2Stream, type HeaderValues, type StreamListener } from "./stream.ts";
