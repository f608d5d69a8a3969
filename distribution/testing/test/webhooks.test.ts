import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock } from "@coracle/base";
import { createAuthority } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coracleFile, ensureBuilt, eventually } from "../src/index.ts";
import { startOurServer, type ServerUnderTest } from "../src/differential/server.ts";
import { ApiCaller, type CallerAnswer } from "../src/environment/api-caller.ts";

const HOUR_MS = 3_600_000;
const now = systemClock.now();
const VALID = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
const MAPS = "/api/v1/namespaces/default/configmaps";

interface Review {
  readonly uid: string;
  readonly object: { readonly metadata: { readonly name: string }; readonly data?: Readonly<Record<string, string>> };
}

/** What the server behind the webhooks answers on a path: the response, another text, or nothing ever. */
type Behaviour = (review: Review) => object | string | undefined;

const patch = (operations: unknown): string => Buffer.from(JSON.stringify(operations)).toString("base64");
const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  good: ({ uid }) => ({ uid, allowed: true }),
  refusing: ({ uid }) => ({ uid, allowed: false, status: { code: 418, message: "no tea" } }),
  "wrong-uid": () => ({ uid: "another", allowed: true }),
  "no-uid": () => ({ allowed: true }),
  "wrong-patch-type": ({ uid }) => ({ uid, allowed: true, patchType: "Merge", patch: patch([{ op: "test" }]) }),
  "no-patch-type": ({ uid }) => ({ uid, allowed: true, patch: patch([]) }),
  "patch-no-patch": ({ uid }) => ({ uid, allowed: true, patchType: "JSONPatch", patch: patch({ a: 1 }) }),
  "patch-elsewhere": ({ uid }) => ({
    uid,
    allowed: true,
    patchType: "JSONPatch",
    patch: patch([{ op: "remove", path: "/data/none" }]),
  }),
  "patch-nonsense": ({ uid }) => ({
    uid,
    allowed: true,
    patchType: "JSONPatch",
    patch: patch([{ op: "add", path: "/data", value: 7 }]),
  }),
  /** Never content with what it made itself. */
  looping: ({ uid, object }) => ({
    uid,
    allowed: true,
    patchType: "JSONPatch",
    patch: patch([{ op: "add", path: "/data", value: { turns: `${object.data?.["turns"] ?? ""}x` } }]),
  }),
  "no-json": () => "<html>",
  "no-review": () => "{}",
  huge: () => `{"a":"${"a".repeat(5 * 1024 * 1024)}"}`,
  slow: () => undefined,
};

let server: ServerUnderTest;
let admin: ApiCaller;
let hooks: Server;
let base = "";
const authority = createAuthority({ subject: { commonName: "webhooks" }, ...VALID });
const bundle = Buffer.from(authority.cert).toString("base64");

beforeAll(async () => {
  await ensureBuilt();
  const pair = authority.issue({
    subject: { commonName: "hooks" },
    usages: ["server"],
    names: ["127.0.0.1"],
    ...VALID,
  });
  hooks = createServer(pair, (request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (text += part));
    request.on("end", () => {
      const name = new URL(request.url ?? "/", base).pathname.slice(1);
      if (name === "error") response.statusCode = 500;
      if (name === "redirect") {
        response.writeHead(302, { location: `${base}/good` });
        response.end();
        return;
      }
      const answer = (BEHAVIOURS[name] ?? (() => "no such behaviour"))(
        (JSON.parse(text) as { request: Review }).request,
      );
      if (answer === undefined) return;
      response.setHeader("content-type", "application/json");
      const review = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: answer };
      response.end(typeof answer === "string" ? answer : JSON.stringify(review));
    });
  });
  await new Promise<void>((resolve) => hooks.listen(0, "127.0.0.1", resolve));
  base = `https://127.0.0.1:${(hooks.address() as AddressInfo).port}`;
  server = await startOurServer(coracleFile(), (dir) => [
    `--proxy-client-cert-file=${join(dir, "pki/front-proxy-client.crt")}`,
    `--proxy-client-key-file=${join(dir, "pki/front-proxy-client.key")}`,
    `--requestheader-client-ca-file=${join(dir, "pki/front-proxy-ca.crt")}`,
  ]);
  admin = await ApiCaller.open(server.target);
});

