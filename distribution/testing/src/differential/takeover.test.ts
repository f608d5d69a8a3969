import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { Connection, type Reply } from "./connection.ts";
import { freePort, startOurServer, startPeerServer, type ServerUnderTest } from "./server.ts";

const coracle = fileURLToPath(new URL("../../../../distribution/cli/bin/coracle.mjs", import.meta.url));
const { CORACLE_PEER_KUBE_APISERVER: kubeApiserver, ETCD_BINARY: etcdProgram = "etcd" } = process.env;
const hasEtcd = spawnSync(etcdProgram, ["--version"]).status === 0;
const TIMEOUT_MS = 300_000;

async function startEtcd(): Promise<AsyncDisposable & { readonly url: string }> {
  const dir = mkdtempSync(join(tmpdir(), "takeover-"));
  const [url, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const flags = [
    `--data-dir=${dir}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
  ];
  const child = spawn(etcdProgram, flags, { stdio: "ignore" });
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`);
    await sleep(systemClock, 50);
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

interface Answer {
  readonly code: number;
  readonly object: { readonly metadata: Record<string, unknown>; readonly [field: string]: unknown };
}

/** Asks one server some questions, then ends it. */
async function during<T>(
  starting: Promise<ServerUnderTest>,
  story: (call: (method: string, path: string, body?: object) => Promise<Answer>) => Promise<T>,
): Promise<T> {
  await using server = await starting;
  const connection = await Connection.open(server.target);
  try {
    return await story(async (method, path, body) => {
      const headers = { "content-type": "application/json" };
      const request = body === undefined ? {} : { headers, body: Buffer.from(JSON.stringify(body)) };
      const reply: Reply = await connection.send({ method, path, ...request });
      return { code: reply.code, object: JSON.parse(reply.body.toString()) as Answer["object"] };
    });
  } finally {
    connection.close();
  }
}

const MAPS = "/api/v1/namespaces/default/configmaps";
const OBJECTS: readonly (readonly [string, object])[] = [
  [MAPS, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "boat" }, data: { oars: "4" } }],
  [
    "/api/v1/namespaces/default/secrets",
    { apiVersion: "v1", kind: "Secret", metadata: { name: "chest" }, data: { gold: "Z29sZA==" } },
  ],
  [
    "/api/v1/namespaces/default/services",
    { apiVersion: "v1", kind: "Service", metadata: { name: "harbour" }, spec: { ports: [{ port: 80 }] } },
  ],
  [
    "/apis/apps/v1/namespaces/default/deployments",
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "fleet" },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: "fleet" } },
        template: {
          metadata: { labels: { app: "fleet" } },
          spec: { containers: [{ name: "ship", image: "ship:1", resources: { limits: { cpu: "100m" } } }] },
        },
      },
    },
  ],
  [
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: "mate" },
      rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
    },
  ],
];
const pathOf = ([path, object]: (typeof OBJECTS)[number]): string =>
  `${path}/${(object as { metadata: { name: string } }).metadata.name}`;

// Needs upstream's program, CORACLE_PEER_KUBE_APISERVER says where it is; and Debian's etcd-server.
describe.skipIf(kubeApiserver === undefined || !hasEtcd)("an etcd that changes hands", () => {
  it("upstream's objects (as protobuf) are ours, and ours are upstream's again", { timeout: TIMEOUT_MS }, async () => {
    await using etcd = await startEtcd();
    const upstream = (): Promise<ServerUnderTest> => startPeerServer({ kubeApiserver: kubeApiserver ?? "", etcd });
    const theirs = await during(upstream(), async (call) => {
      for (const [path, object] of OBJECTS) expect(await call("POST", path, object)).toMatchObject({ code: 201 });
      const read: Answer[] = [];
      for (const each of OBJECTS) read.push(await call("GET", pathOf(each)));
      return read;
    });
    const changed = await during(
      startOurServer(coracle, () => [`--etcd-servers=${etcd.url}`]),
      async (call) => {
        const read: Answer[] = [];
        for (const each of OBJECTS) read.push(await call("GET", pathOf(each)));
        expect(read).toEqual(theirs);
        const [boat] = read;
        expect(await call("PUT", `${MAPS}/boat`, { ...boat?.object, data: { oars: "6" } })).toMatchObject({
          code: 200,
        });
        expect(await call("PUT", `${MAPS}/boat`, boat?.object)).toMatchObject({ code: 409 });
        const [[path, other]] = OBJECTS as [(typeof OBJECTS)[number]];
        expect(await call("POST", path, { ...other, metadata: { name: "raft" } })).toMatchObject({ code: 201 });
        expect(await call("DELETE", pathOf(OBJECTS[1] as (typeof OBJECTS)[number]))).toMatchObject({ code: 200 });
        return [await call("GET", `${MAPS}/boat`), await call("GET", `${MAPS}/raft`), ...theirs.slice(2)];
      },
    );
    await during(upstream(), async (call) => {
      const paths = [`${MAPS}/boat`, `${MAPS}/raft`, ...OBJECTS.slice(2).map(pathOf)];
      const read: Answer[] = [];
      for (const path of paths) read.push(await call("GET", path));
      expect(read).toEqual(changed);
      expect(await call("GET", pathOf(OBJECTS[1] as (typeof OBJECTS)[number]))).toMatchObject({ code: 404 });
      const raft = read[1]?.object;
      expect(await call("PUT", `${MAPS}/raft`, { ...raft, data: { logs: "9" } })).toMatchObject({ code: 200 });
    });
  });
});
