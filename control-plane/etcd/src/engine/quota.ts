import type { Logger } from "@coracle/base";
import { StoreError, type Op, type TxnRequest } from "../store/store.ts";

/** etcd's estimate of what a key costs beside its bytes. */
const KEY_OVERHEAD_BYTES = 104;
/** More than a file grows by with one write beside what is written. */
const GROWTH_BYTES = 64 * 1024;
/** A file at its quota is written anew when that gives back so much of it. */
const WORTH_IT = 0.3;

/** The file that is bounded. */
export interface BoundedFile {
  /** Bytes on disk. */
  readonly totalBytes: number;
  /** Bytes of these that hold something; the rest is written to again. */
  readonly usedBytes: number;
}

/**
 * A bound to what a store may hold. At the bound puts are refused, as etcd does with its alarm NOSPACE; reads, deletes and compactions go on,
 * and puts too as soon as there is room.
 */
export class Quota {
  readonly bytes: number;
  readonly #file: BoundedFile;
  readonly #logger: Logger;
  #isAlarmed = false;
  /** Room there is without looking at the file again. */
  #sureBytes = 0;

  constructor(bytes: number, file: BoundedFile, logger: Logger) {
    this.bytes = bytes;
    this.#file = file;
    this.#logger = logger;
  }

  /** Throws `noSpace` when there is no room for what the request puts. */
  check(request: TxnRequest): void {
    const bytes = costOf(request);
    if (bytes === 0) return;
    this.#sureBytes -= bytes + GROWTH_BYTES;
    if (this.#sureBytes > 0) return;
    this.#sureBytes = (this.bytes - this.#file.totalBytes) / 2;
    const isFull = this.#file.totalBytes + bytes >= this.bytes && this.#file.usedBytes + bytes >= this.bytes;
    if (isFull !== this.#isAlarmed) this.#alarm(isFull);
    if (isFull) throw new StoreError("noSpace", "etcdserver: mvcc: database space exceeded");
  }

  /** Whether the file is at its bound, and a good part of it would be given back by writing it anew. */
  get isDefragmentationDue(): boolean {
    const { totalBytes } = this.#file;
    return totalBytes >= this.bytes && totalBytes - this.#file.usedBytes >= totalBytes * WORTH_IT;
  }

  #alarm(isFull: boolean): void {
    this.#isAlarmed = isFull;
    const fields = { quotaBytes: this.bytes, usedBytes: this.#file.usedBytes };
    if (isFull) this.#logger.warn("alarm NOSPACE: the store is at its quota, writes are refused", fields);
    else this.#logger.info("alarm NOSPACE is over: there is room again", fields);
  }
}

/** What the dearer branch of a transaction puts. */
function costOf({ success, failure = [] }: TxnRequest): number {
  return Math.max(costOfAll(success), costOfAll(failure));
}

function costOfAll(ops: readonly Op[]): number {
  let bytes = 0;
  for (const op of ops) {
    if (op.type === "put") bytes += KEY_OVERHEAD_BYTES + op.key.length + op.value.length;
    else if (op.type === "txn") bytes += costOf(op);
  }
  return bytes;
}
