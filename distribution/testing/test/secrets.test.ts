import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coracleFile, ensureBuilt, eventually } from "../src/index.ts";
import { Connection, type Call } from "../src/differential/connection.ts";
import { startOurServer, type ServerUnderTest } from "../src/differential/server.ts";

/** In every secret of this test, and nowhere else. */
const CANARY = `canary${randomUUID().replaceAll("-", "")}`;

const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  rules: [
    {
      level: "Metadata",
      resources: [
        { group: "", resources: ["secrets", "serviceaccounts/token"] },
        { group: "authentication.k8s.io", resources: ["tokenreviews"] },
      ],
    },
    { level: "RequestResponse" },
  ],
};

const ENCRYPTION = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "EncryptionConfiguration",
  resources: [
    {
      resources: ["secrets"],
      providers: [{ aescbc: { keys: [{ name: "k", secret: Buffer.from(CANARY.slice(0, 32)).toString("base64") }] } }],
    },
  ],
};

let server: ServerUnderTest;
let connection: Connection;
let collector: Http2Server;
const traced: Buffer[] = [];

beforeAll(async () => {
  await ensureBuilt();
  collector = createServer();
  collector.on("stream", (stream) => {
    stream.on("data", (part: Buffer) => traced.push(part));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const { port } = collector.address() as AddressInfo;
  server = await startOurServer(coracleFile(), (dir) => {
    const file = (name: string, content: unknown): string => {
      writeFileSync(join(dir, name), typeof content === "string" ? content : JSON.stringify(content));
      return join(dir, name);
    };
    return [
      "-v=10",
      `--audit-policy-file=${file("audit-policy.json", AUDIT_POLICY)}`,
      `--audit-log-path=${join(dir, "audit.log")}`,
      `--encryption-provider-config=${file("encryption.json", ENCRYPTION)}`,
      `--token-auth-file=${file("tokens.csv", `${CANARY}static,static,u1,"system:masters"\n`)}`,
      `--tracing-config-file=${file("tracing.json", { apiVersion: "apiserver.config.k8s.io/v1", kind: "TracingConfiguration", endpoint: `127.0.0.1:${port}`, samplingRatePerMillion: 1_000_000 })}`,
      "--enable-bootstrap-token-auth",
    ];
  });
  connection = await Connection.open(server.target);
});

afterAll(async () => {
  connection.close();
  await server[Symbol.asyncDispose]();
  await new Promise<void>((resolve) => collector.close(() => resolve()));
});

const SECRETS = "/api/v1/namespaces/default/secrets";
const JSON_TYPE = "application/json";
const secret = (name: string, more: object = {}): string =>
  JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { a: `x${CANARY}` }, ...more });

async function send(
  method: string,
  path: string,
  body?: string,
  type = JSON_TYPE,
  more: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const call: Call = {
    method,
    path,
    body,
    headers: { ...(body === undefined ? {} : { "content-type": type }), ...more },
  };
  const { code, body: answer } = await connection.send(call);
  return { code, text: answer.toString("utf8") };
}

/** A request of HTTP/1.1 without a certificate; the code of its answer. */
function knock(path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(`${server.target.url}${path}`, { ca: server.target.ca, headers, agent: false }, (answer) => {
      answer.resume();
      answer.on("close", () => resolve(answer.statusCode ?? 0));
    });
    asked.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** The canary as it is, and as it looks in `data` behind no, one or two other characters. */
const FORMS = [
  CANARY,
  ...["", "x", "xx"].map((before) =>
    Buffer.from(before + CANARY)
      .toString("base64")
      .slice(4, -4),
  ),
];

/** What stands before the canary in a text that tells it. */
function tellsAfter(text: string): string | undefined {
  const at = FORMS.map((form) => text.indexOf(form)).find((found) => found !== -1);
  return at === undefined ? undefined : text.slice(Math.max(0, at - 600), at);
}

function filesIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(dir, entry.name)) : [join(dir, entry.name)],
  );
}

