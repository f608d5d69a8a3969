import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect, type ClientHttp2Session } from "node:http2";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coracleFile, ensureBuilt, eventually } from "../src/index.ts";
import { startOurServer, type ServerUnderTest } from "../src/differential/server.ts";
import { ApiCaller } from "../src/environment/api-caller.ts";

const MAPS = "/api/v1/namespaces/default/configmaps";
const SECRETS = "/api/v1/namespaces/default/secrets";
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WRITERS = 8;

let server: ServerUnderTest;
let encryptionFile = "";

const key = (name: string): object => ({ name, secret: randomBytes(32).toString("base64") });
const [oldKey, newKey] = [key("old"), key("new")];

/** Replaces the file at once, as a mounted secret is replaced. */
function encryptWith(file: string, keys: readonly object[]): void {
  const configuration = {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: [{ resources: ["secrets"], providers: [{ aesgcm: { keys } }, { identity: {} }] }],
  };
  writeFileSync(`${file}.next`, JSON.stringify(configuration));
  renameSync(`${file}.next`, file);
}

beforeAll(async () => {
  await ensureBuilt();
  server = await startOurServer(coracleFile(), (dir) => {
    encryptionFile = join(dir, "encryption.json");
    if (!readdirSync(dir).includes("encryption.json")) encryptWith(encryptionFile, [oldKey]);
    return [
      `--encryption-provider-config=${encryptionFile}`,
      "--encryption-provider-config-automatic-reload=true",
      "--shutdown-delay-duration=1s",
    ];
  });
});

afterAll(() => server[Symbol.asyncDispose]());

interface Writes {
  /** Names whose making was answered with 201, and the last value answered with 200 for each. */
  readonly acknowledged: Map<string, number>;
  readonly lastVersion: () => number;
  readonly stop: () => Promise<void>;
}

/** Makes objects and changes them, several at a time, until told to stop or the server is gone. */
async function write(prefix: string): Promise<Writes> {
  const acknowledged = new Map<string, number>();
  let last = 0;
  let isOver = false;
  const note = (body: Readonly<Record<string, unknown>>): void => {
    const { resourceVersion } = body["metadata"] as { resourceVersion: string };
    last = Math.max(last, Number(resourceVersion));
  };
  const work = async (writer: number): Promise<void> => {
    using caller = await ApiCaller.open(server.target);
    for (let i = 0; !isOver; i++) {
      const name = `${prefix}-${writer}-${i}`;
      const data = (value: number): object => ({ metadata: { name }, data: { value: String(value) } });
      const made = await caller.send("POST", MAPS, data(0));
      if (made.code !== 201) return;
      acknowledged.set(name, 0);
      note(made.body);
      const changed = await caller.send("PUT", `${MAPS}/${name}`, data(1));
      if (changed.code !== 200) return;
      acknowledged.set(name, 1);
      note(changed.body);
    }
  };
  const workers = Array.from({ length: WRITERS }, (_, i) => work(i).catch(() => undefined));
  await eventually("writes are under way", () => acknowledged.size > 30);
  return {
    acknowledged,
    lastVersion: () => last,
    async stop() {
      isOver = true;
      await Promise.all(workers);
    },
  };
}

interface Item {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: { readonly value?: string };
}

async function list(path: string): Promise<{ items: readonly Item[]; version: number }> {
  using caller = await ApiCaller.open(server.target);
  const { body } = await caller.send("GET", path);
  const { items, metadata } = body as unknown as { items: Item[]; metadata: { resourceVersion: string } };
  return { items, version: Number(metadata.resourceVersion) };
}

interface Event {
  readonly type: string;
  readonly object: Item & { readonly code?: number };
}

/** A watch, and what came of it. */
function watch(path: string): { events: Event[]; ended: Promise<void>; close: () => void; status: () => number } {
  const session: ClientHttp2Session = connect(server.target.url, { ca: server.target.ca, ...server.target.client });
  session.on("error", () => {});
  const stream = session.request({ ":path": path });
  const events: Event[] = [];
  let [rest, status] = ["", 0];
  stream.on("response", (headers) => (status = headers[":status"] ?? 0));
  stream.on("error", () => {});
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) events.push(JSON.parse(line) as Event);
  });
  const ended = new Promise<void>((resolve) => void stream.once("close", () => resolve()));
  return { events, ended, status: () => status, close: () => session.destroy() };
}

const watchFrom = (version: number): string => `${MAPS}?watch=1&resourceVersion=${version}`;

