import type * as etcd from "@coracle/api/etcd";
import type { Engine } from "../engine/engine.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { StoreError } from "../store/store.ts";

export type AlarmName = "NOSPACE" | "CORRUPT";

const SETTING = "alarms";
/** etcd's estimates of what a key costs beside its bytes, and what a lease costs. */
const KEY_OVERHEAD_BYTES = 104;
const LEASE_BYTES = 16;

/** Alarms of a single member. They stay until somebody disarms them. */
export class Alarms {
  readonly #engine: Engine;
  /** Bytes that the file may have; Infinity: no limit. */
  readonly quotaBytes: number;
  #active: ReadonlySet<AlarmName>;

  constructor(engine: Engine, quotaBytes: number) {
    this.#engine = engine;
    this.quotaBytes = quotaBytes;
    this.#active = new Set((engine.setting(SETTING) as readonly AlarmName[] | undefined) ?? []);
  }

  get active(): readonly AlarmName[] {
    return [...this.#active];
  }

  async raise(alarm: AlarmName): Promise<void> {
    if (!this.#active.has(alarm)) await this.#set(new Set([...this.#active, alarm]));
  }

  async disarm(alarm: AlarmName): Promise<void> {
    if (this.#active.has(alarm)) await this.#set(new Set([...this.#active].filter((each) => each !== alarm)));
  }

  /** Fails when nothing may be asked of the store. */
  checkSound(): void {
    if (this.#active.has("CORRUPT")) throw new GrpcError(grpcCode.dataLoss, "etcdserver: corrupt cluster");
  }

  /** Fails when there is no room for a write of so many bytes, and raises the alarm. A write of none is one that makes room. */
  checkRoom(bytes: number): Promise<void> | undefined {
    this.checkSound();
    if (bytes === 0) return undefined;
    if (this.#active.has("NOSPACE")) throw noSpace();
    if (this.quotaBytes === Infinity || this.#engine.totalBytes + bytes < this.quotaBytes) return undefined;
    return this.raise("NOSPACE").then(() => {
      throw noSpace();
    });
  }

  async #set(next: ReadonlySet<AlarmName>): Promise<void> {
    this.#active = next;
    await this.#engine.keepSetting(SETTING, next.size === 0 ? undefined : [...next]);
  }
}

const noSpace = (): StoreError => new StoreError("noSpace", "etcdserver: mvcc: database space exceeded");

export const leaseCost = LEASE_BYTES;

export const putCost = ({ key, value }: etcd.PutRequest): number =>
  KEY_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);

/** What the dearer branch of a transaction writes. */
export function txnCost({ success = [], failure = [] }: etcd.TxnRequest): number {
  const costOf = (ops: readonly etcd.RequestOp[]): number =>
    ops.reduce((sum, { requestPut, requestTxn }) => {
      if (requestPut !== undefined) return sum + putCost(requestPut);
      return requestTxn === undefined ? sum : sum + txnCost(requestTxn);
    }, 0);
  return Math.max(costOf(success), costOf(failure));
}