describe("what is secret", () => {
  it("is written and read, in every way, rightly and wrongly", async () => {
    expect((await send("POST", SECRETS, secret("one"))).code).toBe(201);
    expect((await send("POST", SECRETS, secret("one"))).code).toBe(409);
    expect(
      (
        await send(
          "POST",
          SECRETS,
          `apiVersion: v1\nkind: Secret\nmetadata: {name: two}\nstringData: {a: x${CANARY}}\n`,
          "application/yaml",
        )
      ).code,
    ).toBe(201);
    expect((await send("GET", `${SECRETS}/one`)).text).toContain(Buffer.from(`x${CANARY}`).toString("base64"));
    expect((await send("GET", SECRETS, undefined, JSON_TYPE, { accept: "application/yaml" })).code).toBe(200);
    expect((await send("PUT", `${SECRETS}/one`, secret("one", { type: "kubernetes.io/tls" }))).code).toBe(422);
    expect((await send("PUT", `${SECRETS}/one`, secret("one", { data: 1 }))).code).toBe(400);
    expect((await send("POST", SECRETS, secret("three", { data: { a: `!${CANARY}` } }))).code).toBe(400);
    expect((await send("POST", SECRETS, secret("three").slice(0, -3))).code).toBe(400);
    expect((await send("POST", SECRETS, secret("Not A Name"))).code).toBe(422);
    expect((await send("POST", `${SECRETS}?fieldValidation=Strict`, secret("three", { unheardOf: CANARY }))).code).toBe(
      400,
    );
    expect(
      (
        await send(
          "PATCH",
          `${SECRETS}/one`,
          JSON.stringify({ stringData: { b: CANARY } }),
          "application/merge-patch+json",
        )
      ).code,
    ).toBe(200);
    expect(
      (
        await send(
          "PATCH",
          `${SECRETS}/one`,
          JSON.stringify({ stringData: [CANARY] }),
          "application/strategic-merge-patch+json",
        )
      ).code,
    ).toBeGreaterThanOrEqual(400);
    expect(
      (
        await send(
          "PATCH",
          `${SECRETS}/one`,
          JSON.stringify([{ op: "test", path: "/data/a", value: CANARY }]),
          "application/json-patch+json",
        )
      ).code,
    ).toBeGreaterThanOrEqual(400);
    for (const manager of ["m", "n"]) {
      await send(
        "PATCH",
        `${SECRETS}/applied?fieldManager=${manager}`,
        JSON.stringify({
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: "applied" },
          data: { a: Buffer.from(`${manager}${CANARY}`).toString("base64") },
        }),
        "application/apply-patch+yaml",
      );
    }
    const token = await send(
      "POST",
      "/api/v1/namespaces/default/serviceaccounts/default/token",
      JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }),
    );
    expect([201, 404]).toContain(token.code);
    const review = JSON.stringify({
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: CANARY },
    });
    expect((await send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)).code).toBe(201);
  });

  it("is shown at the door, rightly and wrongly", async () => {
    const asProtocol = (token: string): string =>
      `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}, v4.channel.k8s.io`;
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    };
    expect(await knock("/api/v1/namespaces", { authorization: `Bearer ${CANARY}static` })).toBe(200);
    expect(await knock("/api/v1/namespaces", { authorization: `Bearer ${CANARY}` })).toBe(401);
    expect(
      await knock("/api/v1/namespaces", { authorization: `Bearer ${CANARY.slice(0, 6)}.${CANARY.slice(0, 16)}` }),
    ).toBe(401);
    expect(
      await knock("/api/v1/namespaces", { authorization: `Basic ${Buffer.from(`u:${CANARY}`).toString("base64")}` }),
    ).toBe(403);
    expect(await knock(`/api/v1/namespaces?limit=1&access_token=${CANARY}`, {})).toBe(403);
    for (const token of [`${CANARY}static`, CANARY]) {
      const path = "/api/v1/namespaces/default/pods/none/exec?command=x&stdout=1";
      expect([404, 401, 400]).toContain(await knock(path, { ...upgrade, "sec-websocket-protocol": asProtocol(token) }));
    }
  });

  it("is found neither in the log at -v=10, nor in audit, traces, events, metrics and debug pages, nor on disk", async () => {
    await eventually("traces have arrived", () => traced.length > 0);
    const pages = [
      "/metrics",
      "/configz",
      "/flagz",
      "/statusz",
      "/readyz?verbose",
      "/debug/api_priority_and_fairness/dump_requests",
      "/api/v1/events",
      "/apis/events.k8s.io/v1/events",
      "/debug/flags/v",
    ];
    const seen = new Map<string, string>();
    for (const page of pages) seen.set(page, (await send("GET", page)).text);
    seen.set("traces", Buffer.concat(traced).toString("latin1"));
    const planted = new Set(["encryption.json", "tokens.csv"]);
    for (const file of filesIn(server.dir)) {
      if (!planted.has(file.slice(server.dir.length + 1)) && statSync(file).size > 0)
        seen.set(file.slice(server.dir.length + 1), readFileSync(file, "latin1"));
    }
    expect(seen.get("kube-apiserver.log")).toContain("unable to authenticate the request");
    expect(seen.get("audit.log")).toContain("secrets");
    const told = [...seen].map(([place, text]) => [place, tellsAfter(text)] as const);
    expect(told.filter(([, before]) => before !== undefined)).toEqual([]);
  });
});
