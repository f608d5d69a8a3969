import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@coracle/base";
import { expect, it } from "vitest";
import { openEmbeddedStore } from "./embedded-store.ts";

const VALUE_BYTES = 256 * 1024;
const KEYS = 40;
const ROUNDS = 8;

it("reads and writes go on while the file is mapped anew, which happens after each few tens of megabytes", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "coracle-mapped-"));
  try {
    await using store = await openEmbeddedStore({ dataDir, clock: systemClock, logger: silentLogger, isSynced: false });
    const valueOf = (key: number, round: number): Buffer => Buffer.alloc(VALUE_BYTES, `${key}/${round} `);
    const putAll = async (key: number): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        await store.txn({ compare: [], success: [{ type: "put", key: `key-${key}`, value: valueOf(key, round) }] });
        const { kvs } = await store.range({ key: `key-${key}` });
        expect(kvs[0]?.value.equals(valueOf(key, round))).toBe(true);
      }
    };
    await Promise.all(Array.from({ length: KEYS }, (_, key) => putAll(key)));
    const { kvs } = await store.range({ key: "key-", end: "key." });
    expect(kvs.map(({ value }) => value.toString("latin1", 0, 20)).toSorted()).toEqual(
      Array.from({ length: KEYS }, (_, key) => valueOf(key, ROUNDS - 1).toString("latin1", 0, 20)).toSorted(),
    );
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
