import { appendFileSync } from "node:fs";
import { silentLogger, systemClock } from "@coracle/base";
import { openEmbeddedStore } from "../src/index.ts";

/**
 * Writes until it is killed. Each writer owns the keys `w<writer>/a` and `w<writer>/b`, sets both to the same number in
 * one transaction, and notes the number in the log once it is acknowledged.
 */
const [dataDir = "", log = "", first = "0"] = process.argv.slice(2);
const store = await openEmbeddedStore({
  // So that the saved index is put to the test too.
  indexedAfter: 100,
  dataDir,
  clock: systemClock,
  logger: silentLogger,
});
process.stdout.write("ready\n");

async function write(writer: number): Promise<void> {
  for (let n = Number(first); ; n++) {
    const value = Buffer.from(`${n}:${"x".repeat((n * 37) % 3_000)}`);
    const { revision } = await store.txn({
      compare: [],
      success: [
        { type: "put", key: `w${writer}/a`, value },
        { type: "put", key: `w${writer}/b`, value },
      ],
    });
    appendFileSync(log, `${writer} ${n} ${revision}\n`);
    if (n % 50 === 49 && writer === 0) await store.compact(revision - 20);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
