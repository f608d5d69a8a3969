import { createServer } from "node:http";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, createFakeClock, createSeededRandom, silentLogger, systemClock } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call, eventually, startAccessServer, type AccessServer } from "../access-fixture.ts";
import { createDelivery, type AuditBackend } from "./delivery.ts";
import type { AuditEvent } from "./event.ts";
import { legacyLine } from "./event.ts";
import { createAuditLog } from "./log-file.ts";
import { readAuditPolicy, type AuditLevel } from "./policy.ts";
import type { AuditDeliverySettings, AuditLogSettings } from "./settings.ts";

type Entry = Record<string, unknown> & { readonly stage: string; readonly verb: string; readonly requestURI: string };

let cleanup: Cleanup;
beforeEach(() => {
  cleanup = new Cleanup();
});
afterEach(() => cleanup[Symbol.asyncDispose]());

const BLOCKING: AuditDeliverySettings = {
  mode: "blocking",
  bufferSize: 100,
  maxBatchSize: 10,
  maxWaitMs: 0,
  throttle: undefined,
  truncate: undefined,
};

const logSettings = (path: string, more: Partial<AuditLogSettings> = {}): AuditLogSettings => ({
  path,
  format: "json",
  maxAgeDays: 0,
  maxBackups: 0,
  maxSizeMegabytes: 0,
  compresses: false,
  delivery: BLOCKING,
  ...more,
});

const policyText = (rules: readonly object[], more: object = {}): string =>
  JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules, ...more });

async function start(rules: readonly object[], more: object = {}): Promise<{ api: AccessServer; log: string }> {
  let log = "";
  const api = cleanup.use(
    await startAccessServer((dir) => {
      log = join(dir, "audit.log");
      const policyFile = join(dir, "policy.yaml");
      writeFileSync(policyFile, policyText(rules, more));
      return { audit: { policyFile, log: logSettings(log) } };
    }),
  );
  return { api, log };
}

const entries = (log: string): Entry[] =>
  readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Entry);

/** The events of requests to a path, once the last one is there. */
const eventsOf = (log: string, path: string, count: number): Promise<Entry[]> =>
  eventually(
    () => Promise.resolve(entries(log).filter(({ requestURI }) => requestURI.startsWith(path))),
    (found) => found.length >= count,
  );

const SECRETS = "/api/v1/namespaces/default/secrets";
const secret = (name: string): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name },
  stringData: { a: "very private" },
});

