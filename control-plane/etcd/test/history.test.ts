import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StoreEvent } from "../src/index.ts";
import { faultsOf, type Delivery, type Operation } from "./history/history-checker.ts";
import { hasEtcd } from "./running-etcd.ts";

const isRoot = process.getuid?.() === 0;
const programs = join(import.meta.dirname, `../node_modules/.cache/history-${process.pid}`);

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
  await mkdir(programs, { recursive: true });
  await build({
    entryPoints: {
      main: join(import.meta.dirname, "history/main.ts"),
      server: join(import.meta.dirname, "history/server-process.ts"),
    },
    outdir: programs,
    outExtension: { ".js": ".mjs" },
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
afterAll(() => rm(programs, { recursive: true, force: true }));

/** What `npm run history` prints for a scenario. */
async function history(scenario: string, rounds: number): Promise<unknown> {
  const args = [join(programs, "main.mjs"), `--only=${scenario}`, `--rounds=${rounds}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, "close")) as [number];
  if (!said.startsWith("{")) throw new Error(`ended with ${code}: ${said}`);
  return JSON.parse(said);
}

// A check; the proof is `npm run history -- --rounds 200`.
describe.skipIf(!isRoot)(
  "nothing acknowledged is lost, nothing stale or damaged is served, watches are complete:",
  () => {
    it.each<readonly [string, string, number]>([
      ["a server killed at random moments, and stopped before", "kills", 6],
      ["a disk filled to the last byte, with kills", "full-disk", 3],
      ["a transaction of which any part reached the disk", "torn-write", 40],
      ["a page changed at random", "damaged-page", 40],
    ])("%s", { timeout: 120_000 }, async (_, scenario, rounds) => {
      expect(await history(scenario, rounds)).toMatchObject({ name: scenario, faults: 0, first: [] });
    });

    it.skipIf(!hasEtcd).each<readonly [string, string, number]>([
      ["leaders of three killed, members stopped", "lost-leaders", 1],
      ["three members whose net comes apart", "partitions", 2],
    ])("%s (needs Debian's etcd-server)", { timeout: 120_000 }, async (_, scenario, rounds) => {
      expect(await history(scenario, rounds)).toMatchObject({ name: scenario, faults: 0, first: [] });
    });
  },
);

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
  const lost: Operation = { kind: "write", key: "b", value: "3", startedAt: 0 };
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
    [
      "half of a transaction",
      [{ ...good[0]!, ended: undefined, txn: 1 }, { ...lost, txn: 1 }, good[1]!],
      deliveries,
      "torn",
    ],
    ["a refused write that happened", [{ ...good[0]!, isRefused: true }, good[1]!], deliveries, "refused and written"],
    ["an unknown outcome, fine either way", [{ ...good[0]!, ended: undefined }, good[1]!], deliveries, undefined],
  ])("%s", (_, operations, seen, expected) => {
    const [fault] = faultsOf(operations, seen);
    if (expected === undefined) expect(fault).toBeUndefined();
    else expect(fault).toContain(expected);
  });
});
