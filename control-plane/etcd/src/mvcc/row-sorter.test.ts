import { createSeededRandom } from "@coracle/base";
import { expect, it } from "vitest";
import type { KeyRecord } from "./key-index.ts";
import { RowSorter } from "./row-sorter.ts";
import { ROW_HEADER_BYTES, toVersion, writeRow } from "./version-row.ts";

it("rows come back in order of keys, those of one key in order of revisions and in one block", () => {
  const random = createSeededRandom(1);
  const sorter = new RowSorter();
  const added: string[] = [];
  for (let modRevision = 1; modRevision <= 3_000; modRevision++) {
    // Long enough that not all are in one piece of memory; now and then a key comes back, or is deleted.
    const key = `/${Math.floor(random.next() * 5_000)}/`.padEnd(1_800, "k");
    const record: KeyRecord = { key, newest: undefined };
    const version = random.next() < 0.02 ? 0 : 1;
    const row = { key, modRevision, sub: 0, createRevision: 1, version, lease: 0, crc: 7 };
    const bytes = Buffer.alloc(ROW_HEADER_BYTES + key.length + 4);
    sorter.add(bytes, 4, writeRow(bytes, 4, toVersion(record, row, undefined)));
    added.push(`${key} ${String(modRevision).padStart(6)} ${version}`);
  }
  const found: string[] = [];
  for (const { rows, isPlain } of sorter.blocks) {
    const own = Array.from({ length: rows.length }, (_, position) => rows.row(position));
    for (const row of own) found.push(`${row.key} ${String(row.modRevision).padStart(6)} ${row.version}`);
    const keys = new Set(own.map(({ key }) => key));
    expect(isPlain).toBe(keys.size === own.length && own.every(({ version }) => version > 0));
    expect(own.every(({ key }) => !found.slice(0, -own.length).at(-1)?.startsWith(key))).toBe(true);
    expect(rows.newestRevision).toBe(Math.max(...own.map((row) => row.modRevision)));
  }
  expect(found).toEqual(added.toSorted());
  expect(sorter.revision).toBe(3_000);
});
