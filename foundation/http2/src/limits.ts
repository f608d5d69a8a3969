/** What a connection takes from the other side. */
export interface Http2Limits {
  /** Streams at once. */
  readonly maxStreams: number;
  /** Bytes of a body that may come before somebody reads it. */
  readonly streamWindowBytes: number;
  /** The same, of all streams of a connection. */
  readonly connectionWindowBytes: number;
  /** Of a header list, as the protocol counts. */
  readonly headerListBytes: number;
  readonly headerFields: number;
  /** The other side has so long to begin, and to end a header block that it has begun. */
  readonly headerTimeoutMs: number;
}

export const DEFAULT_LIMITS: Http2Limits = {
  maxStreams: 1000,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  headerListBytes: 1 << 20,
  headerFields: 2000,
  headerTimeoutMs: 32_000,
};

/** Frames that a header block may come in: at their full size they hold more than any list that is taken. */
export const MOST_BLOCK_FRAMES = 128;
/** Frames without use (pings, settings, empty data, windows of what is closed): so many at once, so many a second. */
export const NOISE: readonly [burst: number, perSecond: number] = [1000, 100];
/** Streams that the other side opens and breaks off, or that are refused (CVE-2023-44487, CVE-2025-8671). */
export const RESETS: readonly [burst: number, perSecond: number] = [2000, 200];
/** Answers to frames without use that the other side does not read. */
export const MOST_UNREAD_BYTES: number = 8 * 1024 * 1024;
