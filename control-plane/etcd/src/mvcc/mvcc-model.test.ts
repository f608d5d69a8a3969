import { createFakeClock, createSeededRandom, silentLogger, type Random } from "@coracle/base";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openEmbeddedStore } from "../engine/embedded-store.ts";
import { createMemoryStore } from "../engine/memory-store.ts";
import type { KeyValue, LeaseId, Op, Store, StoreError, StoreEvent, TxnRequest } from "../store/store.ts";

type Entry = Omit<KeyValue, "value" | "lease"> & { readonly value: string; readonly lease: string };

/** Leases that are there all the time, revoked and granted anew now and then. */
const LEASES: readonly LeaseId[] = [7, 2 ** 40, 2n ** 60n + 1n];

/** The rules in their most naive form: a whole copy of the state for each revision. */
class NaiveStore {
  states = new Map<number, ReadonlyMap<string, Entry>>([[1, new Map()]]);
  revision = 1;
  compacted = 0;

  get now(): ReadonlyMap<string, Entry> {
    return this.states.get(this.revision) as ReadonlyMap<string, Entry>;
  }

  txn(request: TxnRequest): { succeeded: boolean; revision: number } {
    const succeeded = this.#holds(request);
    const next = new Map(this.now);
    if (this.#apply((succeeded ? request.success : request.failure) ?? [], next))
      this.states.set(++this.revision, next);
    return { succeeded, revision: this.revision };
  }

  revoke(lease: LeaseId): void {
    const next = new Map([...this.now].filter(([, entry]) => entry.lease !== String(lease)));
    if (next.size < this.now.size) this.states.set(++this.revision, next);
  }

  /** Compares, of inner transactions too, look at the state before the whole. */
  #holds({ compare: compares }: TxnRequest): boolean {
    return compares.every((compare) => {
      if (compare.target === "value" || compare.target === "lease") return false;
      const { target, op, value } = compare;
      const entry = this.now.get(compare.key);
      const { modRevision: mod = 0, createRevision: create = 0, version = 0 } = entry ?? {};
      const field = { mod, create, version }[target];
      return { "=": field === value, "!=": field !== value, ">": field > value, "<": field < value }[op];
    });
  }

  #apply(ops: readonly Op[], next: Map<string, Entry>): boolean {
    let writes = false;
    for (const op of ops) {
      if (op.type === "put") {
        const old = next.get(op.key);
        next.set(op.key, {
          key: op.key,
          value: op.value.toString(),
          createRevision: old?.createRevision ?? this.revision + 1,
          modRevision: this.revision + 1,
          version: (old?.version ?? 0) + 1,
          lease: String(op.lease ?? 0),
        });
        writes = true;
      } else if (op.type === "delete") {
        for (const key of this.keysIn(next, op.key, op.end)) writes = next.delete(key) || writes;
      } else if (op.type === "txn") {
        writes = this.#apply((this.#holds(op) ? op.success : op.failure) ?? [], next) || writes;
      }
    }
    return writes;
  }

  keysIn(state: ReadonlyMap<string, Entry>, key: string, end: string | undefined): string[] {
    return [...state.keys()]
      .filter((each) => (end === undefined ? each === key : each >= key && (end === "\0" || each < end)))
      .toSorted((a, b) => (a < b ? -1 : 1));
  }

  read(key: string, end: string | undefined, revision: number): Entry[] {
    const state = this.states.get(revision) as ReadonlyMap<string, Entry>;
    return this.keysIn(state, key, end).map((each) => state.get(each) as Entry);
  }
}

function entry(kv: KeyValue): Entry {
  return { ...kv, value: kv.value.toString(), lease: String(kv.lease) };
}

/** Rebuilds the state from events, as a cache does. */
class Replica {
  readonly state = new Map<string, Entry>();
  last = 0;
  readonly faults: string[] = [];

  events(events: readonly StoreEvent[], revision: number): void {
    if (revision <= this.last) this.faults.push(`revision ${revision} after ${this.last}`);
    this.last = revision;
    for (const event of events) {
      const key = event.type === "put" ? event.kv.key : event.key;
      const was = event.previous === undefined ? undefined : entry(event.previous);
      if (JSON.stringify(was) !== JSON.stringify(this.state.get(key))) this.faults.push(`wrong previous of ${key}`);
      if (event.type === "put") this.state.set(key, entry(event.kv));
      else this.state.delete(key);
    }
  }

  closed(reason: StoreError): void {
    this.faults.push(reason.message);
  }
}

function pick(random: Random, below: number): number {
  return Math.floor(random.next() * below);
}

/** Some keys are no text. */
function randomKey(random: Random): string {
  const n = pick(random, 30);
  return n % 5 === 0 ? `k${n}\udc80` : `k${n}`;
}

