import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { ClientRequest } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { silentLogger, sleep, systemClock, systemRandom } from "@coracle/base";
import { createMemoryStore } from "@coracle/etcd";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";
import type { ServingSettings } from "./serving-settings.ts";

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A server with a socket, and a client that may do everything. */
interface Served extends AsyncDisposable {
  readonly server: RunningApiServer;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  /** One HTTP/1.1 request on a connection of its own; `body` undefined with a length given: it never comes. */
  call(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Reply>;
  /** Begins a request; its body is the caller's business. */
  begin(
    method: string,
    path: string,
    headers: Record<string, string>,
  ): { request: ClientRequest; reply: Promise<Reply> };
  http2(): ClientHttp2Session;
}

let dir: string;
let pki: ClusterPki;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "serving-"));
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
});
afterAll(() => rmSync(dir, { recursive: true }));

async function serve(serving: ServingSettings = {}, limits = { read: 400, write: 200 }): Promise<Served> {
  const store = createMemoryStore({ clock: systemClock });
  const server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: {
        issuers: ["https://kubernetes.default.svc.cluster.local"],
        signingKey: pki.serviceAccountKey,
        extendTokenExpiration: true,
      },
      maxRequestsInflight: limits.read,
      maxMutatingRequestsInflight: limits.write,
      minRequestTimeoutSeconds: 1800,
      admission: { enable: [], disable: [] },
      serving,
    },
    store,
    listen: { host: "127.0.0.1", port: 0, cert: pki.apiServer.cert, key: pki.apiServer.key },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const { cert, key } = pki.client("admin");
  const tls = { cert, key, ca: pki.ca.cert };
  const sessions: ClientHttp2Session[] = [];
  const begin: Served["begin"] = (method, path, headers) => {
    const options: RequestOptions = {
      ...tls,
      host: "127.0.0.1",
      port: server.port,
      method,
      path,
      headers,
      agent: false,
    };
    const request = httpsRequest(options);
    const reply = new Promise<Reply>((resolve, reject) => {
      request.once("error", reject);
      request.once("response", (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.once("error", reject);
        response.once("end", () =>
          resolve({ status: response.statusCode!, headers: response.headers, text: Buffer.concat(parts).toString() }),
        );
      });
    });
    return { request, reply };
  };
  return {
    server,
    tls,
    begin,
    call(method, path, body, headers = {}) {
      const type = body === undefined ? {} : { "content-type": "application/json", "content-length": `${body.length}` };
      const { request, reply } = begin(method, path, { ...type, ...headers });
      request.end(body);
      return reply;
    },
    http2() {
      const session = connectHttp2(`https://127.0.0.1:${server.port}`, tls);
      session.on("error", () => {});
      sessions.push(session);
      return session;
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      for (const session of sessions) session.destroy();
      await store[Symbol.asyncDispose]();
    },
  };
}

const MAPS = "/api/v1/namespaces/default/configmaps";
const map = (name: string, data: object = {}): string => JSON.stringify({ metadata: { name }, data });
const JSON_BODY = { "content-type": "application/json" };

/** A watch, and all that it has sent. */
function watch(
  session: ClientHttp2Session,
  path: string,
): { stream: ClientHttp2Stream; ended: Promise<number>; text(): string } {
  const stream = session.request({ ":path": path });
  let text = "";
  stream.setEncoding("utf8").on("data", (part: string) => (text += part));
  stream.on("error", () => {});
  const ended = new Promise<number>((resolve) => stream.once("close", () => resolve(stream.rstCode)));
  return { stream, ended, text: () => text };
}

const begun = (stream: ClientHttp2Stream): Promise<void> =>
  new Promise((resolve) => stream.once("response", () => resolve()));

async function eventually<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    await sleep(systemClock, 20);
  }
}