afterAll(async () => {
  admin[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  hooks.closeAllConnections();
  await new Promise<void>((resolve) => hooks.close(() => resolve()));
});

interface Hook {
  readonly url: string;
  readonly caBundle?: string;
  readonly failurePolicy?: "Fail" | "Ignore";
  readonly reinvocationPolicy?: string;
}

/** What is answered to a create while one webhook is in force. */
async function under(hook: Hook): Promise<CallerAnswer & { readonly tookMs: number }> {
  const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
  const { url, caBundle = bundle, failurePolicy = "Fail", ...more } = hook;
  const configured = await admin.send("POST", path, {
    metadata: { name: "story" },
    webhooks: [
      {
        name: "story.example.com",
        clientConfig: { url, caBundle },
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
        failurePolicy,
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        timeoutSeconds: 1,
        ...more,
      },
    ],
  });
  if (configured.code !== 201) throw new Error(configured.message);
  try {
    const startedAt = systemClock.monotonicMs();
    const answer = await admin.send("POST", `${MAPS}?dryRun=All`, { metadata: { name: "a" }, data: { b: "c" } });
    return { ...answer, tookMs: systemClock.monotonicMs() - startedAt };
  } finally {
    await admin.send("DELETE", `${path}/story`);
  }
}

describe("a webhook", () => {
  const failed = 'Internal error occurred: failed calling webhook "story.example.com": ';
  it.each<[name: string, message: string | RegExp, ignorable?: boolean]>([
    [
      "error",
      `${failed}failed to call webhook: an error on the server ("unknown") has prevented the request from succeeding`,
    ],
    ["redirect", failed],
    ["no-json", failed],
    ["no-review", failed],
    ["wrong-uid", `${failed}received invalid webhook response: expected response.uid=`],
    ["no-uid", `${failed}received invalid webhook response: expected response.uid=`],
    ["wrong-patch-type", `${failed}unsupported patch type "Merge"`],
    ["no-patch-type", `${failed}received invalid webhook response: `],
    ["huge", failed],
    ["slow", new RegExp(`^${failed}failed to call webhook: .*(context deadline exceeded|Timeout)`)],
    ["patch-no-patch", `${failed}received undecodable patch in webhook response: `],
    ["patch-elsewhere", "Internal error occurred: ", false],
    ["patch-nonsense", "Internal error occurred: ", false],
  ])(
    "that is %s is a failure with failurePolicy Fail; Ignore lets through what it could not judge",
    async (name, message, ignorable = true) => {
      const closed = await under({ url: `${base}/${name}` });
      expect(closed.code, closed.message).toBe(500);
      expect(closed.message).toMatch(message);
      const open = await under({ url: `${base}/${name}`, failurePolicy: "Ignore" });
      expect(open.code, open.message).toBe(ignorable ? 201 : 500);
    },
  );

  it("that refuses is heard whatever its failurePolicy", async () => {
    for (const failurePolicy of ["Fail", "Ignore"] as const) {
      const { code, message } = await under({ url: `${base}/refusing`, failurePolicy });
      expect({ code, message }).toEqual({
        code: 418,
        message: 'admission webhook "story.example.com" denied the request: no tea',
      });
    }
  });

  it("that is never content is asked again once at most", async () => {
    const { code, body } = await under({ url: `${base}/looping`, reinvocationPolicy: "IfNeeded" });
    expect(code).toBe(201);
    expect((body["data"] as { turns: string }).turns).toMatch(/^x{1,2}$/);
  });

  it("whose certificate is another authority's, or an expired one's, is not believed", async () => {
    const other = createAuthority({ subject: { commonName: "webhooks" }, ...VALID });
    const caBundle = Buffer.from(other.cert).toString("base64");
    const { code, message } = await under({ url: `${base}/good`, caBundle });
    expect({ code, message }).toEqual({
      code: 500,
      message: expect.stringMatching(/failed to call webhook: .*(x509|tls)/),
    });
    const old = authority.issue({
      subject: { commonName: "hooks" },
      usages: ["server"],
      names: ["127.0.0.1"],
      notBefore: now - 2 * HOUR_MS,
      notAfter: now - HOUR_MS,
    });
    const expired = createServer(old, (_request, response) => response.end("{}"));
    await new Promise<void>((resolve) => expired.listen(0, "127.0.0.1", resolve));
    const { port } = expired.address() as AddressInfo;
    const refused = await under({ url: `https://127.0.0.1:${port}/good` });
    expired.closeAllConnections();
    await new Promise<void>((resolve) => expired.close(() => resolve()));
    expect(refused.code).toBe(500);
    expect(refused.message).toMatch(/certificate has expired or is not yet valid/);
    // Nobody is there any longer.
    const gone = await under({ url: `https://127.0.0.1:${port}/good` });
    expect(gone.message).toContain("connect: connection refused");
    expect((await under({ url: `https://127.0.0.1:${port}/good`, failurePolicy: "Ignore" })).code).toBe(201);
  });

  it("that is slow costs nobody else anything", async () => {
    let isOver = false;
    const slow = under({ url: `${base}/slow`, failurePolicy: "Ignore" }).finally(() => (isOver = true));
    let answered = 0;
    using other = await ApiCaller.open(server.target);
    while (!isOver) {
      expect((await other.send("GET", MAPS)).code).toBe(200);
      answered++;
    }
    expect((await slow).code).toBe(201);
    expect(answered).toBeGreaterThan(5);
  });
});

describe("an aggregated server that is down", () => {
  it("is told as unavailable, 503 for what it serves, and nothing else suffers", async () => {
    await admin.send("POST", "/api/v1/namespaces/default/services", {
      metadata: { name: "away" },
      spec: { ports: [{ port: 443 }] },
    });
    const { code, message } = await admin.send("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {
      metadata: { name: "v1.away.example.com" },
      spec: {
        group: "away.example.com",
        version: "v1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { namespace: "default", name: "away" },
      },
    });
    expect(code, message).toBe(201);
    await eventually("it is found to be away", async () => {
      const { body } = await admin.send("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.away.example.com");
      const { conditions = [] } = (body["status"] ?? {}) as { conditions?: { type: string; status: string }[] };
      return conditions.some(({ type, status }) => type === "Available" && status === "False");
    });
    const answer = await eventually("503", async () => {
      const got = await admin.send("GET", "/apis/away.example.com/v1/things");
      return got.code === 503 && got;
    });
    expect(answer.message.trim()).toBe("service unavailable");
    for (const path of ["/apis", "/api/v1/namespaces", "/openapi/v3", "/readyz"])
      expect((await admin.send("GET", path)).code, path).toBe(200);
  });
});
