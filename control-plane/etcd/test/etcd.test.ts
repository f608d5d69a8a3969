import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe } from "vitest";
import { createRemoteStore } from "../src/index.ts";
import { storeContract } from "../src/contract/store-contract.ts";

const found = spawnSync("etcd", ["--version"]).status === 0;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function isReady(endpoint: string): Promise<boolean> {
  return fetch(`${endpoint}/health`).then(
    (response) => response.ok,
    () => false,
  );
}

// A suite that etcd itself fails would ask for something that is not etcd's semantics.
describe.skipIf(!found)("real etcd", () => {
  let dataDir: string;
  let etcd: ChildProcess;
  let endpoint: string;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "etcd-"));
    const peer = `http://127.0.0.1:${await freePort()}`;
    endpoint = `http://127.0.0.1:${await freePort()}`;
    const flags = {
      "data-dir": dataDir,
      "listen-client-urls": endpoint,
      "advertise-client-urls": endpoint,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `default=${peer}`,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    etcd = spawn("etcd", args, { stdio: "ignore" });
    while (!(await isReady(endpoint))) {
      if (etcd.exitCode !== null) throw new Error(`etcd ended with ${etcd.exitCode}`);
      await sleep(systemClock, 50);
    }
  }, 20_000);

  afterAll(async () => {
    const exit = once(etcd, "exit");
    etcd.kill("SIGKILL");
    await exit;
    await rm(dataDir, { recursive: true, force: true });
  });

  storeContract("real etcd", async () => {
    const store = createRemoteStore({ endpoints: [endpoint], clock: systemClock });
    await store.txn({ compare: [], success: [{ type: "delete", key: "\0", end: "\0" }] });
    return { store };
  });
});
