import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Connection, type Reply } from "./connection.ts";
import { startPeerServer } from "./server.ts";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const { CORACLE_PEER_KUBE_APISERVER: kubeApiserver } = process.env;

describe("upstream's own API server", () => {
  // Needs its program: CORACLE_PEER_KUBE_APISERVER says where it is.
  it.skipIf(kubeApiserver === undefined)("lives on our etcd", { timeout: 180_000 }, async () => {
    const coracle = join(root, "distribution/cli/bin/coracle.mjs");
    const programs = spawnSync(process.execPath, [coracle, "envtest"], { encoding: "utf8" }).stdout.trim();
    await using server = await startPeerServer({ kubeApiserver: kubeApiserver ?? "", etcd: join(programs, "etcd") });
    const connection = await Connection.open(server.target);
    const path = "/api/v1/namespaces/default/configmaps";
    const headers = { "content-type": "application/json" };
    const call = (method: string, name: string, body?: object): Promise<Reply> =>
      connection.send({
        method,
        path: `${path}${name}`,
        ...(body === undefined ? {} : { headers, body: Buffer.from(JSON.stringify(body)) }),
      });
    try {
      const boat = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "boat" }, data: { oars: "4" } };
      expect((await call("POST", "", boat)).code).toBe(201);
      expect((await call("POST", "", boat)).code).toBe(409);
      const { metadata } = JSON.parse((await call("GET", "/boat")).body.toString()) as typeof boat;
      const later = { ...boat, metadata, data: { oars: "6" } };
      expect((await call("PUT", "/boat", later)).code).toBe(200);
      expect((await call("PUT", "/boat", later)).code).toBe(409);
      const list = JSON.parse((await call("GET", "?limit=1")).body.toString()) as { items: unknown[] };
      expect(list.items).toHaveLength(1);
      expect((await call("DELETE", "/boat")).code).toBe(200);
      expect((await call("GET", "/boat")).code).toBe(404);
    } finally {
      connection.close();
    }
  });
});
