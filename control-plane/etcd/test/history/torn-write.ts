import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "@coracle/base";
import { fillStore, openStore, wrongAnswersOf } from "./filled-store.ts";
import type { Outcome, Setting } from "./scenario.ts";

const SECTOR_BYTES = 512;
/** The two pages that say where the tree is are written last, after all others are on disk. */
const META_BYTES = 2 * 4_096;

/**
 * The machine fails while a transaction is written: of the sectors that it changes, any may be on disk and any may not, but the pages that
 * say where the tree is only after all others. The state before it is there, whole, or the state after it.
 */
export async function tornWrite({ rounds, random, dir }: Setting): Promise<Outcome> {
  const pairs: { steps: number; before: Buffer; after: Buffer }[] = [];
  let before: { steps: number; bytes: Buffer } | undefined;
  const data = join(dir, "data");
  await fillStore(data, {
    pauses: [1, 2, 17, 18, 24, 25, 26, 44, 45, 58, 59],
    onPause(steps) {
      const bytes = readFileSync(join(data, "store.mdb"));
      if (before?.steps === steps - 1) pairs.push({ steps, before: before.bytes, after: bytes });
      before = { steps, bytes };
    },
  });
  const faults: string[] = [];
  let states = 0;
  for (let round = 0; round < rounds; round++) {
    const pair = pairs[round % pairs.length];
    if (pair === undefined) break;
    const isComplete = random.next() < 0.2;
    const torn = join(dir, "torn");
    mkdirSync(torn);
    writeFileSync(join(torn, "store.mdb"), isComplete ? pair.after : tear(pair.before, pair.after, random));
    const store = await openStore(torn);
    const steps = isComplete ? pair.steps : pair.steps - 1;
    const { wrong, refused } = await wrongAnswersOf(store, steps);
    faults.push(...wrong.map((each) => `torn in step ${pair.steps}: ${each}`));
    if (refused > 0) faults.push(`torn in step ${pair.steps}: ${refused} values refused`);
    states++;
    // It goes on from there: what the failure left behind does no harm.
    await store.txn({ compare: [], success: [{ type: "put", key: "more", value: Buffer.from("1") }] });
    await store[Symbol.asyncDispose]();
    const again = await openStore(torn);
    if ((await again.range({ key: "more" })).kvs[0]?.value.toString() !== "1") faults.push("what followed is lost");
    await again[Symbol.asyncDispose]();
    rmSync(torn, { recursive: true });
  }
  return { checked: states, faults };
}

/** `before`, with some of the sectors of `after` beyond the first pages, and perhaps a part of its growth. */
function tear(before: Buffer, after: Buffer, random: Random): Buffer {
  const length =
    before.length + Math.floor((random.next() * (after.length - before.length)) / SECTOR_BYTES) * SECTOR_BYTES;
  const torn = Buffer.alloc(Math.max(before.length, length));
  before.copy(torn);
  const share = random.next();
  for (let at = META_BYTES; at < torn.length; at += SECTOR_BYTES) {
    if (random.next() < share) after.copy(torn, at, at, at + SECTOR_BYTES);
  }
  return torn;
}
