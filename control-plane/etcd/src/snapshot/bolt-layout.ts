/**
 * The file format of bbolt, which etcd keeps its data in: pages of 4 KiB, two meta pages that say where the root is, and a B+ tree for
 * each bucket whose leaves hold keys and values. Numbers are little-endian.
 *
 *     page:    id:8 flags:2 count:2 overflow:4, then the elements, then what they point to
 *     leaf:    flags:4 position:4 keySize:4 valueSize:4      branch: position:4 keySize:4 page:8
 *     meta:    magic:4 version:4 pageSize:4 flags:4 root:8 sequence:8 freelist:8 pages:8 transaction:8 checksum:8
 */
export const PAGE_BYTES = 4_096;
export const PAGE_HEADER_BYTES = 16;
export const ELEMENT_BYTES = 16;
export const MAGIC = 0xed0cdaed;
export const VERSION = 2;
export const META_BYTES = 64;
export const META_SUMMED_BYTES = 56;
export const pageFlag = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
export const BUCKET_ELEMENT = 1;

const OFFSET_BASIS = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

/** FNV-1a of 64 bits, the checksum of meta pages. */
export function fnv1a64(bytes: Uint8Array): bigint {
  let hash = OFFSET_BASIS;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  return hash;
}