function randomOps(random: Random, used = new Set<string>(), depth = 0): Op[] {
  const ops: Op[] = [];
  for (let i = 0; i <= pick(random, 3); i++) {
    if (depth < 2 && random.next() < 0.08) {
      const key = randomKey(random);
      const compare = [{ key, target: "version", op: ">", value: pick(random, 3) } as const];
      ops.push({
        type: "txn",
        compare,
        success: randomOps(random, used, depth + 1),
        failure: randomOps(random, used, depth + 1),
      });
      continue;
    }
    const key = randomKey(random);
    if (used.has(key)) continue;
    used.add(key);
    const lease = random.next() < 0.1 ? (LEASES[pick(random, LEASES.length)] ?? 0) : 0;
    if (random.next() < 0.7) ops.push({ type: "put", key, value: Buffer.from(`v${pick(random, 1e6)}`), lease });
    else ops.push({ type: "delete", key });
  }
  if (depth === 0 && ops.length === 1 && random.next() < 0.05) {
    return [{ type: "delete", key: "k1", end: `k${1 + pick(random, 3)}z` }];
  }
  return ops;
}

function randomTxn(random: Random, model: NaiveStore): TxnRequest {
  if (random.next() < 0.5) return { compare: [], success: randomOps(random) };
  const key = randomKey(random);
  const target = (["mod", "create", "version"] as const)[pick(random, 3)] ?? "mod";
  const op = (["=", "!=", ">", "<"] as const)[pick(random, 4)] ?? "=";
  const value = random.next() < 0.5 ? (model.now.get(key)?.modRevision ?? 0) : pick(random, 5);
  return { compare: [{ key, target, op, value }], success: randomOps(random), failure: randomOps(random) };
}

async function compare(store: Store, model: NaiveStore, random: Random): Promise<void> {
  const revision = Math.max(model.compacted, model.revision - pick(random, 40), 1);
  const [key, end] = random.next() < 0.5 ? ["\0", "\0"] : [`k${pick(random, 30)}`, `k${pick(random, 30)}`];
  const found = await store.range({ key, end, revision });
  expect(found.kvs.map(entry)).toEqual(model.read(key, end, revision));
  expect(found.revision).toBe(model.revision);
  if (model.compacted > 1) {
    await expect(store.range({ key, revision: model.compacted - 1 })).rejects.toThrow("has been compacted");
  }
}

async function step(store: Store, model: NaiveStore, random: Random): Promise<void> {
  const burst = Array.from({ length: 1 + pick(random, 5) }, () => randomTxn(random, model));
  const results = await Promise.all(burst.map((request) => store.txn(request)));
  expect(results.map(({ succeeded, revision }) => ({ succeeded, revision }))).toEqual(
    burst.map((request) => model.txn(request)),
  );
  if (random.next() < 0.3) await compare(store, model, random);
  if (random.next() < 0.03) {
    const lease = LEASES[pick(random, LEASES.length)] ?? 0;
    await store.revokeLease(lease);
    await store.grantLease(1_000, lease);
    model.revoke(lease);
  }
  if (random.next() < 0.02 && model.revision > model.compacted + 1) {
    model.compacted += 1 + pick(random, model.revision - model.compacted);
    await store.compact(model.compacted);
    for (const revision of model.states.keys()) if (revision < model.compacted) model.states.delete(revision);
  }
}

describe("random operations against a naive model", () => {
  it("memory: 40,000 bursts, of 120,000 transactions, agree, and a watcher's replica agrees at the end", async () => {
    const random = createSeededRandom(7);
    const model = new NaiveStore();
    const replica = new Replica();
    await using store = createMemoryStore({ clock: createFakeClock() });
    using _watch = await store.watch({ key: "\0", end: "\0" }, replica);
    await Promise.all(LEASES.map((lease) => store.grantLease(1_000, lease)));
    for (let i = 0; i < 40_000; i++) await step(store, model, random);
    expect(replica.faults).toEqual([]);
    expect([...replica.state.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
      model.read("\0", "\0", model.revision),
    );
  });

  it("embedded: 1,000 bursts agree, with a reopening now and then", async () => {
    const random = createSeededRandom(11);
    const model = new NaiveStore();
    const dataDir = await mkdtemp(join(tmpdir(), "store-model-"));
    const open = (): Promise<Store> =>
      openEmbeddedStore({ dataDir, clock: createFakeClock(), logger: silentLogger, indexedAfter: 40 });
    let store = await open();
    await Promise.all(LEASES.map((lease) => store.grantLease(1_000, lease)));
    try {
      for (let round = 0; round < 10; round++) {
        const replica = new Replica();
        for (const each of model.now.values()) replica.state.set(each.key, each);
        await store.watch({ key: "\0", end: "\0" }, replica);
        for (let i = 0; i < 100; i++) await step(store, model, random);
        expect(replica.faults).toEqual([]);
        await store[Symbol.asyncDispose]();
        store = await open();
        expect(await store.revision()).toBe(model.revision);
        for (let i = 0; i < 10; i++) await compare(store, model, random);
        const history = new Replica();
        const from = Math.max(model.compacted, 1);
        if (from < model.revision) {
          for (const each of model.read("\0", "\0", from)) history.state.set(each.key, each);
          await store.watch({ key: "\0", end: "\0", startRevision: from + 1 }, history);
          // A long history comes in slices, other work in between.
          while (history.last < model.revision) await new Promise((resolve) => setImmediate(resolve));
          expect(history.faults).toEqual([]);
          expect(history.state.size).toBe(model.now.size);
        }
      }
    } finally {
      await store[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
