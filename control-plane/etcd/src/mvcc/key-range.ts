import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import { StoreError } from "../store/store.ts";

/**
 * Keys inside the engines are byte strings: one char for each UTF-8 byte. JavaScript then compares them as etcd does,
 * byte by byte. ASCII keys, which is nearly all of them, are their own byte string.
 */
export type ByteKey = string;

const NON_ASCII = /[\u0080-\uffff]/;

export function toByteKey(key: string): ByteKey {
  return NON_ASCII.test(key) ? keyToBytes(key).toString("latin1") : key;
}

export function fromByteKey(key: ByteKey): string {
  return NON_ASCII.test(key) ? keyFromBytes(Buffer.from(key, "latin1")) : key;
}

/** A range of keys, or one key (`single`). `end` is exclusive; absent: to the last key. */
export interface KeyRange {
  readonly single: boolean;
  readonly start: ByteKey;
  readonly end: ByteKey | undefined;
}

/** etcd's convention: no end means one key, an end of one zero byte means everything from `key` on. */
export function toKeyRange(key: string, end: string | undefined): KeyRange {
  if (key === "") throw new StoreError("invalidRequest", "etcdserver: key is not provided");
  if (end === undefined || end === "") return { single: true, start: toByteKey(key), end: undefined };
  return { single: false, start: toByteKey(key), end: end === "\0" ? undefined : toByteKey(end) };
}

export function inRange(range: KeyRange, key: ByteKey): boolean {
  if (range.single) return key === range.start;
  return key >= range.start && (range.end === undefined || key < range.end);
}
