import { silentLogger, systemClock } from "@coracle/base";
import { openEmbeddedStore, StoreError, type Store } from "../../src/index.ts";

/** A store whose every answer is known: `KEYS` keys, each changed `VERSIONS` times, the first changes compacted. */
const KEYS = 300;
const VERSIONS = 4;
const AT_ONCE = 20;
const COMPACTED = 20;
const TRANSACTIONS = (KEYS / AT_ONCE) * VERSIONS;

const valueOf = (key: number, version: number): string =>
  `value ${key} ${version} `.repeat(5 + ((key * 7 + version) % 400));

export function openStore(dataDir: string): Promise<Store> {
  return openEmbeddedStore({ dataDir, clock: systemClock, logger: silentLogger });
}

/** Carries out transaction `n` of `TRANSACTIONS`. */
async function writeStep(store: Store, n: number): Promise<void> {
  const version = Math.floor(n / (KEYS / AT_ONCE));
  const first = (n % (KEYS / AT_ONCE)) * AT_ONCE;
  const success = Array.from({ length: AT_ONCE }, (_, at) => {
    const value = Buffer.from(valueOf(first + at, version));
    return { type: "put", key: `key-${first + at}`, value } as const;
  });
  await store.txn({ compare: [], success });
}

/** Fills a new store; `onStep` is called when it is closed, at the end and, if wanted, on the way there. */
export async function fillStore(
  dataDir: string,
  options: { readonly pauses?: readonly number[]; readonly onPause?: (steps: number) => Promise<void> | void } = {},
): Promise<void> {
  let store = await openStore(dataDir);
  for (let n = 0; n < TRANSACTIONS; n++) {
    // oxlint-disable-next-line no-await-in-loop
    await writeStep(store, n);
    if (n + 2 === COMPACTED + 5) await store.compact(COMPACTED);
    if (options.pauses?.includes(n + 1) !== true) continue;
    await store[Symbol.asyncDispose]();
    await options.onPause?.(n + 1);
    store = await openStore(dataDir);
  }
  await store[Symbol.asyncDispose]();
}

/** What a store serves that it should not. A value that is refused as damaged is fine. */
export async function wrongAnswersOf(
  store: Store,
  steps = TRANSACTIONS,
): Promise<{ readonly wrong: string[]; readonly refused: number }> {
  const wrong: string[] = [];
  let refused = 0;
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (found !== wanted) wrong.push(`${what} is ${String(found)}, not ${String(wanted)}`);
  };
  const perRound = KEYS / AT_ONCE;
  expect("the revision", await store.revision(), steps + 1);
  expect(
    "the count",
    (await store.range({ key: "\0", end: "\0", countOnly: true })).count,
    Math.min(steps * AT_ONCE, KEYS),
  );
  for (let key = 0; key < Math.min(steps * AT_ONCE, KEYS); key++) {
    const slot = Math.floor(key / AT_ONCE);
    const version = Math.floor((steps - 1 - slot) / perRound);
    try {
      // oxlint-disable-next-line no-await-in-loop
      const [kv] = (await store.range({ key: `key-${key}` })).kvs;
      expect(`the value of ${key}`, kv?.value.toString(), valueOf(key, version));
      expect(`the version of ${key}`, kv?.version, version + 1);
      expect(`the last revision of ${key}`, kv?.modRevision, version * perRound + slot + 2);
      expect(`the first revision of ${key}`, kv?.createRevision, slot + 2);
      expect(`the lease of ${key}`, kv?.lease, 0);
    } catch (error) {
      if (error instanceof StoreError && error.code === "corrupt") refused++;
      else wrong.push(String(error));
    }
  }
  return { wrong, refused };
}
