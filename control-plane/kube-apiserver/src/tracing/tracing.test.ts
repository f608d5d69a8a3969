import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ProtoReader } from "@coracle/api";
import { Cleanup, createSeededRandom } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call, startAccessServer } from "../access-fixture.ts";
import { readTracingConfig } from "./config.ts";
import { readTraceParent } from "./tracing.ts";

let cleanup: Cleanup;
beforeEach(() => {
  cleanup = new Cleanup();
});
afterEach(() => cleanup[Symbol.asyncDispose]());

interface Seen {
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly name: string;
}

/** The parts of a message that are delimited by their length, by field. */
function parts(bytes: Buffer): { readonly field: number; readonly value: Buffer }[] {
  const reader = new ProtoReader(bytes);
  const found = [];
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    if ((tag & 7) === 2) found.push({ field: tag >>> 3, value: Buffer.from(reader.view()) });
    else reader.skip(tag & 7);
  }
  return found;
}

const inField = (bytes: Buffer, field: number): Buffer[] =>
  parts(bytes).flatMap((part) => (part.field === field ? [part.value] : []));

/** A collector that keeps what it gets. */
async function startCollector(): Promise<{ readonly port: number; readonly spans: Seen[]; readonly raw: Buffer[] }> {
  const [spans, raw]: [Seen[], Buffer[]] = [[], []];
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const message = Buffer.concat(chunks).subarray(5);
      raw.push(message);
      const found = inField(message, 1).flatMap((one) => inField(one, 2).flatMap((scope) => inField(scope, 2)));
      for (const span of found) {
        const hex = (field: number): string => inField(span, field)[0]?.toString("hex") ?? "";
        spans.push({ trace: hex(1), id: hex(2), parent: hex(4), name: inField(span, 5)[0]!.toString() });
      }
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.add(() => {
    for (const session of sessions) session.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return { port: (server.address() as AddressInfo).port, spans, raw };
}

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

describe("traces", () => {
  it("of requests that are part of one go to the collector, with their parts and without what was sent", async () => {
    const { port, spans, raw } = await startCollector();
    const api = await startAccessServer((dir) => {
      const tracingConfigFile = join(dir, "tracing.yaml");
      writeFileSync(
        tracingConfigFile,
        `apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\nendpoint: 127.0.0.1:${port}\n`,
      );
      return { tracingConfigFile };
    });
    const path = "/api/v1/namespaces/default/secrets";
    const secret = { metadata: { name: "one" }, stringData: { a: "very private" } };
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    expect((await call(api.admin, "POST", path, secret, { traceparent })).status).toBe(201);
    // Neither sampled by whoever asks nor by the server's own rate.
    await call(api.admin, "GET", path);
    await api[Symbol.asyncDispose]();
    const root = spans.find(({ name }) => name === "KubernetesAPI");
    expect(root).toMatchObject({ trace: TRACE, parent: PARENT });
    const names = spans.map(({ name }) => name);
    expect(names.toSorted()).toEqual([
      "KubernetesAPI",
      "admission.mutate",
      "admission.validate",
      "authentication",
      "authorization",
      "etcd.txn",
    ]);
    for (const span of spans) if (span !== root) expect(span).toMatchObject({ trace: TRACE, parent: root!.id });
    const text = Buffer.concat(raw).toString("latin1");
    expect(text).not.toContain("very private");
    expect(text).not.toContain(Buffer.from("very private").toString("base64"));
  });
});

describe("calls of others", () => {
  it("are parts of the trace, and are told so", async () => {
    const { port, spans } = await startCollector();
    const told: (string | undefined)[] = [];
    const review = { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", status: { authenticated: false } };
    const peer = createHttpServer((request, response) => {
      told.push(request.headers["traceparent"] as string | undefined);
      response.setHeader("content-type", "application/json");
      request.resume().on("end", () => response.end(JSON.stringify(review)));
    });
    await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
    cleanup.add(() => new Promise((resolve) => peer.close(() => resolve())));
    cleanup.add(() => peer.closeAllConnections());
    const api = await startAccessServer((dir) => {
      const [tracingConfigFile, kubeconfigFile] = [join(dir, "tracing.yaml"), join(dir, "webhook.yaml")];
      const tracing = { kind: "TracingConfiguration", endpoint: `127.0.0.1:${port}` };
      writeFileSync(tracingConfigFile, JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1beta1", ...tracing }));
      const server = `http://127.0.0.1:${(peer.address() as AddressInfo).port}/review`;
      const kubeconfig = {
        apiVersion: "v1",
        kind: "Config",
        clusters: [{ name: "c", cluster: { server } }],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        users: [{ name: "u", user: {} }],
        "current-context": "x",
      };
      writeFileSync(kubeconfigFile, JSON.stringify(kubeconfig));
      const webhook = { kubeconfigFile, version: "v1", cacheTtlMs: 0 };
      return { tracingConfigFile, authentication: { webhook } };
    });
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    await call(api.nobody, "GET", "/api", undefined, { traceparent, authorization: "Bearer unknown" });
    await call(api.nobody, "GET", "/api", undefined, { authorization: "Bearer other" });
    await api[Symbol.asyncDispose]();
    const [asking] = spans.filter(({ name }) => name === "HTTP POST");
    expect(asking).toMatchObject({ trace: TRACE, parent: spans.find(({ name }) => name === "authentication")!.id });
    // Who is not part of a trace is told nothing.
    expect(told).toEqual([`00-${TRACE}-${asking!.id}-01`, undefined]);
  });
});

describe("the header traceparent", () => {
  it.each([
    [`00-${TRACE}-${PARENT}-01`, true],
    [`00-${TRACE}-${PARENT}-00`, false],
    [`01-${TRACE}-${PARENT}-01-more`, true],
    [`00-${TRACE}-${PARENT}-01-more`, undefined],
    [`ff-${TRACE}-${PARENT}-01`, undefined],
    [`00-${"0".repeat(32)}-${PARENT}-01`, undefined],
    [`00-${TRACE}-${"0".repeat(16)}-01`, undefined],
    ["nonsense", undefined],
    [undefined, undefined],
  ])("%s", (text, isSampled) => {
    expect(readTraceParent(text)?.isSampled).toBe(isSampled);
  });
});

describe("a TracingConfiguration", () => {
  const text = (more: object): string =>
    JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "TracingConfiguration", ...more });
  it("has upstream's defaults", async () => {
    expect(await readTracingConfig(text({}))).toEqual({ endpoint: "localhost:4317", samplesPerMillion: 0 });
  });
  it.each([
    [{ samplingRatePerMillion: -1 }, "sampling rate must be positive"],
    [{ samplingRatePerMillion: 1_000_001 }, "sampling rate per million must be less than or equal to one million"],
    [{ rate: 1 }, 'unknown field "rate"'],
  ])("%j is refused", async (more, message) => {
    await expect(readTracingConfig(text(more))).rejects.toThrow(message);
  });
  it("of any shape is read or refused", async () => {
    const random = createSeededRandom(9);
    const whole = text({ endpoint: "a:1", samplingRatePerMillion: 5 });
    for (let i = 0; i < 500; i++) {
      const at = Math.floor(random.next() * whole.length);
      await readTracingConfig(whole.slice(0, at) + whole.slice(at + 1)).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Error);
      });
    }
  });
});
