import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { percentile, report } from "../report.ts";

const FILE_BYTES = 64 * 1024 * 1024;
const WRITE_BYTES = 128 * 1024;
const MEASURED_MS = 15_000;
/** Between two, as a store has that waits for its writers. */
const PAUSE_MS = 4;

/**
 * What the disk itself takes: pieces as large as a commit of a hundred writers, one after the other into a file that was written before, each
 * synced. Nothing that is durable answers sooner than this.
 */
export async function benchDisk(only: string): Promise<void> {
  if (!"disk: a sync of a plain file p50 p99 longest".includes(only)) return;
  const folder = await mkdtemp(join(tmpdir(), "disk-bench-"));
  const times: number[] = [];
  try {
    const file = await open(join(folder, "plain"), "w");
    try {
      const bytes = Buffer.alloc(WRITE_BYTES, 1);
      for (let at = 0; at < FILE_BYTES; at += WRITE_BYTES) await file.write(bytes, 0, WRITE_BYTES, at);
      await file.sync();
      const end = performance.now() + MEASURED_MS;
      for (let at = 0; performance.now() < end; at = (at + WRITE_BYTES) % FILE_BYTES) {
        const from = performance.now();
        await file.write(bytes, 0, WRITE_BYTES, at);
        await file.datasync();
        times.push(performance.now() - from);
        await sleep(systemClock, PAUSE_MS);
      }
    } finally {
      await file.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const found = { p50: percentile(times, 0.5), p99: percentile(times, 0.99), longest: Math.max(...times) };
  for (const [name, value] of Object.entries(found)) {
    report({ bench: "store", metric: `disk: a sync of a plain file, ${name}`, value, unit: "ms" });
  }
}
