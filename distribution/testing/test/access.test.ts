import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:https";
import { writeFileSync } from "node:fs";
import { connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock } from "@coracle/base";
import { createAuthority, openClusterPki, type CertificateAuthority, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coracleFile, ensureBuilt, eventually } from "../src/index.ts";
import { startOurServer, type ServerUnderTest } from "../src/differential/server.ts";
import { ApiCaller, type CallerAnswer } from "../src/environment/api-caller.ts";

const HOUR_MS = 3_600_000;
const now = systemClock.now();
const VALID = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };

let server: ServerUnderTest;
let pki: ClusterPki;
let admin: ApiCaller;
let judge: Server;
/** What the authorizer's webhook does. */
let verdict: "allow" | "deny" | "500" | "nonsense" = "deny";
const callers: ApiCaller[] = [];

const chain = (url: string): object => ({
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AuthorizationConfiguration",
  authorizers: [
    hook("strict", "Deny", `request.user == "watched"`, url),
    hook("mild", "NoOpinion", `request.user == "mild"`, url),
    { type: "Node", name: "node" },
    { type: "RBAC", name: "rbac" },
  ],
});

const hook = (name: string, failurePolicy: string, expression: string, file: string): object => ({
  type: "Webhook",
  name,
  webhook: {
    timeout: "5s",
    authorizedTTL: "1ms",
    unauthorizedTTL: "1ms",
    subjectAccessReviewVersion: "v1",
    matchConditionSubjectAccessReviewVersion: "v1",
    failurePolicy,
    connectionInfo: { type: "KubeConfigFile", kubeConfigFile: file },
    matchConditions: [{ expression }],
  },
});

function judgeServer(authority: CertificateAuthority): Server {
  const pair = authority.issue({
    subject: { commonName: "judge" },
    usages: ["server"],
    names: ["127.0.0.1"],
    ...VALID,
  });
  return createServer(pair, (request, response) => {
    request.resume();
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      if (verdict === "500") response.statusCode = 500;
      const status = { allowed: verdict === "allow", denied: verdict === "deny", reason: "the judge says so" };
      const review = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec: {}, status };
      response.end(verdict === "nonsense" ? "{" : JSON.stringify(review));
    });
  });
}

beforeAll(async () => {
  await ensureBuilt();
  const authority = createAuthority({ subject: { commonName: "judges" }, ...VALID });
  judge = judgeServer(authority);
  await new Promise<void>((resolve) => judge.listen(0, "127.0.0.1", resolve));
  const { port } = judge.address() as AddressInfo;
  server = await startOurServer(coracleFile(), (dir) => {
    const file = (name: string, content: object): string => {
      writeFileSync(join(dir, name), JSON.stringify(content));
      return join(dir, name);
    };
    const kubeconfig = file("judge.json", {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "judge",
          cluster: {
            server: `https://127.0.0.1:${port}/judge`,
            "certificate-authority-data": Buffer.from(authority.cert).toString("base64"),
          },
        },
      ],
      users: [{ name: "server", user: {} }],
      contexts: [{ name: "c", context: { cluster: "judge", user: "server" } }],
      "current-context": "c",
    });
    return [
      `--authorization-config=${file("authorization.json", chain(kubeconfig))}`,
      `--requestheader-client-ca-file=${join(dir, "pki/front-proxy-ca.crt")}`,
      "--requestheader-allowed-names=front-proxy-client",
      "--requestheader-username-headers=X-Remote-User",
      "--requestheader-group-headers=X-Remote-Group",
      "--requestheader-extra-headers-prefix=X-Remote-Extra-",
      "--enable-admission-plugins=NodeRestriction",
    ];
  });
  pki = openClusterPki({ dir: join(server.dir, "pki"), apiServerNames: [], now });
  admin = await ApiCaller.open(server.target);
  await made("/api/v1/namespaces", { metadata: { name: "app" } });
});

