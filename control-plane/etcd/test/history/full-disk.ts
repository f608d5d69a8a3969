import { execFile } from "node:child_process";
import { appendFileSync, mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { sleep, systemClock } from "@coracle/base";
import { createRemoteStore, StoreError } from "../../src/index.ts";
import { freePort } from "../running-etcd.ts";
import { kill, startServer, type Outcome, type Setting } from "./scenario.ts";
import { Workload } from "./workload.ts";

const run = promisify(execFile);
const DISK_MB = 64;
/** More than a store keeps room for. */
const LARGE_BYTES = 5_000_000;
const MAX_REQUEST_BYTES = 8_000_000;

/**
 * The disk of our server is filled to the last byte and emptied again, and the server killed when it is full. Reads go on meanwhile; writes
 * are refused or happen.
 */
export async function fullDisk({ rounds, random, dir, serverProgram }: Setting): Promise<Outcome> {
  const disk = join(dir, "disk");
  mkdirSync(disk);
  await run("mount", ["-t", "tmpfs", "-o", `size=${DISK_MB}m`, "tmpfs", disk]);
  const url = `http://127.0.0.1:${await freePort()}`;
  const args = [`--data-dir=${disk}/data`, `--listen-client-urls=${url}`, `--max-request-bytes=${MAX_REQUEST_BYTES}`];
  let server = await startServer(serverProgram, args);
  const store = createRemoteStore({ endpoints: [url], clock: systemClock, random });
  try {
    const workload = new Workload([store], random, ["unavailable", "noSpace"]);
    await workload.begin(8);
    const faults: string[] = [];
    for (let round = 0; round < rounds; round++) {
      await sleep(systemClock, 100 + random.next() * 200);
      fillUp(disk);
      const before = workload.acknowledged;
      while (workload.acknowledged === before) await sleep(systemClock, 10);
      const refusal = await workload.put("history/large", `${round}:${"x".repeat(LARGE_BYTES)}`);
      if (!(refusal instanceof StoreError) || refusal.code !== "noSpace")
        faults.push(`round ${round}: a large write to a full disk ended with ${String(refusal)}`);
      await sleep(systemClock, random.next() * 300);
      const isKilled = random.next() < 0.5;
      if (isKilled) await kill(server);
      rmSync(join(disk, "ballast"));
      if (isKilled) server = await startServer(serverProgram, args);
      // What is superseded is not kept for ever, or the disk is full for good.
      await store.compact(Math.max(2, workload.watched - 20)).catch(() => {});
    }
    await workload.end();
    return { checked: workload.acknowledged, faults: [...faults, ...workload.faults()] };
  } finally {
    await store[Symbol.asyncDispose]();
    await kill(server);
    await run("umount", [disk]);
  }
}

function fillUp(disk: string): void {
  const ballast = join(disk, "ballast");
  for (const bytes of [1_048_576, 4_096]) {
    const block = Buffer.alloc(bytes);
    for (;;) {
      const { bavail, bsize } = statfsSync(disk);
      if (bavail * bsize < bytes) break;
      try {
        appendFileSync(ballast, block);
      } catch {
        break;
      }
    }
  }
}