describe("a server that is killed in the middle of writes", () => {
  it("has all that it acknowledged, counts on, and lets watches go on where they were", async () => {
    const from = (await list(MAPS)).version;
    const before = watch(watchFrom(from));
    const writes = await write("a");
    await server.end("SIGKILL");
    await Promise.all([writes.stop(), before.ended]);
    before.close();
    await server.startAgain();

    const { items, version } = await list(MAPS);
    const values = new Map(items.map(({ metadata, data }) => [metadata.name, Number(data?.value)]));
    // What was under way may be there, too.
    const lost = [...writes.acknowledged].filter(([name, value]) => !((values.get(name) ?? -1) >= value));
    expect(lost).toEqual([]);
    expect(version).toBeGreaterThanOrEqual(writes.lastVersion());

    using caller = await ApiCaller.open(server.target);
    const made = await caller.send("POST", MAPS, { metadata: { name: "after" } });
    const after = made.body as unknown as Item;
    expect(Number(after.metadata.resourceVersion)).toBeGreaterThan(version);

    // Each from the last event that it had, or it is told to list anew.
    const seen = before.events.at(-1)?.object.metadata.resourceVersion ?? String(from);
    const again = watch(watchFrom(Number(seen)));
    await eventually("the watch goes on or is told that it cannot", () =>
      again.events.some(({ type, object }) => type === "ERROR" || object.metadata.name === "after"),
    );
    again.close();
    const fault = again.events.find(({ type }) => type === "ERROR");
    if (fault === undefined) {
      const told = new Set([...before.events, ...again.events].map(({ object }) => object.metadata.name));
      expect([...writes.acknowledged.keys()].filter((name) => !told.has(name))).toEqual([]);
    } else expect(fault.object.code).toBe(410);
  });

  it("serves the kinds whose definitions it acknowledged, and the others can be made", async () => {
    const definition = (i: number): object => ({
      metadata: { name: `boats${i}.kills.example.com` },
      spec: {
        group: "kills.example.com",
        scope: "Namespaced",
        names: { plural: `boats${i}`, singular: `boat${i}`, kind: `Boat${i}` },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        ],
      },
    });
    const acknowledged: number[] = [];
    const makers = Array.from({ length: 4 }, async (_, maker) => {
      using caller = await ApiCaller.open(server.target);
      for (let i = maker; i < 40; i += 4) {
        const { code } = await caller.send("POST", CRDS, definition(i));
        if (code !== 201) return;
        acknowledged.push(i);
      }
    });
    await eventually("definitions are being made", () => acknowledged.length >= 4, 30_000, 1);
    await server.end("SIGKILL");
    await Promise.allSettled(makers);
    await server.startAgain();
    using caller = await ApiCaller.open(server.target);
    for (const i of [...acknowledged, 50]) {
      if (i === 50) expect((await caller.send("POST", CRDS, definition(50))).code).toBe(201);
      const boats = `/apis/kills.example.com/v1/namespaces/default/boats${i}`;
      await eventually(`boats${i} are served`, async () => (await caller.send("GET", boats)).code === 200);
      const boat = { apiVersion: "kills.example.com/v1", kind: `Boat${i}`, metadata: { name: "coracle" } };
      expect((await caller.send("POST", boats, boat)).code).toBe(201);
    }
  });
});

describe("keys of encryption", () => {
  it("change while secrets are written: all can be read, and in the end the old key is needed no more", async () => {
    using caller = await ApiCaller.open(server.target);
    let [isOver, count] = [false, 0];
    const codes = new Set<number>();
    const writer = (async () => {
      using other = await ApiCaller.open(server.target);
      for (; !isOver; count++) {
        const secret = { metadata: { name: `s-${count}` }, stringData: { a: "b" } };
        codes.add((await other.send("POST", SECRETS, secret)).code);
        codes.add((await other.send("GET", SECRETS)).code);
      }
    })();
    await eventually("secrets are written", () => count > 5);
    const reloads = (): number =>
      readFileSync(join(server.dir, "kube-apiserver.log"), "utf8").split("a changed file was taken over").length - 1;
    for (const keys of [[oldKey, newKey], [newKey, oldKey], [newKey]]) {
      const before = reloads();
      if (keys.length === 1) {
        // Written anew, each is under the first key.
        isOver = true;
        await writer;
        for (const { metadata } of (await list(SECRETS)).items) {
          const { code, body } = await caller.send("GET", `${SECRETS}/${metadata.name}`);
          expect(code).toBe(200);
          expect((await caller.send("PUT", `${SECRETS}/${metadata.name}`, body)).code).toBe(200);
        }
      }
      encryptWith(encryptionFile, keys);
      await eventually("the keys are taken over", () => reloads() > before, 60_000);
    }
    expect([...codes].sort()).toEqual([200, 201]);
    await server.end("SIGKILL");
    await server.startAgain();
    using anew = await ApiCaller.open(server.target);
    const { items } = await list(SECRETS);
    expect(items.length).toBe(count);
    expect((await anew.send("GET", `${SECRETS}/s-0`)).body["data"]).toEqual({ a: "Yg==" });
  });
});

describe("a server that is told to end", () => {
  it("ends watches, lets what runs end, and acknowledges nothing that is not there afterwards", async () => {
    const open = watch(watchFrom((await list(MAPS)).version));
    await eventually("the watch is open", () => open.status() === 200);
    const writes = await write("b");
    const code = await server.end("SIGTERM");
    await Promise.all([writes.stop(), open.ended]);
    open.close();
    expect(code).toBe(0);
    expect(readFileSync(join(server.dir, "kube-apiserver.log"), "utf8")).not.toMatch(
      /request failed|could not be answered/,
    );
    await server.startAgain();
    const there = new Map((await list(MAPS)).items.map(({ metadata, data }) => [metadata.name, Number(data?.value)]));
    expect([...writes.acknowledged].filter(([name, value]) => !((there.get(name) ?? -1) >= value))).toEqual([]);
  });
});