describe("flow control", () => {
  const FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1";
  it("names what decided, in headers of every answer", async () => {
    await using served = await serve();
    const { headers } = await served.call("GET", MAPS);
    const uid = async (path: string): Promise<unknown> =>
      (JSON.parse((await served.call("GET", `${FLOWS}/${path}`)).text) as { metadata: { uid: string } }).metadata.uid;
    expect(headers["x-kubernetes-pf-flowschema-uid"]).toBe(await uid("flowschemas/exempt"));
    expect(headers["x-kubernetes-pf-prioritylevel-uid"]).toBe(await uid("prioritylevelconfigurations/exempt"));
  });

  it("says of a schema whether its level exists, and follows both", async () => {
    await using served = await serve();
    const schema = {
      metadata: { name: "mine" },
      spec: { priorityLevelConfiguration: { name: "not-there" }, matchingPrecedence: 5, rules: [] },
    };
    expect((await served.call("POST", `${FLOWS}/flowschemas`, JSON.stringify(schema))).status).toBe(201);
    const condition = async (): Promise<unknown> => {
      const { text } = await served.call("GET", `${FLOWS}/flowschemas/mine`);
      return (JSON.parse(text) as { status?: { conditions?: unknown[] } }).status?.conditions?.[0];
    };
    expect(await eventually(condition, (found) => found !== undefined)).toMatchObject({
      type: "Dangling",
      status: "True",
      reason: "NotFound",
      message:
        'This FlowSchema references the PriorityLevelConfiguration object named "not-there" but there is no such object',
    });
    const level = {
      metadata: { name: "not-there" },
      spec: { type: "Limited", limited: { limitResponse: { type: "Reject" } } },
    };
    expect((await served.call("POST", `${FLOWS}/prioritylevelconfigurations`, JSON.stringify(level))).status).toBe(201);
    const found = await eventually(condition, (one) => (one as { status: string }).status === "False");
    expect(found).toMatchObject({ reason: "Found" });
    const page = await served.call("GET", "/debug/api_priority_and_fairness/dump_priority_levels");
    expect(page.text).toMatch(/^not-there, +0, +true, +false, /m);
    expect((await served.call("GET", "/metrics")).text).toContain(
      'apiserver_flowcontrol_nominal_limit_seats{priority_level="not-there"}',
    );
  });

  it.each([
    [true, /^Too many requests, please try again later\.\n$/],
    [false, /^Too many requests, please try again later\.\n$/],
  ])("refuses with 429, Retry-After and plain text (priority and fairness: %s)", async (isOn, text) => {
    await using served = await serve({ priorityAndFairness: isOn }, { read: 1, write: 1 });
    // A user of whom nothing is known comes last, where nobody waits.
    const bob = pki.issueClient({ commonName: "bob", organizations: [] });
    const as = (): ClientHttp2Session =>
      connectHttp2(`https://127.0.0.1:${served.server.port}`, { ...bob, ca: pki.ca.cert });
    const level = { spec: { limited: { limitResponse: { type: "Reject", queuing: null } } } };
    await served.call("PATCH", `${FLOWS}/prioritylevelconfigurations/global-default`, JSON.stringify(level), {
      "content-type": "application/merge-patch+json",
    });
    const session = as();
    const half = session.request({
      ":method": "POST",
      ":path": "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      ...JSON_BODY,
    });
    half.write("{");
    const ask = (): Promise<Reply> =>
      new Promise((resolve) => {
        const method = isOn ? "GET" : "POST";
        const path = isOn ? "/api" : "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        const stream = session.request({ ":path": path, ":method": method, ...(isOn ? {} : JSON_BODY) });
        let body = "";
        let headers: Record<string, string> = {};
        stream.once("response", (got) => (headers = got as unknown as Record<string, string>));
        stream.setEncoding("utf8").on("data", (part: string) => (body += part));
        stream.once("close", () => resolve({ status: Number(headers[":status"]), headers, text: body }));
        stream.end(isOn ? undefined : "{}");
      });
    const reply = await eventually(ask, ({ status }) => status === 429);
    expect(reply.text).toMatch(text);
    expect(reply.headers).toMatchObject({ "retry-after": "1", "content-type": "text/plain; charset=utf-8" });
    session.destroy();
  });
});

describe("requests that take too long", () => {
  it("end with 504 after the server's limit, in upstream's words", async () => {
    await using served = await serve({ requestTimeoutMs: 200 });
    const { request, reply } = served.begin("POST", MAPS, { ...JSON_BODY, "content-length": "100" });
    request.write("{");
    const { status, headers, text } = await reply;
    expect([status, headers["content-type"]]).toEqual([504, "text/plain; charset=utf-8"]);
    expect(text).toBe(
      '{"metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}\n',
    );
    request.destroy();
    expect((await served.call("GET", "/version")).status).toBe(200);
  });

  it("end after the time that the client gives them", async () => {
    await using served = await serve();
    const { request, reply } = served.begin("POST", `${MAPS}?timeout=100ms`, { ...JSON_BODY, "content-length": "9" });
    request.write("{");
    expect((await reply).status).toBe(504);
    request.destroy();
  });

  it.each([
    ["abc", "invalid duration"],
    ["10", "missing unit in duration"],
  ])("are refused when they give themselves %s", async (timeout, why) => {
    await using served = await serve();
    const { status, text } = await served.call("GET", `${MAPS}?timeout=${timeout}`);
    expect(status).toBe(400);
    expect(text).toContain(`invalid timeout specified in the request URL - time: ${why} \\"${timeout}\\"`);
  });
});

