import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, silentLogger, systemClock, systemRandom, type Clock } from "@coracle/base";
import type { Transport, TransportResponse } from "@coracle/client";
import { createMemoryStore } from "@coracle/etcd";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { startApiServer, type RunningApiServer } from "./run-api-server.ts";
import type { ApiServerConfig } from "./server/api-server.ts";

/** An answer, read to its end. */
export interface Reply {
  readonly status: number;
  readonly headers: TransportResponse["headers"];
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** A server in this process, for tests about who may come in and what he may do. */
export interface AccessServer extends AsyncDisposable {
  readonly server: RunningApiServer;
  readonly pki: ClusterPki;
  readonly dir: string;
  readonly admin: Transport;
  readonly nobody: Transport;
  /** Writes a file beside the server, and says its name. */
  file(name: string, content: string): string;
  as(commonName: string, ...organizations: string[]): Transport;
}

/** Sends a request and reads the whole answer. */
export async function call(
  transport: Transport,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const answer = await transport.request({
    method,
    path,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }), ...headers },
    body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Not every answer is JSON.
  }
  return { status: answer.status, headers: answer.headers, text, json };
}

/** What a test may change: computed once the folder and the keys are there. */
export type Changes = (dir: string, pki: ClusterPki) => Partial<ApiServerConfig>;

/** Starts one. */
export async function startAccessServer(
  changes: Changes = () => ({}),
  clock: Clock = systemClock,
): Promise<AccessServer> {
  const cleanup = new Cleanup();
  const dir = mkdtempSync(join(tmpdir(), "access-"));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  try {
    const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
    const store = cleanup.use(createMemoryStore({ clock }));
    const config: ApiServerConfig = {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["Node", "RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: {
        issuers: ["https://kubernetes.default.svc"],
        signingKey: pki.serviceAccountKey,
        extendTokenExpiration: true,
      },
      maxRequestsInflight: 400,
      maxMutatingRequestsInflight: 200,
      minRequestTimeoutSeconds: 1800,
      admission: { enable: [], disable: [] },
      ...changes(dir, pki),
    };
    const server = cleanup.use(
      await startApiServer({
        config,
        store,
        listen: { host: "127.0.0.1", port: 0, cert: pki.apiServer.cert, key: pki.apiServer.key },
        clock,
        random: systemRandom,
        logger: silentLogger,
      }),
    );
    return {
      server,
      pki,
      dir,
      admin: server.transport({ clientCertificate: pki.client("admin").cert }),
      nobody: server.transport({}),
      file(name, content) {
        const path = join(dir, name);
        writeFileSync(path, content);
        return path;
      },
      as: (commonName, ...organizations) =>
        server.transport({ clientCertificate: pki.issueClient({ commonName, organizations }).cert }),
      [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whom the server takes the bearer of these headers for: a name, or the code of a refusal. */
export async function whoAmI(transport: Transport, headers: Record<string, string> = {}): Promise<unknown> {
  const body = { kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1" };
  const reply = await call(transport, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, headers);
  if (reply.status !== 201) return reply.status;
  const { userInfo } = reply.json["status"] as { readonly userInfo: Record<string, unknown> };
  const { extra: _, ...rest } = userInfo;
  return rest;
}

/** Asks until the answer is the one wanted; the test's own limit ends it. */
export async function eventually<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    await new Promise<void>((resolve) => void systemClock.after(20, resolve));
  }
}