describe("a request", () => {
  it("is recorded as it comes and when it has been answered, with who asked, from where, for what and with what outcome", async () => {
    const { api, log } = await start([{ level: "Metadata" }]);
    const reply = await call(api.admin, "POST", SECRETS, secret("one"), { "audit-id": "mine", "user-agent": "test/1" });
    expect([reply.status, reply.headers["audit-id"]]).toEqual([201, "mine"]);
    const [received, complete] = await eventsOf(log, SECRETS, 2);
    expect(received).toMatchObject({
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: "mine",
      stage: "RequestReceived",
      requestURI: SECRETS,
      verb: "create",
      user: { groups: ["system:masters", "system:authenticated"] },
      userAgent: "test/1",
      objectRef: { resource: "secrets", namespace: "default", apiVersion: "v1" },
    });
    expect(received!["responseStatus"]).toBeUndefined();
    expect(received!["stageTimestamp"]).toBe(received!["requestReceivedTimestamp"]);
    expect(complete).toMatchObject({
      stage: "ResponseComplete",
      auditID: "mine",
      objectRef: { resource: "secrets", namespace: "default", name: "one", apiVersion: "v1" },
      responseStatus: { metadata: {}, code: 201 },
      annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
    });
  });

  it.each<[AuditLevel, boolean, boolean]>([
    ["Metadata", false, false],
    ["Request", true, false],
    ["RequestResponse", true, true],
  ])("is recorded with what level %s says, and no more", async (level, hasRequest, hasResponse) => {
    const { api, log } = await start([{ level, verbs: ["create", "get", "list", "patch", "delete"] }]);
    await call(api.admin, "POST", SECRETS, secret("one"));
    await call(api.admin, "PATCH", `${SECRETS}/one`, { metadata: { labels: { a: "b" } } });
    await call(api.admin, "GET", `${SECRETS}/one`);
    await call(api.admin, "GET", `${SECRETS}?limit=5`);
    await call(api.admin, "DELETE", `${SECRETS}/one`, { propagationPolicy: "Background" });
    const found = (await eventsOf(log, SECRETS, 10)).filter(({ stage }) => stage === "ResponseComplete");
    expect(found.map(({ verb }) => verb)).toEqual(["create", "patch", "get", "list", "delete"]);
    const [created, patched, got, listed, deleted] = found;
    expect(created!["requestObject"] !== undefined).toBe(hasRequest);
    expect(patched!["requestObject"]).toEqual(hasRequest ? { metadata: { labels: { a: "b" } } } : undefined);
    expect(deleted!["requestObject"]).toEqual(
      hasRequest
        ? { kind: "DeleteOptions", apiVersion: "meta.k8s.io/__internal", propagationPolicy: "Background" }
        : undefined,
    );
    expect(got!["responseObject"] !== undefined).toBe(hasResponse);
    if (hasResponse) expect(listed!["responseObject"]).toMatchObject({ kind: "SecretList", items: [{}] });
    const text = readFileSync(log, "utf8");
    expect(text.includes("very private") || text.includes(Buffer.from("very private").toString("base64"))).toBe(
      hasRequest,
    );
    expect(deleted!["responseStatus"]).toMatchObject({ status: "Success", code: 200 });
  });

  it("that no rule records leaves nothing", async () => {
    const { api, log } = await start([{ level: "None", users: ["nobody"] }]);
    await call(api.admin, "GET", SECRETS);
    expect(entries(log)).toEqual([]);
  });

  it("that fails is recorded with the Status of its answer", async () => {
    const { api, log } = await start([{ level: "Metadata" }], { omitStages: ["RequestReceived"] });
    await call(api.as("bob"), "GET", SECRETS);
    const [event] = await eventsOf(log, SECRETS, 1);
    expect(event).toMatchObject({
      stage: "ResponseComplete",
      responseStatus: { status: "Failure", reason: "Forbidden", code: 403, details: { kind: "secrets" } },
      annotations: { "authorization.k8s.io/decision": "forbid" },
    });
  });

  it("of nobody known is recorded once, with how it tried to prove itself", async () => {
    const { api, log } = await start([{ level: "Metadata" }]);
    await call(api.nobody, "GET", SECRETS, undefined, { authorization: "Bearer wrong" });
    const [event] = await eventsOf(log, SECRETS, 1);
    expect(event).toMatchObject({
      stage: "ResponseStarted",
      user: {},
      responseStatus: { message: "Authentication failed, attempted: bearer", code: 401 },
    });
    expect(JSON.stringify(event)).not.toContain("wrong");
  });

  it("on behalf of another names both", async () => {
    const { api, log } = await start([{ level: "Metadata" }]);
    await call(api.admin, "GET", SECRETS, undefined, { "impersonate-user": "jane", "impersonate-group": "dev" });
    const found = await eventsOf(log, SECRETS, 2);
    expect(found[0]!["impersonatedUser"]).toBeUndefined();
    expect(found[1]).toMatchObject({
      user: { groups: ["system:masters", "system:authenticated"] },
      impersonatedUser: { username: "jane", groups: ["dev", "system:authenticated"] },
      responseStatus: { code: 403 },
    });
  });

  it("that runs long has an event when its answer begins and one when it ends", async () => {
    const { api, log } = await start([
      { level: "RequestResponse", resources: [{ group: "", resources: ["secrets"] }] },
    ]);
    await call(api.admin, "GET", `${SECRETS}?watch=1&timeoutSeconds=1`);
    const found = await eventsOf(log, SECRETS, 3);
    expect(found.map(({ stage }) => stage)).toEqual(["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    expect(found.map((event) => event["responseObject"])).toEqual([undefined, undefined, undefined]);
  });

  it("has the annotations of admission", async () => {
    const { api, log } = await start([{ level: "Metadata", verbs: ["create"] }]);
    const pod = {
      metadata: { name: "p" },
      spec: { containers: [{ name: "c", image: "i" }], serviceAccountName: "default" },
    };
    await call(api.admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
    await call(api.admin, "POST", "/api/v1/namespaces/default/pods", pod);
    const found = await eventsOf(log, "/api/v1/namespaces/default/pods", 2);
    expect(found[1]!["annotations"]).toMatchObject({
      "pod-security.kubernetes.io/enforce-policy": "privileged:latest",
    });
  });

  it("has no managed fields where the policy leaves them out", async () => {
    const rule = { level: "RequestResponse", omitManagedFields: true, omitStages: ["RequestReceived"] };
    const { api, log } = await start([rule]);
    await call(api.admin, "POST", SECRETS, secret("one"));
    const [event] = await eventsOf(log, SECRETS, 1);
    expect(event!["responseObject"]).toMatchObject({ kind: "Secret" });
    expect(JSON.stringify(event)).not.toContain("managedFields");
  });
});

describe("a policy's rules", () => {
  const user = { name: "jane", groups: ["dev"] };
  const resource = {
    user,
    verb: "get",
    isResource: true,
    group: "",
    version: "v1",
    resource: "pods",
    subresource: "log",
    namespace: "default",
    name: "web",
    path: "/",
  };
  const url = {
    ...resource,
    isResource: false,
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
    path: "/healthz/etcd",
  };
  it.each<[string, object, object, boolean]>([
    ["nothing said fits all", {}, resource, true],
    ["users", { users: ["jane"] }, resource, true],
    ["other users", { users: ["joe"] }, resource, false],
    ["groups", { userGroups: ["ops", "dev"] }, resource, true],
    ["verbs", { verbs: ["list"] }, resource, false],
    ["a resource without its subresources", { resources: [{ group: "", resources: ["pods"] }] }, resource, false],
    ["a subresource", { resources: [{ group: "", resources: ["pods/log"] }] }, resource, true],
    ["all subresources", { resources: [{ group: "", resources: ["pods/*"] }] }, resource, true],
    ["a subresource of all", { resources: [{ group: "", resources: ["*/log"] }] }, resource, true],
    ["all resources", { resources: [{ group: "", resources: ["*"] }] }, resource, true],
    ["all of a group", { resources: [{ group: "" }] }, resource, true],
    ["all of another group", { resources: [{ group: "apps" }] }, resource, false],
    ["names", { resources: [{ group: "", resources: ["*"], resourceNames: ["web"] }] }, resource, true],
    ["other names", { resources: [{ group: "", resources: ["*"], resourceNames: ["db"] }] }, resource, false],
    ["namespaces", { namespaces: ["default"] }, resource, true],
    ["no namespace", { namespaces: [""] }, resource, false],
    ["resources never fit paths", { resources: [{ group: "" }] }, url, false],
    ["paths never fit resources", { nonResourceURLs: ["*"] }, resource, false],
    ["a path", { nonResourceURLs: ["/healthz"] }, url, false],
    ["what begins with a path", { nonResourceURLs: ["/healthz*"] }, url, true],
  ])("%s", async (_name, rule, attributes, fits) => {
    const policy = await readAuditPolicy(policyText([{ level: "Metadata", ...rule }]), () => {});
    expect(policy.verdict(attributes as typeof resource).level).toBe(fits ? "Metadata" : "None");
  });

  it.each<[object, string]>([
    [
      { level: "All" },
      'rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", "RequestResponse"',
    ],
    [{}, "rules[0].level: Required value"],
    [{ level: "None", nonResourceURLs: ["healthz"] }, "non-resource URL rules must begin with a '/' character"],
    [{ level: "None", nonResourceURLs: ["/a*b"] }, "wildcards '*' must be the final character of the rule"],
    [
      { level: "None", omitStages: ["End"] },
      'rules[0].omitStages[0]: Invalid value: "End": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic',
    ],
    [{ level: "None", resources: [{ resourceNames: ["a"] }] }, "using resourceNames requires at least one resource"],
    [{ level: "None", resources: [{ group: "Apps/v1" }] }, "rules[0].resources.group: Invalid value"],
    [
      { level: "None", nonResourceURLs: ["/a"], namespaces: ["b"] },
      "rules cannot apply to both regular resources and non-resource URLs",
    ],
  ])("%j is refused", async (rule, message) => {
    await expect(readAuditPolicy(policyText([rule]), () => {})).rejects.toThrow(message);
  });

  it("none is refused, and other kinds are", async () => {
    await expect(readAuditPolicy(policyText([]), () => {})).rejects.toThrow("loaded illegal policy with 0 rules");
    await expect(readAuditPolicy('{"kind":"Policy","apiVersion":"v1"}', () => {})).rejects.toThrow("failed decoding");
  });

  it("of any shape are read or refused, never more", async () => {
    const random = createSeededRandom(5);
    const text = policyText([{ level: "Metadata", users: ["a"], resources: [{ group: "", resources: ["pods/*"] }] }]);
    for (let i = 0; i < 2_000; i++) {
      const at = Math.floor(random.next() * text.length);
      const byte = String.fromCharCode(32 + Math.floor(random.next() * 95));
      const mutated = text.slice(0, at) + byte + text.slice(at + Math.floor(random.next() * 3));
      const policy = await readAuditPolicy(mutated, () => {}).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Error);
        return undefined;
      });
      policy?.verdict(resource);
    }
  });
});