describe("a server that stops", () => {
  it("ends watches properly, and soon", async () => {
    const served = await serve();
    const session = served.http2();
    const watches = Array.from({ length: 20 }, () => watch(session, `${MAPS}?watch=true`));
    await Promise.all(watches.map(({ stream }) => begun(stream)));
    const startedAt = performance.now();
    await served[Symbol.asyncDispose]();
    // The issue asks for 0.3 s; a machine under load may be slower.
    expect(performance.now() - startedAt).toBeLessThan(3000);
    expect(await Promise.all(watches.map(({ ended }) => ended))).toEqual(watches.map(() => 0));
  });

  it("says farewell to its connections, lets requests end, and takes no new ones", async () => {
    const served = await serve();
    const session = served.http2();
    const farewell = new Promise((resolve) => session.once("goaway", resolve));
    const body = map("late");
    const { request, reply } = served.begin("POST", MAPS, { ...JSON_BODY, "content-length": `${body.length}` });
    request.write(body.slice(0, 5));
    await eventually(
      () => served.call("GET", "/metrics"),
      ({ text }) => text.includes('apiserver_current_inflight_requests{request_kind="mutating"} 1'),
    );
    const stopped = served[Symbol.asyncDispose]();
    await farewell;
    await expect(served.call("GET", "/version")).rejects.toThrow(/ECONNREFUSED|ECONNRESET|hang up/);
    request.end(body.slice(5));
    expect((await reply).status).toBe(201);
    await stopped;
  });

  it("is unready, and serves, as long as it is told to", async () => {
    const served = await serve({ shutdownDelayMs: 700 });
    const stopped = served[Symbol.asyncDispose]();
    expect(await served.call("GET", "/readyz")).toMatchObject({ status: 500 });
    expect(await served.call("GET", MAPS)).toMatchObject({ status: 200 });
    expect(await served.call("GET", "/livez")).toMatchObject({ status: 200 });
    await stopped;
  });

  it("tells new requests to come again, where it is told to, until those under way are done", async () => {
    const served = await serve({ shutdownSendsRetryAfter: true });
    const body = map("late");
    const { request, reply } = served.begin("POST", MAPS, { ...JSON_BODY, "content-length": `${body.length}` });
    request.write(body.slice(0, 5));
    await eventually(
      () => served.call("GET", "/metrics"),
      ({ text }) => text.includes('apiserver_current_inflight_requests{request_kind="mutating"} 1'),
    );
    const stopped = served[Symbol.asyncDispose]();
    const refused = await served.call("GET", MAPS);
    expect(refused).toMatchObject({
      status: 429,
      text: "The apiserver is shutting down, please try again later.\n",
    });
    expect(refused.headers["retry-after"]).toBe("5");
    request.end(body.slice(5));
    expect((await reply).status).toBe(201);
    await stopped;
  });
});

