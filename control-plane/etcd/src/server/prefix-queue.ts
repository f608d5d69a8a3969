import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import { prefixEnd, type KeyValue, type LeaseId, type Revision } from "../store/store.ts";
import type { Engine } from "../engine/engine.ts";
import type { EtcdContext } from "./etcd-context.ts";
import type { AuthInfo } from "../auth/auth-store.ts";
import { keyRange } from "./access.ts";

/** Of a place that was taken without a lease: how long it lasts. */
const LEASE_SECONDS = 60;

/** A place among those who wait for the same name: who came first has it. */
export interface Place {
  readonly key: string;
  readonly lease: LeaseId;
  /** Creation of the key: the smaller, the earlier. */
  readonly rank: Revision;
  /** Whether the key was there before, with the value it has. */
  readonly existing: KeyValue | undefined;
}

const prefixOf = (name: Buffer | undefined): string => `${keyFromBytes(name ?? Buffer.alloc(0))}/`;

/** Takes a place for a lease; a lease has one place at most. */
export async function takePlace(
  context: EtcdContext,
  caller: AuthInfo | undefined,
  request: { readonly name?: Buffer | undefined; readonly lease: LeaseId; readonly value: Buffer },
): Promise<Place> {
  const { store, auth } = context;
  const prefix = prefixOf(request.name);
  await context.alarms.checkRoom(prefix.length + request.value.length);
  const lease = request.lease === 0 ? await store.grantLease(LEASE_SECONDS) : request.lease;
  const key = `${prefix}${BigInt.asUintN(64, BigInt(lease)).toString(16)}`;
  auth.checkWrite(caller, keyRange(key));
  checkReadable(context, caller, request.name);
  const { succeeded, revision, results } = await store.txn({
    compare: [{ key, target: "create", op: "=", value: 0 }],
    success: [{ type: "put", key, value: request.value, lease }],
    failure: [{ type: "range", key }],
  });
  const [result] = results;
  const existing = !succeeded && result?.type === "range" ? result.kvs[0] : undefined;
  return { key, lease, rank: existing?.createRevision ?? revision, existing };
}

export function checkReadable({ auth }: EtcdContext, caller: AuthInfo | undefined, name: Buffer | undefined): void {
  const prefix = prefixOf(name);
  auth.checkRead(caller, {
    key: keyToBytes(prefix).toString("latin1"),
    end: keyToBytes(prefixEnd(prefix)).toString("latin1"),
  });
}

/** Who has the name now. */
export async function firstPlace(store: Engine, name: Buffer | undefined): Promise<KeyValue | undefined> {
  return (await placesOf(store, prefixOf(name))).kvs.toSorted((a, b) => a.createRevision - b.createRevision)[0];
}

const placesOf = (store: Engine, prefix: string): ReturnType<Engine["range"]> =>
  store.range({ key: prefix, end: prefixEnd(prefix) });

/** Resolves with the store's revision when all who came before are gone. */
export async function untilFirst(
  store: Engine,
  name: Buffer | undefined,
  rank: Revision,
  signal: AbortSignal,
): Promise<Revision> {
  const prefix = prefixOf(name);
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const { kvs, revision } = await placesOf(store, prefix);
    const last = kvs
      .filter((kv) => kv.createRevision < rank)
      .toSorted((a, b) => b.createRevision - a.createRevision)[0];
    if (last === undefined) return revision;
    // oxlint-disable-next-line no-await-in-loop
    await untilChanged(store, { key: last.key, startRevision: revision + 1 }, signal, (event) => event === "delete");
  }
}

/** Resolves when something happens to the keys that `isIt` says yes to. */
export async function untilChanged(
  store: Engine,
  request: { readonly key: string; readonly end?: string | undefined; readonly startRevision: Revision },
  signal: AbortSignal,
  isIt: (event: "put" | "delete") => boolean,
): Promise<void> {
  signal.throwIfAborted();
  let handle: Disposable | undefined;
  let abort = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      const sink = {
        events: (events: readonly { readonly type: "put" | "delete" }[]) => {
          if (events.some(({ type }) => isIt(type))) resolve();
        },
        closed: reject,
      };
      store.watch(request, sink).then((opened) => {
        handle = opened;
      }, reject);
    });
  } finally {
    signal.removeEventListener("abort", abort);
    handle?.[Symbol.dispose]();
  }
}

/** All keys of a name, for a watch. */
export function rangeOfName(name: Buffer | undefined): { readonly key: string; readonly end: string } {
  const prefix = prefixOf(name);
  return { key: prefix, end: prefixEnd(prefix) };
}
