import { createPublicKey } from "node:crypto";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { openClusterPki } from "@coracle/pki";
import type { Reply, ServerUnderTest } from "./webhook-fixture.ts";

const READY_TRIES = 300;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });

/** Upstream's API server with an etcd, on loopback, for the same stories. */
export async function startUpstream(binary: string, flags: readonly string[] = []): Promise<ServerUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), "upstream-"));
  const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  const file = (name: string, text: string): string => {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  };
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const etcd = spawn(
    "etcd",
    [
      `--data-dir=${join(dir, "etcd")}`,
      `--listen-client-urls=http://127.0.0.1:${client}`,
      `--advertise-client-urls=http://127.0.0.1:${client}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
    ],
    { stdio: "ignore" },
  );
  const server = spawn(
    binary,
    [
      `--etcd-servers=http://127.0.0.1:${client}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      `--tls-cert-file=${file("server.crt", pki.apiServer.cert)}`,
      `--tls-private-key-file=${file("server.key", pki.apiServer.key)}`,
      `--client-ca-file=${file("ca.crt", pki.ca.cert)}`,
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-signing-key-file=${file("sa.key", pki.serviceAccountKey)}`,
      `--service-account-key-file=${file("sa.pub", createPublicKey(pki.serviceAccountKey).export({ type: "spki", format: "pem" }).toString())}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      "--authorization-mode=AlwaysAllow",
      "--disable-admission-plugins=ServiceAccount",
      ...flags,
    ],
    { stdio: "ignore" },
  );
  const { cert, key } = pki.issueClient({ commonName: "tess", organizations: ["system:masters"] });
  const ask: ServerUnderTest["ask"] = (method, path, body, headers = {}) =>
    new Promise<Reply>((resolve, reject) => {
      const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
      const sent = httpsRequest(
        {
          host: "127.0.0.1",
          port,
          ca: pki.ca.cert,
          cert,
          key,
          method,
          path,
          headers: {
            accept: "application/json",
            // Node does not say how long a DELETE's body is.
            ...(body === undefined
              ? {}
              : { "content-type": type, "content-length": Buffer.byteLength(JSON.stringify(body)) }),
            ...headers,
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("end", () => {
            const text = Buffer.concat(parts).toString();
            let json: Record<string, unknown> = {};
            try {
              json = JSON.parse(text) as Record<string, unknown>;
            } catch {
              // Metrics are no JSON.
            }
            const { warning } = response.headers;
            resolve({
              status: response.statusCode ?? 0,
              headers: { ...response.headers, warning: warning === undefined ? undefined : [warning] },
              json,
              text,
            });
          });
        },
      );
      sent.on("error", reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  const stop = async (): Promise<void> => {
    server.kill("SIGKILL");
    etcd.kill("SIGKILL");
    await Promise.all([ended(server), ended(etcd)]);
    rmSync(dir, { recursive: true });
  };
  for (let i = 0; ; i++) {
    try {
      if ((await ask("GET", "/readyz")).status === 200) break;
    } catch (error) {
      if (i < READY_TRIES) continue;
      await stop();
      throw error;
    } finally {
      await sleep(systemClock, 100);
    }
  }
  return { ask, [Symbol.asyncDispose]: stop };
}
