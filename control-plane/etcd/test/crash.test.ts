import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSeededRandom, silentLogger, sleep, systemClock } from "@coracle/base";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openEmbeddedStore, type Store } from "../src/index.ts";

const ROUNDS = 15;
let root: string;
let program: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "store-crash-"));
  // Inside the package, so that the library it leaves out is found.
  const cache = join(import.meta.dirname, "../node_modules/.cache");
  await mkdir(cache, { recursive: true });
  program = join(cache, `crash-writer-${process.pid}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, "crash-writer.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["lmdb"],
    logLevel: "silent",
  });
});
afterAll(async () => {
  await rm(program, { force: true });
  await rm(root, { recursive: true, force: true });
});

interface Acknowledged {
  readonly n: number;
  readonly revision: number;
}

/** The last acknowledged write of each writer. A line cut short by the kill was not acknowledged to anybody. */
async function readLog(path: string): Promise<Map<number, Acknowledged>> {
  const last = new Map<number, Acknowledged>();
  const lines = (await readFile(path, "utf8")).split("\n").slice(0, -1);
  for (const line of lines) {
    const [writer = 0, n = 0, revision = 0] = line.split(" ").map(Number);
    last.set(writer, { n, revision });
  }
  return last;
}

async function numberOf(store: Store, key: string): Promise<Acknowledged> {
  const [kv] = (await store.range({ key })).kvs;
  if (kv === undefined) return { n: -1, revision: 0 };
  const [n = "", filler = ""] = kv.value.toString().split(":");
  expect(filler.length).toBe((Number(n) * 37) % 3_000);
  return { n: Number(n), revision: kv.modRevision };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

it(
  `nothing acknowledged is lost, nothing is torn: ${ROUNDS} kills at random moments`,
  { timeout: 60_000 },
  async () => {
    const random = createSeededRandom(3);
    const dataDir = join(root, "data");
    const log = join(root, "log");
    let first = 0;
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const child = spawn(process.execPath, [program, dataDir, log, String(first)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        await once(child.stdout, "data");
        await sleep(systemClock, 20 + random.next() * 150);
      } finally {
        await end(child);
      }
      const start = first;
      const last = await readLog(log);
      const store = await openEmbeddedStore({ dataDir, clock: systemClock, logger: silentLogger });
      try {
        for (const [writer, { n, revision }] of last) {
          const a = await numberOf(store, `w${writer}/a`);
          const b = await numberOf(store, `w${writer}/b`);
          expect(b).toEqual(a);
          // The one after the last acknowledged may be there too: killed between disk and answer. For a writer whose
          // every answer of this round is missing that is the round's first.
          expect([n, n + 1, start]).toContain(a.n);
          expect(a.n).toBeGreaterThanOrEqual(n);
          if (a.n === n) expect(a.revision).toBe(revision);
          acknowledged = Math.max(acknowledged, revision);
          first = Math.max(first, a.n + 1);
        }
        expect(await store.revision()).toBeGreaterThanOrEqual(acknowledged);
      } finally {
        await store[Symbol.asyncDispose]();
      }
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS * 10);
  },
);