const event = (auditID: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  level: "Request",
  auditID,
  stage: "ResponseComplete",
  requestURI: "/api",
  verb: "get",
  user: { username: "jane", groups: ["dev"] },
  requestReceivedTimestamp: "2026-11-23T05:00:00.120000Z",
  stageTimestamp: "2026-11-23T05:00:00.120000Z",
  ...more,
});

describe("the log", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "cor-audit-"));
    cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  });

  it("is put aside when it is full; as many old ones are kept as asked, compressed", async () => {
    const clock = createFakeClock();
    const settings = logSettings(join(dir, "audit.log"), { maxSizeMegabytes: 1, maxBackups: 2, compresses: true });
    const log = createAuditLog(settings, { clock, logger: silentLogger });
    const large = event("one", { requestObject: JSON.stringify("x".repeat(700_000)) });
    for (let i = 0; i < 5; i++) {
      void log.write([large]);
      await clock.advance(1_000);
    }
    await log[Symbol.asyncDispose]();
    const names = readdirSync(dir).sort();
    expect(names).toEqual([
      "audit-2026-01-01T00-00-03.000.log.gz",
      "audit-2026-01-01T00-00-04.000.log.gz",
      "audit.log",
    ]);
  });

  it("has lines of text in the old form when asked", () => {
    expect(legacyLine(event("id-1", { responseStatus: { metadata: {}, code: 200 }, sourceIPs: ["10.0.0.1"] }))).toBe(
      '2026-11-23T05:00:00.12Z AUDIT: id="id-1" stage="ResponseComplete" ip="10.0.0.1" method="get" user="jane" groups="\\"dev\\"" as="<self>" asgroups="<lookup>" user-agent="" namespace="<none>" uri="/api" response="200"',
    );
  });
});

