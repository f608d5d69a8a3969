import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";
import { createSeededRandom, sleep, systemClock } from "@coracle/base";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRemoteStore, type StoreEvent } from "../src/index.ts";
import { faultsOf, type Delivery, type Operation } from "./history-checker.ts";
import { freePort } from "./running-etcd.ts";
import { Workload } from "./workload.ts";

/** `HISTORY_ROUNDS=200` for a proof, not a check. */
const ROUNDS = Number(process.env["HISTORY_ROUNDS"] ?? 10);
let root: string;
let program: string;

/** Sources find files beside themselves by their own URL, which bundling would change. */
const ownUrl = {
  name: "own-url",
  setup(builder: {
    onLoad(on: { filter: RegExp }, load: (file: { path: string }) => { contents: string; loader: "ts" }): void;
  }) {
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
      loader: "ts",
    }));
  },
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "store-history-"));
  const cache = join(import.meta.dirname, "../node_modules/.cache");
  await mkdir(cache, { recursive: true });
  program = join(cache, `server-process-${process.pid}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, "server-process.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["lmdb"],
    plugins: [ownUrl],
    banner: { js: 'import { createRequire as __r } from "node:module"; const require = __r(import.meta.url);' },
    logLevel: "silent",
  });
});
afterAll(async () => {
  await rm(program, { force: true });
  await rm(root, { recursive: true, force: true });
});

async function start(args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  expect(child.exitCode).toBeNull();
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

describe("history under faults", () => {
  it(
    `${ROUNDS} kills and stops at random moments: linearizable, the watch complete`,
    { timeout: 60_000 + ROUNDS * 3_000 },
    async () => {
      const random = createSeededRandom(Number(process.env["HISTORY_SEED"] ?? 5));
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const args = [`--data-dir=${root}/data`, `--listen-client-urls=${url}`];
      let server = await start(args);
      const store = createRemoteStore({ endpoints: [url], clock: systemClock, random });
      try {
        const workload = new Workload(store, random);
        await workload.begin(8);
        for (let round = 0; round < ROUNDS; round++) {
          await sleep(systemClock, 50 + random.next() * 250);
          if (random.next() < 0.3) {
            server.kill("SIGSTOP");
            await sleep(systemClock, 50 + random.next() * 200);
            server.kill("SIGCONT");
            await sleep(systemClock, random.next() * 100);
          }
          await kill(server);
          server = await start(args);
        }
        await workload.end();
        expect(workload.watchFault).toBeUndefined();
        expect(faultsOf(workload.operations, workload.deliveries)).toEqual([]);
        expect(workload.acknowledged).toBeGreaterThan(ROUNDS * 10);
      } finally {
        await store[Symbol.asyncDispose]();
        await kill(server);
      }
    },
  );
});

describe("the checker finds", () => {
  const put = (key: string, value: string, revision: number): StoreEvent => {
    const kv = {
      key,
      value: Buffer.from(value),
      createRevision: revision,
      modRevision: revision,
      version: 1,
      lease: 0,
    };
    return { type: "put", kv, previous: undefined };
  };
  const deliveries: readonly Delivery[] = [
    { revision: 2, events: [put("a", "1", 2)] },
    { revision: 3, events: [put("a", "2", 3)] },
  ];
  const write = (value: string, revision: number, at: number): Operation => ({
    kind: "write",
    key: "a",
    value,
    startedAt: at,
    ended: { at: at + 1, revision },
  });
  const good = [write("1", 2, 0), write("2", 3, 2)];
  const read = (value: string, revision: number, at: number): Operation => ({
    ...write(value, revision, at),
    kind: "read",
  });

  it.each<readonly [string, readonly Operation[], readonly Delivery[], string | undefined]>([
    ["nothing in a good history", [...good, read("2", 3, 4)], deliveries, undefined],
    ["a lost write", [...good, write("3", 4, 4)], deliveries, "acknowledged and lost"],
    ["a stale read", [...good, read("1", 2, 4)], deliveries, "was answered at 2, after 3"],
    ["a wrong read", [...good, read("1", 3, 4)], deliveries, "was read as 1 at 3"],
    ["a gap", good, deliveries.slice(1), "was given 3 after 1"],
    ["a duplicate", good, [...deliveries, ...deliveries.slice(1)], "was given 3 after 3"],
    ["a value from nowhere", good.slice(1), deliveries, "is nobody's"],
    ["a refused write that happened", [{ ...good[0]!, isRefused: true }, good[1]!], deliveries, "refused and written"],
    ["an unknown outcome, fine either way", [{ ...good[0]!, ended: undefined }, good[1]!], deliveries, undefined],
  ])("%s", (_, operations, seen, expected) => {
    const [fault] = faultsOf(operations, seen);
    if (expected === undefined) expect(fault).toBeUndefined();
    else expect(fault).toContain(expected);
  });
});