afterAll(async () => {
  for (const caller of callers) caller[Symbol.dispose]();
  admin[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  judge.closeAllConnections();
  await new Promise<void>((resolve) => judge.close(() => resolve()));
});

async function made(path: string, object: object): Promise<CallerAnswer> {
  const answer = await admin.send("POST", path, object);
  if (answer.code !== 201) throw new Error(answer.message);
  return answer;
}

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** Lets a user do something, everywhere. */
async function grant(user: string, rules: readonly object[]): Promise<void> {
  const name = user.replaceAll(":", "-");
  await made(`${RBAC}/clusterroles`, { metadata: { name }, rules });
  await made(`${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }],
  });
}

interface Certified {
  readonly authority?: CertificateAuthority;
  readonly times?: { readonly notBefore: number; readonly notAfter: number };
  readonly groups?: readonly string[];
}

/** Somebody with a certificate. */
async function user(
  name: string,
  { authority = pki.ca, times = VALID, groups = [] }: Certified = {},
): Promise<ApiCaller> {
  const client = authority.issue({
    subject: { commonName: name, organizations: groups },
    usages: ["client"],
    ...times,
  });
  const caller = await ApiCaller.open({ ...server.target, client });
  callers.push(caller);
  return caller;
}

/** Somebody without one. */
async function nobody(): Promise<ApiCaller> {
  const caller = await ApiCaller.open({ url: server.target.url, ca: server.target.ca } as never);
  callers.push(caller);
  return caller;
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const NAMESPACES = "/api/v1/namespaces";

describe("certificates", () => {
  it.each<[what: string, how: () => Certified]>([
    ["expired", () => ({ times: { notBefore: now - 2 * HOUR_MS, notAfter: now - HOUR_MS } })],
    ["not valid yet", () => ({ times: { notBefore: now + HOUR_MS, notAfter: now + 2 * HOUR_MS } })],
    [
      "of a stranger's authority",
      () => ({ authority: createAuthority({ subject: { commonName: "kubernetes" }, ...VALID }) }),
    ],
    ["of the front proxy's authority", () => ({ authority: pki.frontProxyCa })],
  ])("%s: 401, whatever group they claim", async (_what, how) => {
    const caller = await user("eve", { ...how(), groups: ["system:masters"] });
    const { code, message } = await caller.send("GET", NAMESPACES);
    expect({ code, message }).toEqual({ code: 401, message: "Unauthorized" });
  });

  it("of the front proxy speak for others under an allowed name only, and their headers count from nobody else", async () => {
    const headers = { "x-remote-user": "root", "x-remote-group": "system:masters" };
    const proxy = await user("front-proxy-client", { authority: pki.frontProxyCa });
    expect((await proxy.send("GET", NAMESPACES, undefined, headers)).code).toBe(200);
    const other = await user("another-proxy", { authority: pki.frontProxyCa });
    expect((await other.send("GET", NAMESPACES, undefined, headers)).code).toBe(401);
    const plain = await user("front-proxy-client");
    expect((await plain.send("GET", NAMESPACES, undefined, headers)).message).toContain('User "front-proxy-client"');
    const none = await nobody();
    expect((await none.send("GET", NAMESPACES, undefined, headers)).message).toContain('User "system:anonymous"');
  });

  it("change without restart", async () => {
    const serial = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(server.target.url);
        const socket = connect({ host: hostname, port: Number(port), ca: server.target.ca }, () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.once("error", reject);
      });
    const before = await serial();
    const next = pki.ca.issue({
      subject: { commonName: "kube-apiserver" },
      usages: ["server"],
      names: ["127.0.0.1"],
      ...VALID,
    });
    // One file after the other: between them the two do not fit each other.
    writeFileSync(pki.path("apiserver.crt"), next.cert);
    writeFileSync(pki.path("apiserver.key"), next.key);
    await eventually("the new certificate is shown", async () => (await serial()) !== before, 60_000);
    expect((await admin.send("GET", NAMESPACES)).code).toBe(200);
  });
});

describe("tokens of service accounts", () => {
  const ACCOUNTS = "/api/v1/namespaces/app/serviceaccounts";
  const request = async (account: string, spec: object): Promise<string> => {
    const { body } = await made(`${ACCOUNTS}/${account}/token`, { spec });
    return (body["status"] as { token: string }).token;
  };
  const part = (token: string, at: number): Record<string, unknown> =>
    JSON.parse(Buffer.from(token.split(".")[at] as string, "base64url").toString()) as Record<string, unknown>;

  it("are good for their audience, as they were signed, while account, secret and pod are there", async () => {
    const anyone = await nobody();
    const whoIs = async (token: string): Promise<number> =>
      (await anyone.send("GET", NAMESPACES, undefined, bearer(token))).code;
    for (const name of ["robot", "fired"]) await made(ACCOUNTS, { metadata: { name } });
    await made("/api/v1/namespaces/app/secrets", { metadata: { name: "bound" } });
    await made("/api/v1/namespaces/app/pods", {
      metadata: { name: "bound" },
      spec: {
        serviceAccountName: "robot",
        automountServiceAccountToken: false,
        containers: [{ name: "a", image: "a" }],
      },
    });
    const bound = (kind: string): object => ({ boundObjectRef: { apiVersion: "v1", kind, name: "bound" } });
    const plain = await request("robot", {});
    const ofFired = await request("fired", {});
    const ofSecret = await request("robot", bound("Secret"));
    const ofPod = await request("robot", bound("Pod"));
    const foreign = await request("robot", { audiences: ["elsewhere"] });
    // 403: known, without rights.
    for (const token of [plain, ofFired, ofSecret, ofPod]) expect(await whoIs(token)).toBe(403);
    expect(await whoIs(foreign)).toBe(401);

    const [head = "", claims = "", signature = ""] = plain.split(".");
    const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const other = encoded({ ...part(plain, 1), sub: "system:serviceaccount:kube-system:default" });
    expect(await whoIs(`${head}.${other}.${signature}`)).toBe(401);
    expect(await whoIs(`${encoded({ alg: "none" })}.${claims}.`)).toBe(401);
    // The public key as the secret of a MAC.
    const confused = `${encoded({ ...part(plain, 0), alg: "HS256" })}.${claims}`;
    const mac = createHmac("sha256", pki.serviceAccountPublicKey).update(confused).digest("base64url");
    expect(await whoIs(`${confused}.${mac}`)).toBe(401);

    await admin.send("DELETE", "/api/v1/namespaces/app/secrets/bound");
    await admin.send("DELETE", "/api/v1/namespaces/app/pods/bound?gracePeriodSeconds=0");
    await admin.send("DELETE", `${ACCOUNTS}/fired`);
    await made(ACCOUNTS, { metadata: { name: "fired" } });
    // What a token proved is remembered for a moment; an account of the same name is another.
    const isGone = (token: string): Promise<unknown> =>
      eventually("the token is refused", async () => (await whoIs(token)) === 401);
    await Promise.all([ofFired, ofSecret, ofPod].map(isGone));
    expect(await whoIs(plain)).toBe(403);
  });
});

describe("impersonation", () => {
  it("needs the right to each part of the identity that is put on", async () => {
    await grant("actor", [
      { apiGroups: [""], resources: ["users"], resourceNames: ["jane"], verbs: ["impersonate"] },
      { apiGroups: [""], resources: ["groups"], resourceNames: ["devs"], verbs: ["impersonate"] },
      {
        apiGroups: ["authentication.k8s.io"],
        resources: ["userextras/team"],
        resourceNames: ["blue"],
        verbs: ["impersonate"],
      },
    ]);
    const actor = await user("actor");
    const REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    const as = (headers: Record<string, string>): Promise<CallerAnswer> => actor.send("POST", REVIEW, {}, headers);
    const good = await as({
      "impersonate-user": "jane",
      "impersonate-group": "devs",
      "impersonate-extra-team": "blue",
    });
    expect((good.body["status"] as { userInfo: object }).userInfo).toEqual({
      username: "jane",
      groups: ["devs", "system:authenticated"],
      extra: { team: ["blue"] },
    });
    const refused = async (headers: Record<string, string>, what: string): Promise<void> => {
      const { code, message } = await as(headers);
      expect({ code, message }).toEqual({
        code: 403,
        message: expect.stringContaining(`User "actor" cannot impersonate resource "${what}"`),
      });
    };
    await refused({ "impersonate-user": "root" }, "users");
    await refused({ "impersonate-user": "jane", "impersonate-group": "system:masters" }, "groups");
    await refused({ "impersonate-user": "jane", "impersonate-uid": "1" }, "uids");
    await refused({ "impersonate-user": "jane", "impersonate-extra-team": "red" }, "userextras/team");
    await refused({ "impersonate-user": "jane", "impersonate-extra-rank": "blue" }, "userextras/rank");
    await refused({ "impersonate-user": "system:serviceaccount:app:default" }, "serviceaccounts");
    expect((await as({ "impersonate-group": "devs" })).code, "groups without a user").toBe(400);
  });
});

describe("paths", () => {
  it("written otherwise are not taken for others that a right is given for", async () => {
    await grant("walker", [{ nonResourceURLs: ["/healthz", "/openapi/*"], verbs: ["get"] }]);
    const walker = await user("walker");
    expect((await walker.send("GET", "/healthz")).code).toBe(200);
    for (const path of [
      "/openapi/../metrics",
      "/openapi/%2e%2e/metrics",
      "/openapi/..%2fmetrics",
      "/openapi//../metrics",
      "/healthz/../metrics",
      "//metrics",
      "/healthz%2f..%2fmetrics",
      "/healthz%00/metrics",
      "/openapi/../api/v1/secrets",
      "/openapi/%2e%2e/api/v1/namespaces/kube-system/secrets",
      "//api/v1/secrets",
      "/api//v1/secrets",
      "/api/v1/%73ecrets",
      "/api/v1/namespaces/app%2fsecrets",
      "/api/v1/namespaces/app/secrets/..",
      "/apis/../metrics",
    ]) {
      const { code, message } = await walker.send("GET", path);
      expect([301, 400, 403, 404], `${path}: ${message}`).toContain(code);
      expect(message, path).not.toContain("apiserver_request_total");
      expect(message, path).not.toContain("SecretList");
    }
  });
});

describe("nodes", () => {
  it("read what their pods need, and write themselves alone", async () => {
    await made("/api/v1/namespaces/app/serviceaccounts", { metadata: { name: "default" } }).catch(() => undefined);
    for (const name of ["mine", "other"]) await made("/api/v1/nodes", { metadata: { name } });
    for (const name of ["needed", "unneeded"]) await made("/api/v1/namespaces/app/secrets", { metadata: { name } });
    const pod = (name: string, nodeName: string): object => ({
      metadata: { name },
      spec: {
        nodeName,
        automountServiceAccountToken: false,
        containers: [{ name: "a", image: "a", envFrom: [{ secretRef: { name: "needed" } }] }],
      },
    });
    await made("/api/v1/namespaces/app/pods", pod("here", "mine"));
    await made("/api/v1/namespaces/app/pods", pod("there", "other"));
    const node = await user("system:node:mine", { groups: ["system:nodes"] });
    const stranger = await user("system:node:third", { groups: ["system:nodes"] });
    const named = await user("system:node:mine");
    const get = async (caller: ApiCaller, path: string): Promise<number> =>
      (await caller.send("GET", `/api/v1/${path}`)).code;
    await eventually(
      "the pod's secret is known",
      async () => (await get(node, "namespaces/app/secrets/needed")) === 200,
    );
    expect(await get(node, "namespaces/app/secrets/unneeded")).toBe(403);
    expect(await get(node, "namespaces/app/secrets")).toBe(403);
    expect(await get(stranger, "namespaces/app/secrets/needed")).toBe(403);
    expect(await get(named, "namespaces/app/secrets/needed"), "the name without the group").toBe(403);
    const label = (key: string): object => ({ metadata: { labels: { [key]: "x" } } });
    const patch = async (path: string, body: object): Promise<number> =>
      (await node.send("PATCH", `/api/v1/${path}`, body, { "content-type": "application/merge-patch+json" })).code;
    expect(await patch("nodes/mine", label("example.com/a"))).toBe(200);
    expect(await patch("nodes/mine", label("node-restriction.kubernetes.io/a"))).toBe(403);
    expect(await patch("nodes/mine", { spec: { taints: [] } }), "taints that others put there").toBe(403);
    expect(await patch("nodes/other", label("example.com/a"))).toBe(403);
    expect(await patch("namespaces/app/pods/there/status", { status: { message: "x" } })).toBe(403);
    expect((await node.send("DELETE", "/api/v1/namespaces/app/pods/there")).code).toBe(403);
    const token = await node.send("POST", "/api/v1/namespaces/app/serviceaccounts/default/token", { spec: {} });
    expect(token.code, "a token bound to no pod").toBe(403);
  });
});

describe("roles", () => {
  it("give nobody more than he has, through aggregation neither, unless he may escalate or bind", async () => {
    await grant("clerk", [
      {
        apiGroups: ["rbac.authorization.k8s.io"],
        resources: ["clusterroles", "clusterrolebindings"],
        verbs: ["create", "update"],
      },
      { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    ]);
    await made(`${RBAC}/clusterroles`, {
      metadata: { name: "sum" },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { sum: "yes" } }] },
      rules: [],
    });
    const clerk = await user("clerk");
    const role = (name: string, resource: string, labels: object = {}): object => ({
      metadata: { name, labels },
      rules: [{ apiGroups: [""], resources: [resource], verbs: ["get"] }],
    });
    const post = (kind: string, object: object): Promise<CallerAnswer> => clerk.send("POST", `${RBAC}/${kind}`, object);
    expect((await post("clusterroles", role("a", "pods"))).code).toBe(201);
    const more = await post("clusterroles", role("b", "secrets", { sum: "yes" }));
    expect(more).toMatchObject({
      code: 403,
      message: expect.stringContaining("is attempting to grant RBAC permissions not currently held"),
    });
    const summing = await post("clusterroles", {
      metadata: { name: "c" },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { all: "yes" } }] },
      rules: [],
    });
    expect(summing, "what a rule selects is not known yet").toMatchObject({ code: 403 });
    const binding = (name: string): object => ({
      metadata: { name: `clerk-${name}` },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "clerk" }],
    });
    expect((await post("clusterrolebindings", binding("cluster-admin"))).code).toBe(403);
    const own = { metadata: { name: "clerk" }, rules: [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }] };
    expect((await clerk.send("PUT", `${RBAC}/clusterroles/clerk`, own)).code).toBe(403);
    await grant("chief", [
      { apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"], verbs: ["create", "escalate"] },
      { apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterrolebindings"], verbs: ["create"] },
      {
        apiGroups: ["rbac.authorization.k8s.io"],
        resources: ["clusterroles"],
        resourceNames: ["view"],
        verbs: ["bind"],
      },
    ]);
    const chief = await user("chief");
    expect((await chief.send("POST", `${RBAC}/clusterroles`, role("d", "secrets"))).code).toBe(201);
    expect((await chief.send("POST", `${RBAC}/clusterrolebindings`, binding("view"))).code).toBe(201);
    expect((await chief.send("POST", `${RBAC}/clusterrolebindings`, binding("edit"))).code).toBe(403);
  });

  it("to an object are none to its subresources", async () => {
    await grant("owner", [{ apiGroups: [""], resources: ["pods", "serviceaccounts"], verbs: ["*"] }]);
    const owner = await user("owner");
    const ask = async (method: string, path: string): Promise<string> =>
      (await owner.send(method, `/api/v1/namespaces/app/${path}`, method === "GET" ? undefined : {})).message;
    for (const [method, path, resource] of [
      ["POST", "pods/here/exec?command=id", "pods/exec"],
      ["POST", "pods/here/attach", "pods/attach"],
      ["POST", "pods/here/portforward", "pods/portforward"],
      ["GET", "pods/here/log", "pods/log"],
      ["GET", "pods/here/proxy/", "pods/proxy"],
      ["POST", "pods/here/eviction", "pods/eviction"],
      ["POST", "pods/here/binding", "pods/binding"],
      ["PUT", "pods/here/ephemeralcontainers", "pods/ephemeralcontainers"],
      ["PUT", "pods/here/resize", "pods/resize"],
      ["PUT", "pods/here/status", "pods/status"],
      ["POST", "serviceaccounts/default/token", "serviceaccounts/token"],
    ] as const)
      expect(await ask(method, path)).toMatch(new RegExp(`User "owner" cannot \\w+ resource "${resource}"`));
    expect((await owner.send("GET", "/api/v1/namespaces/app/pods/here")).code).toBe(200);
  });
});

describe("an authorizer that is asked over the network", () => {
  it("is believed; what it does not say is judged as its failure policy says", async () => {
    for (const name of ["watched", "mild"])
      await grant(name, [{ apiGroups: [""], resources: ["namespaces"], verbs: ["list"] }]);
    const watched = await user("watched");
    const mild = await user("mild");
    const codes = async (): Promise<readonly number[]> => [
      (await watched.send("GET", NAMESPACES)).code,
      (await mild.send("GET", NAMESPACES)).code,
    ];
    const under = async (next: typeof verdict): Promise<readonly number[]> => {
      verdict = next;
      // Answers that were remembered a moment ago are not asked for again.
      await new Promise<void>((resolve) => void systemClock.after(20, resolve));
      return codes();
    };
    expect(await under("allow")).toEqual([200, 200]);
    expect(await under("deny")).toEqual([403, 403]);
    // Failing closed forgoes what roles would allow; failing open leaves it to them.
    const broken = [await under("500"), await under("nonsense")];
    expect(broken).toEqual([
      [500, 200],
      [500, 200],
    ]);
    judge.closeAllConnections();
    await new Promise<void>((resolve) => judge.close(() => resolve()));
    expect(await codes(), "nobody answers").toEqual([500, 200]);
    expect((await admin.send("GET", NAMESPACES)).code).toBe(200);
  });
});