describe("delivery", () => {
  const lost: string[] = [];
  const deps = { clock: systemClock, logger: silentLogger, onLost: (plugin: string) => void lost.push(plugin) };
  const collector = (write: AuditBackend["write"]): AuditBackend => ({
    name: "webhook",
    write,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
  beforeEach(() => void lost.splice(0));

  it("in batches drops, and counts, what comes faster than it can be written", async () => {
    const batches: number[] = [];
    const settings = { ...BLOCKING, mode: "batch", bufferSize: 5, maxBatchSize: 10 } as const;
    const delivery = createDelivery(
      collector((events) => void batches.push(events.length)),
      settings,
      deps,
    );
    for (let i = 0; i < 8; i++) expect(delivery.take([event(String(i))])).toBe(true);
    await delivery[Symbol.asyncDispose]();
    expect([batches, lost]).toEqual([[5], ["buffered", "buffered", "buffered"]]);
  });

  it("in batches writes what waits when time is up", async () => {
    const clock = createFakeClock();
    const batches: number[] = [];
    const settings = { ...BLOCKING, mode: "batch", maxWaitMs: 30_000 } as const;
    const delivery = createDelivery(
      collector((events) => void batches.push(events.length)),
      settings,
      { ...deps, clock },
    );
    void delivery.take([event("1")]);
    void delivery.take([event("2")]);
    await clock.advance(29_999);
    expect(batches).toEqual([]);
    await clock.advance(1);
    expect(batches).toEqual([2]);
    await delivery[Symbol.asyncDispose]();
  });

  it.each([
    ["blocking", true],
    ["blocking-strict", false],
  ] as const)("%s: whether what cannot be written fails the request", async (mode, isStored) => {
    const delivery = createDelivery(
      collector(() => Promise.reject(new Error("down"))),
      { ...BLOCKING, mode },
      deps,
    );
    expect(await delivery.take([event("1")])).toBe(isStored);
    expect(lost).toEqual(["webhook"]);
  });

  it("cuts large events down to their metadata", async () => {
    const seen: AuditEvent[] = [];
    const settings = { ...BLOCKING, truncate: { maxBatchBytes: 2_000, maxEventBytes: 1_000 } };
    const delivery = createDelivery(
      collector((events) => void seen.push(...events)),
      settings,
      deps,
    );
    await delivery.take([event("1", { requestObject: JSON.stringify("x".repeat(2_000)) })]);
    expect(seen).toMatchObject([{ auditID: "1", annotations: { "audit.k8s.io/truncated": "true" } }]);
    expect(seen[0]!.requestObject).toBeUndefined();
  });
});

describe("the webhook", () => {
  /** A server that sends events there, and what was sent. */
  async function startWithWebhook(delivery: AuditDeliverySettings): Promise<{
    readonly api: AccessServer;
    readonly lists: { kind: string; items: Entry[] }[];
    readonly answers: (() => void)[];
  }> {
    const lists: { kind: string; items: Entry[] }[] = [];
    const answers: (() => void)[] = [];
    const peer = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        lists.push(JSON.parse(Buffer.concat(parts).toString()) as (typeof lists)[number]);
        answers.push(() => response.end());
        if (delivery.mode === "batch" || lists.at(-1)!.items[0]!.stage === "RequestReceived") response.end();
      });
    });
    await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
    cleanup.add(() => new Promise((resolve) => peer.close(() => resolve())));
    cleanup.add(() => peer.closeAllConnections());
    const { port } = peer.address() as AddressInfo;
    const api = await startAccessServer((dir) => {
      const [policyFile, kubeconfigFile] = [join(dir, "policy.yaml"), join(dir, "webhook.yaml")];
      writeFileSync(policyFile, policyText([{ level: "Metadata", users: ["jane"] }]));
      const cluster = { name: "c", cluster: { server: `http://127.0.0.1:${port}/events` } };
      const context = { name: "x", context: { cluster: "c", user: "u" } };
      const config = {
        apiVersion: "v1",
        kind: "Config",
        clusters: [cluster],
        contexts: [context],
        users: [{ name: "u", user: {} }],
        "current-context": "x",
      };
      writeFileSync(kubeconfigFile, JSON.stringify(config));
      return { audit: { policyFile, webhook: { kubeconfigFile, initialBackoffMs: 10, delivery } } };
    });
    return { api, lists, answers };
  }

  it("gets lists of events, whatever it answers", async () => {
    const { api, lists } = await startWithWebhook({
      ...BLOCKING,
      mode: "batch",
      maxBatchSize: 400,
      maxWaitMs: 30_000,
    });
    await call(api.as("jane"), "GET", SECRETS);
    // What waits is written before the server ends.
    await api[Symbol.asyncDispose]();
    expect(lists).toMatchObject([
      {
        kind: "EventList",
        apiVersion: "audit.k8s.io/v1",
        items: [{ stage: "RequestReceived" }, { stage: "ResponseComplete" }],
      },
    ]);
  });

  it("that blocks has the last event before the client has the answer", async () => {
    const { api, lists, answers } = await startWithWebhook(BLOCKING);
    cleanup.use(api);
    let isAnswered = false;
    const asked = call(api.as("jane"), "GET", SECRETS).finally(() => {
      isAnswered = true;
    });
    await eventually(
      () => Promise.resolve(lists),
      ({ length }) => length === 2,
    );
    expect(lists[1]!.items).toMatchObject([{ stage: "ResponseComplete", responseStatus: { code: 403 } }]);
    expect(isAnswered).toBe(false);
    answers[1]!();
    expect((await asked).status).toBe(403);
  });
});
