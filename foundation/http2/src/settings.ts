import { ConnectionError, errorCode } from "./error-code.ts";
import { FRAME_BYTES } from "./frame-type.ts";

/** Identifiers (RFC 9113, section 6.5.2). */
const HEADER_TABLE_SIZE = 1;
const ENABLE_PUSH = 2;
const MAX_CONCURRENT_STREAMS = 3;
const INITIAL_WINDOW_SIZE = 4;
const MAX_FRAME_SIZE = 5;
const MAX_HEADER_LIST_SIZE = 6;

/** Flow control ends here (RFC 9113, section 6.9.1). */
export const LARGEST_WINDOW: number = 2 ** 31 - 1;
export const DEFAULT_WINDOW = 65_535;

/** What the other side allows. */
export interface PeerSettings {
  headerTableBytes: number;
  maxStreams: number;
  windowBytes: number;
  frameBytes: number;
}

export function defaultSettings(): PeerSettings {
  return {
    headerTableBytes: 4096,
    maxStreams: Number.POSITIVE_INFINITY,
    windowBytes: DEFAULT_WINDOW,
    frameBytes: FRAME_BYTES,
  };
}

/** Takes the settings of a frame, in order; throws ConnectionError when one is impossible. */
export function applySettings(settings: PeerSettings, payload: Buffer, isFromServer: boolean): void {
  if (payload.length % 6 !== 0) throw new ConnectionError(errorCode.frameSizeError, "settings are cut off");
  for (let at = 0; at < payload.length; at += 6) {
    const value = payload.readUInt32BE(at + 2);
    switch (payload.readUInt16BE(at)) {
      case HEADER_TABLE_SIZE:
        settings.headerTableBytes = value;
        break;
      case ENABLE_PUSH:
        if (value > 1 || (isFromServer && value === 1))
          throw new ConnectionError(errorCode.protocolError, `ENABLE_PUSH ${value}`);
        break;
      case MAX_CONCURRENT_STREAMS:
        settings.maxStreams = value;
        break;
      case INITIAL_WINDOW_SIZE:
        if (value > LARGEST_WINDOW) throw new ConnectionError(errorCode.flowControlError, `a window of ${value}`);
        settings.windowBytes = value;
        break;
      case MAX_FRAME_SIZE:
        if (value < FRAME_BYTES || value > 0xffffff)
          throw new ConnectionError(errorCode.protocolError, `frames of ${value}`);
        settings.frameBytes = value;
        break;
      default: // unknown ones are ignored
    }
  }
}

/** What we allow. */
export interface OwnSettings {
  readonly maxStreams: number;
  /** Bytes that a stream may send before we have taken some. */
  readonly streamWindowBytes: number;
  readonly headerListBytes: number;
}

/** The payload of our SETTINGS frame. */
export function encodeSettings(settings: OwnSettings, isServer: boolean): Buffer {
  const pairs: (readonly [number, number])[] = [
    ...(isServer ? [] : [[ENABLE_PUSH, 0] as const]),
    [MAX_CONCURRENT_STREAMS, Math.min(settings.maxStreams, 2 ** 32 - 1)],
    [INITIAL_WINDOW_SIZE, settings.streamWindowBytes],
    [MAX_HEADER_LIST_SIZE, settings.headerListBytes],
  ];
  const payload = Buffer.alloc(pairs.length * 6);
  pairs.forEach(([identifier, value], i) => {
    payload.writeUInt16BE(identifier, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return payload;
}