describe("connections", () => {
  it("are ended now and then, so that clients spread over servers", async () => {
    await using served = await serve({ goawayChance: 1 });
    const session = served.http2();
    const farewell = new Promise((resolve) => session.once("goaway", resolve));
    const { ended, stream } = watch(session, "/version");
    stream.end();
    expect(await ended).toBe(0);
    await farewell;
  });

  it("take as many streams at once as they are told", async () => {
    await using served = await serve({ maxStreamsPerConnection: 7 });
    const session = served.http2();
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    expect(session.remoteSettings.maxConcurrentStreams).toBe(7);
  });

  it("below the TLS version that is asked for are refused", async () => {
    await using served = await serve({ minTlsVersion: "TLSv1.3" });
    const { port } = served.server;
    const failure = new Promise((resolve) => {
      const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, maxVersion: "TLSv1.2" });
      socket.once("error", resolve);
      socket.once("secureConnect", () => resolve(undefined));
    });
    expect(await failure).toBeInstanceOf(Error);
  });

  it("get the certificate of the name they ask for", async () => {
    const own = openClusterPki({
      dir: mkdtempSync(join(dir, "sni-")),
      apiServerNames: ["api.example.com"],
      now: Date.now(),
    });
    const { cert, key } = own.apiServer;
    await using served = await serve({ namedCertificates: [{ names: ["api.example.com"], cert, key }] });
    const { port } = served.server;
    const names = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: "127.0.0.1", port, servername: "api.example.com", rejectUnauthorized: false });
      socket.once("error", reject);
      socket.once("secureConnect", () => {
        resolve(socket.getPeerCertificate().subjectaltname ?? "");
        socket.destroy();
      });
    });
    expect(names).toContain("api.example.com");
  });

  it("carry headers for browsers and for encrypted transport", async () => {
    await using served = await serve({
      corsAllowedOrigins: ["//example\\.com$"],
      transportSecurity: ["max-age=5", "preload"],
    });
    const asked = await served.call("OPTIONS", MAPS, undefined, { origin: "https://example.com" });
    expect(asked.status).toBe(204);
    expect(asked.headers).toMatchObject({
      "access-control-allow-origin": "https://example.com",
      "access-control-allow-credentials": "true",
      "strict-transport-security": "max-age=5; preload",
    });
    const other = await served.call("GET", MAPS, undefined, { origin: "https://example.org" });
    expect(other.headers["access-control-allow-origin"]).toBeUndefined();
  });
});

describe("a cluster without privilege", () => {
  it("refuses privileged containers, in pods and in their templates", async () => {
    await using served = await serve({ allowsPrivileged: false });
    const containers = [{ name: "a", image: "b", securityContext: { privileged: true } }];
    const selector = { matchLabels: { a: "b" } };
    const template = { metadata: { labels: { a: "b" } }, spec: { containers } };
    const deployment = { metadata: { name: "d" }, spec: { selector, template } };
    const messages = await Promise.all([
      served.call(
        "POST",
        "/api/v1/namespaces/default/podtemplates",
        JSON.stringify({ metadata: { name: "p" }, template }),
      ),
      served.call("POST", "/apis/apps/v1/namespaces/default/deployments", JSON.stringify(deployment)),
    ]);
    const why = "securityContext.privileged: Forbidden: disallowed by cluster policy";
    expect(messages.map(({ status }) => status)).toEqual([422, 422]);
    expect(messages[0]!.text).toContain(`PodTemplate \\"p\\" is invalid: template.spec.containers[0].${why}`);
    expect(messages[1]!.text).toContain(`spec.template.spec.containers[0].${why}`);
  });
});

describe("hostile clients", () => {
  it("that send too much are refused with 413", async () => {
    await using served = await serve();
    const body = map("big", { a: "x".repeat(3 * 1024 * 1024) });
    expect((await served.call("POST", MAPS, body)).status).toBe(413);
  });

  it("with slow headers, unread watches and idle connections leave others what is theirs", async () => {
    await using served = await serve();
    const { port } = served.server;
    const sockets: TLSSocket[] = [];
    const open = (): Promise<TLSSocket> =>
      new Promise((resolve, reject) => {
        const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
        sockets.push(socket);
        socket.once("error", reject);
        socket.once("secureConnect", () => resolve(socket));
      });
    const opened = await Promise.all(Array.from({ length: 60 }, open));
    for (const socket of opened.slice(30)) socket.write("GET /api HTTP/1.1\r\nhost: a\r\nx-slow: ");
    const session = served.http2();
    const unread = session.request({ ":path": `${MAPS}?watch=true` });
    unread.on("error", () => {});
    const cut = new Promise<void>((resolve) => unread.once("close", () => resolve()));
    await begun(unread);
    unread.pause();
    await served.call("POST", MAPS, map("busy"));
    const change = (i: number): Promise<Reply> =>
      served.call("PATCH", `${MAPS}/busy`, JSON.stringify({ data: { a: `${i}`.padEnd(700_000, "x") } }), {
        "content-type": "application/merge-patch+json",
      });
    // What waits for the watcher is bounded: it is cut off, and everybody else goes on.
    let isCut = false;
    void cut.then(() => (isCut = true));
    for (let i = 0; i < 60 && !isCut; i++) expect((await change(i)).status).toBe(200);
    unread.resume();
    await cut;
    expect((await served.call("GET", "/readyz")).text).toBe("ok");
    for (const socket of sockets) socket.destroy();
  }, 120_000);
});
