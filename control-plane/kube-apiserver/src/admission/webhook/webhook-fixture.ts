import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { Transport } from "@coracle/client";
import { createMemoryStore } from "@coracle/etcd";
import { openClusterPki } from "@coracle/pki";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPeer, testCaBundle, type Peer, type PeerOptions } from "../../outbound/peer-fixture.ts";
import { startApiServer, type RunningApiServer } from "../../run-api-server.ts";
import type { ApiServerConfig } from "../../server/api-server.ts";

/** What a request to the API server came back with. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly json: Record<string, unknown>;
  readonly text: string;
}

/** An API server under test: ours in this process, or another one behind a socket. */
export interface ServerUnderTest extends AsyncDisposable {
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
}

/** Reads an answer to its end. */
async function replyOf(answer: Awaited<ReturnType<Transport["request"]>>): Promise<Reply> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Metrics are no JSON.
  }
  return { status: answer.status, headers: answer.headers, json, text };
}

/** Our server, in this process. */
export async function startOurs(change: Partial<ApiServerConfig> = {}): Promise<ServerUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), "webhooks-"));
  const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  const store = createMemoryStore({ clock: systemClock });
  const config: ApiServerConfig = {
    serviceClusterIpRanges: ["10.0.0.0/24"],
    serviceNodePortRange: "30000-32767",
    advertiseAddress: "192.0.2.1",
    authorizationModes: ["AlwaysAllow"],
    anonymousAuth: true,
    clientCa: pki.ca.cert,
    serviceAccounts: {
      issuers: ["https://kubernetes.default.svc.cluster.local"],
      signingKey: pki.serviceAccountKey,
      extendTokenExpiration: true,
    },
    maxRequestsInflight: 400,
    maxMutatingRequestsInflight: 200,
    minRequestTimeoutSeconds: 1800,
    admission: { enable: [], disable: ["ServiceAccount"] },
    ...change,
  };
  const clean = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  };
  let server: RunningApiServer;
  try {
    server = await startApiServer({ config, store, clock: systemClock, random: systemRandom, logger: silentLogger });
  } catch (error) {
    await clean();
    throw error;
  }
  const { cert } = pki.issueClient({ commonName: "tess", organizations: ["system:masters"] });
  const transport = server.transport({ clientCertificate: cert });
  return {
    async ask(method, path, body, headers = {}) {
      const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
      const answer = await transport.request({
        method,
        path,
        headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }), ...headers },
        body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      });
      return replyOf(answer);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await clean();
    },
  };
}

/** The request in an AdmissionReview. */
export interface SeenReview {
  readonly uid: string;
  readonly operation: string;
  readonly object: Record<string, unknown> | null;
  readonly oldObject: Record<string, unknown> | null;
  readonly [member: string]: unknown;
}

interface RawAnswer {
  readonly raw: string | Buffer;
  readonly status?: number;
  readonly type?: string;
}

/** What a webhook says to a review; a string or bytes are sent as they are. */
export type Verdict =
  | ({ readonly allowed: boolean } & Record<string, unknown>)
  | RawAnswer
  | { readonly review: Record<string, unknown> };

/** A webhook server that answers reviews. */
export interface HookServer extends AsyncDisposable {
  readonly peer: Peer;
  readonly reviews: SeenReview[];
  /** By the path that was asked. */
  readonly paths: string[];
  judge: (request: SeenReview, path: string) => Verdict | Promise<Verdict> | undefined;
}

/** Starts one; `undefined` in place of a verdict: it never answers. */
export async function startHookServer(judge: HookServer["judge"], options: PeerOptions = {}): Promise<HookServer> {
  const peer = await startPeer(async (seen, response) => {
    const review = JSON.parse(seen.body) as { apiVersion: string; request: SeenReview };
    server.reviews.push(review.request);
    server.paths.push(seen.path);
    const verdict = await server.judge(review.request, seen.path);
    if (verdict === undefined) {
      await new Promise((resolve) => response.once("close", resolve));
      return { body: "" };
    }
    if ("raw" in verdict) {
      const { raw, status, type } = verdict as RawAnswer;
      return { status: status ?? 200, headers: { "content-type": type ?? "application/json" }, body: raw };
    }
    const answer =
      "review" in verdict
        ? verdict.review
        : { response: { uid: review.request.uid, ...verdict }, kind: "AdmissionReview", apiVersion: review.apiVersion };
    return { body: JSON.stringify(answer) };
  }, options);
  const server: HookServer = {
    peer,
    reviews: [],
    paths: [],
    judge,
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
  return server;
}

/** A JSON patch as a response carries it. */
export const patchOf = (...operations: readonly Record<string, unknown>[]): Record<string, unknown> => ({
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
  patchType: "JSONPatch",
});

const GROUP = "/apis/admissionregistration.k8s.io/v1";
export const MUTATING = `${GROUP}/mutatingwebhookconfigurations`;
export const VALIDATING = `${GROUP}/validatingwebhookconfigurations`;

/** A configuration with one webhook, for config maps unless told. */
export function configurationOf(
  kind: "Mutating" | "Validating",
  name: string,
  url: string,
  change: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: `${kind}WebhookConfiguration`,
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig: { url, caBundle: testCaBundle },
        rules: [{ operations: ["*"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"] }],
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        ...change,
      },
    ],
  };
}
