import { mkdtempSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { Transport, TransportResponse } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";
import type { ApiServerConfig } from "./api-server.ts";

interface Reply {
  readonly status: number;
  readonly headers: TransportResponse["headers"];
  readonly text: string;
  // Answers are looked at through matchers only.
  readonly json: Record<string, unknown>;
}

let dir: string;
let pki: ClusterPki;
let config: ApiServerConfig;
let store: Store;
let server: RunningApiServer;
let admin: Transport;
let nobody: Transport;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "api-server-"));
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  store = createMemoryStore({ clock: systemClock });
  config = {
    serviceClusterIpRanges: ["10.0.0.0/24"],
    serviceNodePortRange: "30000-32767",
    advertiseAddress: "192.0.2.1",
    authorizationModes: ["Node", "RBAC"],
    anonymousAuth: true,
    clientCa: pki.ca.cert,
    tokens: 'secret-token,tess,7,"testers,others"\n',
    serviceAccounts: {
      issuers: ["https://kubernetes.default.svc.cluster.local"],
      signingKey: pki.serviceAccountKey,
      extendTokenExpiration: true,
    },
    maxRequestsInflight: 400,
    maxMutatingRequestsInflight: 200,
    minRequestTimeoutSeconds: 1800,
    admission: { enable: ["NodeRestriction"], disable: [] },
  };
  server = await startApiServer({
    config,
    store,
    listen: { host: "127.0.0.1", port: 0, cert: pki.apiServer.cert, key: pki.apiServer.key },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  admin = server.transport({ clientCertificate: pki.client("admin").cert });
  nobody = server.transport({});
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

const as = (commonName: string, ...organizations: string[]): Transport =>
  server.transport({ clientCertificate: pki.issueClient({ commonName, organizations }).cert });

const APPLY = { "content-type": "application/apply-patch+yaml" };

async function call(
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
    body: body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
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

const MAPS = "/api/v1/namespaces/default/configmaps";
const map = (name: string): object => ({ metadata: { name }, data: { a: "1" } });
const SYSTEM_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:kube-scheduler";

describe("who asks", () => {
  it("nobody may list pods: 403 in upstream's words", async () => {
    const reply = await call(nobody, "GET", "/api/v1/namespaces/default/pods");
    expect(reply.status).toBe(403);
    expect(reply.json).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message:
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"',
      reason: "Forbidden",
      details: { kind: "pods" },
      code: 403,
    });
  });

  it("anonymous users may read what the public may", async () => {
    expect((await call(nobody, "GET", "/version")).json).toMatchObject({ major: "1", minor: "35" });
    expect((await call(nobody, "GET", "/readyz")).text).toBe("ok");
    expect((await call(nobody, "GET", "/apis")).json).toMatchObject({
      message: 'forbidden: User "system:anonymous" cannot get path "/apis"',
    });
  });

  it("a token that is nobody's is 401", async () => {
    const reply = await call(server.transport({ token: "x" }), "GET", "/version");
    expect([reply.status, reply.json["reason"]]).toEqual([401, "Unauthorized"]);
  });

  it("a certificate of another authority is 401", async () => {
    const other = mkdtempSync(join(tmpdir(), "other-ca-"));
    const foreign = openClusterPki({ dir: other, apiServerNames: [], now: Date.now() });
    const reply = await call(server.transport({ clientCertificate: foreign.client("admin").cert }), "GET", "/version");
    rmSync(other, { recursive: true });
    expect(reply.status).toBe(401);
  });

  it("static tokens carry name, uid and groups", async () => {
    const tess = server.transport({ token: "secret-token" });
    const reply = await call(tess, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {});
    expect(reply.json).toMatchObject({
      status: { userInfo: { username: "tess", uid: "7", groups: ["testers", "others", "system:authenticated"] } },
    });
  });

  it("impersonation needs permission, and works with it", async () => {
    const headers = { "impersonate-user": "jane", "impersonate-group": "devs" };
    const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    expect((await call(as("bob"), "POST", path, {}, headers)).status).toBe(403);
    expect((await call(admin, "POST", path, {}, headers)).json).toMatchObject({
      status: { userInfo: { username: "jane", groups: ["devs", "system:authenticated"] } },
    });
  });
});

describe("service accounts", () => {
  it("get tokens that hold until the account is gone", async () => {
    await call(admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "robot" } });
    const path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
    const made = await call(admin, "POST", path, { spec: { expirationSeconds: 600 } });
    expect(made.status).toBe(201);
    const { token } = made.json["status"] as { token: string };
    const robot = server.transport({ token });
    const review = await call(robot, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {});
    expect(review.json).toMatchObject({
      status: {
        userInfo: {
          username: "system:serviceaccount:default:robot",
          groups: ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        },
      },
    });
    const checked = await call(admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token } });
    expect(checked.json).toMatchObject({ status: { authenticated: true } });
    await call(admin, "DELETE", "/api/v1/namespaces/default/serviceaccounts/robot");
    const late = await call(admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token } });
    expect(late.json["status"]).toMatchObject({ error: '[invalid bearer token, serviceaccounts "robot" not found]' });
  });

  it("tokens live at least ten minutes", async () => {
    await call(admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "short" } });
    const path = "/api/v1/namespaces/default/serviceaccounts/short/token";
    const reply = await call(admin, "POST", path, { spec: { expirationSeconds: 10 } });
    expect([reply.status, reply.json["message"]]).toEqual([
      422,
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes',
    ]);
  });
});

describe("what is allowed", () => {
  it("a role counts from the moment it is bound, and no longer than it is", async () => {
    const bob = as("bob");
    const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    expect((await call(bob, "GET", MAPS)).status).toBe(403);
    await call(admin, "POST", `${roles}/roles`, {
      metadata: { name: "reader" },
      rules: [{ verbs: ["list"], apiGroups: [""], resources: ["configmaps"] }],
    });
    await call(admin, "POST", `${roles}/rolebindings`, {
      metadata: { name: "bob-reads" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
      subjects: [{ kind: "User", name: "bob", apiGroup: "rbac.authorization.k8s.io" }],
    });
    expect((await call(bob, "GET", MAPS)).status).toBe(200);
    expect((await call(bob, "GET", "/api/v1/configmaps")).status).toBe(403);
    await call(admin, "DELETE", `${roles}/rolebindings/bob-reads`);
    expect((await call(bob, "GET", MAPS)).status).toBe(403);
  });

  it("who may patch does not create by applying", async () => {
    const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    await call(admin, "POST", `${rbac}/roles`, {
      metadata: { name: "patcher" },
      rules: [{ verbs: ["patch"], apiGroups: [""], resources: ["configmaps"] }],
    });
    await call(admin, "POST", `${rbac}/rolebindings`, {
      metadata: { name: "pat-patches" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "patcher" },
      subjects: [{ kind: "User", name: "pat", apiGroup: "rbac.authorization.k8s.io" }],
    });
    const config = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data: { a: "1" } };
    const apply = (user: Transport, manager: string, data = config.data) =>
      call(user, "PATCH", `${MAPS}/applied?fieldManager=${manager}`, { ...config, data }, APPLY);
    const refused = await apply(as("pat"), "pat");
    expect([refused.status, refused.json["message"]]).toEqual([
      403,
      'configmaps "applied" is forbidden: User "pat" cannot create resource "configmaps" in API group "" in the namespace "default"',
    ]);
    expect((await apply(admin, "boss")).status).toBe(201);
    expect((await apply(as("pat"), "pat")).status).toBe(200);
    const conflict = await apply(as("pat"), "other", { a: "2" });
    expect(conflict.status).toBe(409);
    expect(conflict.json["details"]).toMatchObject({
      causes: [
        { reason: "FieldManagerConflict", message: 'conflict with "boss"', field: ".data.a" },
        { reason: "FieldManagerConflict", message: 'conflict with "pat"', field: ".data.a" },
      ],
    });
    const nobody = await apply(admin, "");
    expect([nobody.status, nobody.json["message"]]).toEqual([
      422,
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    ]);
    await call(admin, "DELETE", `${MAPS}/applied`);
  });

  it("nobody grants more than he has", async () => {
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    await call(admin, "POST", `${rbac}/clusterroles`, {
      metadata: { name: "role-maker" },
      rules: [{ verbs: ["create"], apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"] }],
    });
    await call(admin, "POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: "role-makers" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "role-maker" },
      subjects: [{ kind: "User", name: "eve", apiGroup: "rbac.authorization.k8s.io" }],
    });
    const reply = await call(as("eve"), "POST", `${rbac}/namespaces/default/roles`, {
      metadata: { name: "secrets" },
      rules: [{ verbs: ["get"], apiGroups: [""], resources: ["secrets"] }],
    });
    expect(reply.status).toBe(403);
    expect(reply.json["message"]).toContain(
      'is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    );
  });

  it("reviews answer what the authorisers say", async () => {
    const review = (user: string, resource: string): Promise<Reply> =>
      call(admin, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        spec: { user, resourceAttributes: { verb: "list", resource, namespace: "default" } },
      });
    expect((await review("system:kube-scheduler", "pods")).json).toMatchObject({ status: { allowed: true } });
    expect((await review("system:kube-scheduler", "secrets")).json).toMatchObject({ status: { allowed: false } });
    const neither = await call(admin, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: {} });
    expect(neither.status).toBe(422);
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const body = { spec: { nonResourceAttributes: { verb: "get", path: "/" } } };
    const asTable = { accept: "application/json;as=Table;g=meta.k8s.io;v=v1" };
    expect((await call(admin, "POST", path, body, asTable)).status).toBe(406);
    expect((await call(admin, "POST", path, body, { accept: `${asTable.accept}, application/json` })).status).toBe(201);
  });

  it("a node reads the secrets of its own pods only", async () => {
    await call(admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
    await call(admin, "POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "mine" } });
    await call(admin, "POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "other" } });
    const pod = await call(admin, "POST", "/api/v1/namespaces/default/pods", {
      metadata: { name: "user" },
      spec: {
        nodeName: "n1",
        containers: [{ name: "c", image: "i" }],
        volumes: [{ name: "v", secret: { secretName: "mine" } }],
      },
    });
    expect(pod.status).toBe(201);
    const node = as("system:node:n1", "system:nodes");
    const stranger = as("system:node:n2", "system:nodes");
    const read = (who: Transport, name: string): Promise<Reply> =>
      call(who, "GET", `/api/v1/namespaces/default/secrets/${name}`);
    expect((await read(node, "mine")).status).toBe(200);
    expect((await read(node, "other")).status).toBe(403);
    expect((await read(stranger, "mine")).json["message"]).toBe(
      `secrets "mine" is forbidden: User "system:node:n2" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n2' and this object`,
    );
    expect((await call(node, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")).status).toBe(200);
    expect((await call(node, "GET", "/api/v1/pods")).status).toBe(403);
    const foreign = await call(node, "POST", "/api/v1/nodes", { metadata: { name: "n2" } });
    expect(foreign.json["message"]).toContain('node "n1" is not allowed to modify node "n2"');
    expect((await call(node, "POST", "/api/v1/nodes", { metadata: { name: "n1" } })).json).toMatchObject({
      spec: { taints: [{ key: "node.kubernetes.io/not-ready", effect: "NoSchedule" }] },
    });
  });
});

describe("objects", () => {
  it("are created, read, listed, patched and deleted", async () => {
    const made = await call(admin, "POST", MAPS, map("one"));
    expect([made.status, made.json["kind"], made.headers["cache-control"]]).toEqual([
      201,
      "ConfigMap",
      "no-cache, private",
    ]);
    expect((await call(admin, "GET", `${MAPS}/one`)).json).toEqual(made.json);
    const list = await call(admin, "GET", MAPS);
    expect(list.json).toMatchObject({
      kind: "ConfigMapList",
      apiVersion: "v1",
      items: [{ metadata: { name: "one" } }],
    });
    expect((await call(admin, "PATCH", `${MAPS}/one`, { data: { b: "2" } })).json).toMatchObject({
      data: { a: "1", b: "2" },
    });
    expect((await call(admin, "DELETE", `${MAPS}/one`)).json).toMatchObject({ status: "Success" });
    expect((await call(admin, "GET", `${MAPS}/one`)).status).toBe(404);
  });

  it("bad bodies are told apart: 400, 413, 415", async () => {
    expect((await call(admin, "POST", MAPS, Buffer.from("{"))).status).toBe(400);
    expect((await call(admin, "POST", MAPS, Buffer.from("[]"))).status).toBe(400);
    expect((await call(admin, "POST", MAPS, Buffer.alloc(3 * 1024 * 1024 + 1, 0x20))).status).toBe(413);
    expect((await call(admin, "POST", MAPS, map("x"), { "content-type": "text/plain" })).status).toBe(415);
    expect((await call(admin, "PATCH", `${MAPS}/x`, {}, { "content-type": "application/json" })).status).toBe(415);
    expect((await call(admin, "GET", MAPS, undefined, { accept: "image/png" })).status).toBe(406);
    const twice = Buffer.from('{"metadata":{"name":"t","name":"u"}}');
    expect((await call(admin, "POST", `${MAPS}?fieldValidation=Strict`, twice)).json["message"]).toContain(
      'strict decoding error: duplicate field "metadata.name"',
    );
  });

  it("unknown groups are plain 404s, unknown paths of a group a Status, methods that are not there 405", async () => {
    const reply = await call(admin, "GET", "/apis/none.example.com/v1/things");
    expect([reply.status, reply.text]).toEqual([404, "404 page not found\n"]);
    expect((await call(admin, "GET", "/nothing")).text).toBe("404 page not found\n");
    expect((await call(admin, "POST", "/api/v1/componentstatuses", {})).status).toBe(405);
    const statuses = (await call(admin, "GET", "/api/v1/componentstatuses")).json["items"];
    expect(statuses).toMatchObject([
      {
        metadata: { name: "controller-manager" },
        conditions: [{ type: "Healthy", status: "False", message: "nobody leads" }],
      },
      { metadata: { name: "scheduler" } },
      { metadata: { name: "etcd-0" }, conditions: [{ type: "Healthy", status: "True", message: "ok" }] },
    ]);
    expect((await call(admin, "GET", "/api/v1/componentstatuses/none")).status).toBe(404);
    expect((await call(admin, "GET", "/api/v1/pods/x")).json).toMatchObject({
      code: 404,
      message: "the server could not find the requested resource",
    });
  });

  it("come as tables and as metadata alone", async () => {
    await call(admin, "POST", MAPS, map("two"));
    const accept = (as: string): Record<string, string> => ({ accept: `application/json;as=${as};g=meta.k8s.io;v=v1` });
    expect((await call(admin, "GET", `${MAPS}/two`, undefined, accept("Table"))).json).toMatchObject({
      kind: "Table",
      columnDefinitions: [{ name: "Name" }, { name: "Data" }, { name: "Age" }],
      rows: [{ cells: ["two", 1, expect.any(String)], object: { kind: "PartialObjectMetadata" } }],
    });
    const list = await call(admin, "GET", MAPS, undefined, accept("PartialObjectMetadataList"));
    expect(list.json["kind"]).toBe("PartialObjectMetadataList");
    expect(list.text).not.toContain('"data"');
  });

  it("come as protobuf and YAML, and go in as such", async () => {
    const binary = await call(admin, "GET", `${MAPS}/two`, undefined, {
      accept: "application/vnd.kubernetes.protobuf",
    });
    expect([binary.headers["content-type"], binary.text.slice(0, 3)]).toEqual([
      "application/vnd.kubernetes.protobuf",
      "k8s",
    ]);
    const yaml = await call(admin, "GET", `${MAPS}/two`, undefined, { accept: "application/yaml" });
    expect(yaml.text).toContain("kind: ConfigMap\n");
    const sent = await call(admin, "POST", MAPS, Buffer.from("metadata:\n  name: from-yaml\n"), {
      "content-type": "application/yaml",
    });
    expect(sent.status).toBe(201);
  });

  it("are not made in a namespace that is not there", async () => {
    const reply = await call(admin, "POST", "/api/v1/namespaces/none/configmaps", map("x"));
    expect([reply.status, reply.json["message"]]).toEqual([404, 'namespaces "none" not found']);
    expect((await call(admin, "DELETE", "/api/v1/namespaces/default")).status).toBe(403);
  });

  it("pods get their account, its token, tolerations and priority", async () => {
    const reply = await call(admin, "POST", "/api/v1/namespaces/default/pods", {
      metadata: { name: "admitted" },
      spec: { priorityClassName: "system-node-critical", containers: [{ name: "c", image: "i" }] },
    });
    expect(reply.json).toMatchObject({
      spec: {
        serviceAccountName: "default",
        priority: 2_000_001_000,
        preemptionPolicy: "PreemptLowerPriority",
        tolerations: [{ key: "node.kubernetes.io/not-ready", tolerationSeconds: 300 }, {}],
        containers: [{ volumeMounts: [{ mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }] }],
        volumes: [{ projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607 } }, {}, {}] } }],
      },
    });
  });
});

describe("watches", () => {
  async function readEvents(
    path: string,
    count: number,
    act?: () => Promise<unknown>,
  ): Promise<Record<string, unknown>[]> {
    const abort = new AbortController();
    const answer = await admin.request({ method: "GET", path, headers: {}, body: undefined, signal: abort.signal });
    expect(answer.status).toBe(200);
    await act?.();
    const events: Record<string, unknown>[] = [];
    let rest = "";
    for await (const chunk of answer.body) {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) events.push(JSON.parse(line) as Record<string, unknown>);
      if (events.length >= count) break;
    }
    return events;
  }

  it("tell of each change once, in order", async () => {
    const { json } = await call(admin, "GET", MAPS);
    const version = (json["metadata"] as { resourceVersion: string }).resourceVersion;
    const events = await readEvents(`${MAPS}?watch=true&resourceVersion=${version}`, 3, async () => {
      await call(admin, "POST", MAPS, map("watched"));
      await call(admin, "PATCH", `${MAPS}/watched`, { data: { a: "2" } });
      await call(admin, "DELETE", `${MAPS}/watched`);
    });
    expect(events.map((event) => event["type"])).toEqual(["ADDED", "MODIFIED", "DELETED"]);
    expect(events[2]).toMatchObject({ object: { kind: "ConfigMap", metadata: { name: "watched" }, data: { a: "2" } } });
  });

  it("begin with the present state, and mark its end when asked", async () => {
    const query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    const events = await readEvents(`/api/v1/namespaces?${query}`, 5);
    expect(events.map((event) => event["type"])).toEqual(["ADDED", "ADDED", "ADDED", "ADDED", "BOOKMARK"]);
    expect(events[4]).toMatchObject({
      object: { kind: "Namespace", metadata: { annotations: { "k8s.io/initial-events-end": "true" } } },
    });
  });

  it("show an object that ceases to match as deleted, in its last matching state", async () => {
    await call(admin, "POST", MAPS, { metadata: { name: "labelled", labels: { tier: "a" } } });
    const events = await readEvents(`${MAPS}?watch=true&labelSelector=tier%3Da`, 2, () =>
      call(admin, "PATCH", `${MAPS}/labelled`, { metadata: { labels: { tier: "b" } } }),
    );
    expect(events).toMatchObject([
      { type: "ADDED" },
      { type: "DELETED", object: { metadata: { name: "labelled", labels: { tier: "a" } } } },
    ]);
  });
});

describe("limit ranges", () => {
  it("fill what pods do not ask for, and bound what they do", async () => {
    await call(admin, "POST", "/api/v1/namespaces", { metadata: { name: "limited" } });
    await call(admin, "POST", "/api/v1/namespaces/limited/serviceaccounts", { metadata: { name: "default" } });
    await call(admin, "POST", "/api/v1/namespaces/limited/limitranges", {
      metadata: { name: "l" },
      spec: {
        limits: [{ type: "Container", default: { cpu: "500m" }, defaultRequest: { cpu: "100m" }, max: { cpu: "1" } }],
      },
    });
    const make = (name: string, resources: object): Promise<Reply> =>
      call(admin, "POST", "/api/v1/namespaces/limited/pods", {
        metadata: { name },
        spec: { containers: [{ name: "c", image: "i", resources }] },
      });
    expect((await make("plain", {})).json).toMatchObject({
      metadata: {
        annotations: {
          "kubernetes.io/limit-ranger":
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c",
        },
      },
      spec: { containers: [{ resources: { limits: { cpu: "500m" }, requests: { cpu: "100m" } } }] },
    });
    expect((await make("big", { limits: { cpu: "2" }, requests: { cpu: "1" } })).json["message"]).toBe(
      'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    );
  });
});

describe("discovery", () => {
  it("serves both forms", async () => {
    expect((await call(admin, "GET", "/api/v1")).json).toMatchObject({ kind: "APIResourceList", groupVersion: "v1" });
    expect((await call(admin, "GET", "/apis/apps")).json).toMatchObject({
      preferredVersion: { groupVersion: "apps/v1" },
    });
    const headers = { accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json" };
    const all = await call(admin, "GET", "/apis", undefined, headers);
    expect(all.headers["content-type"]).toBe("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    const groups = (all.json["items"] as { metadata: { name: string } }[]).map((group) => group.metadata.name);
    expect(groups.slice(0, 2)).toEqual(["apiregistration.k8s.io", "apps"]);
    const again = await call(admin, "GET", "/apis", undefined, {
      ...headers,
      "if-none-match": String(all.headers["etag"] as string),
    });
    expect(again.status).toBe(304);
  });

  it("OpenAPI documents may be kept by who names the hash of the index; an old hash leads to the new one", async () => {
    const index = (await call(admin, "GET", "/openapi/v3")).json as {
      readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>;
    };
    const url = index.paths["apis/apps/v1"]?.serverRelativeURL ?? "";
    const kept = await call(admin, "GET", url);
    expect(kept.headers["cache-control"]).toBe("public, immutable");
    expect(kept.headers["expires"]).toMatch(/ UTC$/);
    expect(url).toContain(String(kept.headers["etag"]).replaceAll('"', ""));
    expect((await call(admin, "GET", url, undefined, { "if-none-match": String(kept.headers["etag"]) })).status).toBe(
      304,
    );
    const old = await call(admin, "GET", "/openapi/v3/apis/apps/v1?hash=OLD");
    expect([old.status, old.headers["location"]]).toEqual([301, url]);
    expect((await call(admin, "GET", "/openapi/v3/apis/apps/v1")).headers["cache-control"]).toBe("no-cache, private");
    expect((await call(admin, "GET", "/openapi/v3/version")).json).toHaveProperty(["paths", "/version/"]);
    expect((await call(admin, "GET", "/openapi/v3/nothing")).status).toBe(404);
  });

  it("publishes OpenAPI, the signing keys and metrics", async () => {
    expect((await call(admin, "GET", "/openapi/v3")).json).toHaveProperty(["paths", "api/v1"]);
    expect((await call(admin, "GET", "/openid/v1/jwks", undefined, { accept: "*/*" })).json).toMatchObject({
      keys: [{ use: "sig" }],
    });
    expect((await call(admin, "GET", "/metrics")).text).toContain("apiserver_request_total{");
  });
});

describe("a new cluster", () => {
  it("has its namespaces, roles, priority classes and the kubernetes service", async () => {
    expect((await call(admin, "GET", SYSTEM_ROLE)).status).toBe(200);
    expect((await call(admin, "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin")).text).toContain(
      '"deployments"',
    );
    expect((await call(admin, "GET", "/api/v1/namespaces/default/services/kubernetes")).json).toMatchObject({
      spec: { clusterIP: "10.0.0.1" },
    });
    expect((await call(admin, "GET", "/api/v1/namespaces/default/endpoints/kubernetes")).json).toMatchObject({
      subsets: [{ addresses: [{ ip: "192.0.2.1" }], ports: [{ port: server.port }] }],
    });
  });
});

describe("a warm start", () => {
  it("writes nothing, and ends watches from before it with an ERROR event", async () => {
    const before = await store.revision();
    const warm = await startApiServer({
      config,
      store,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    expect(await store.revision()).toBe(before);
    const transport = warm.transport({ clientCertificate: pki.client("admin").cert });
    const reply = await call(transport, "GET", `${MAPS}?watch=true&resourceVersion=2`);
    expect([reply.status, reply.json]).toMatchObject([
      200,
      { type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } },
    ]);
    await warm[Symbol.asyncDispose]();
  });
});

describe("over a socket", () => {
  it("speaks HTTP/2 with a client certificate", async () => {
    const { cert, key } = pki.client("admin");
    const session = connect(`https://127.0.0.1:${server.port}`, { ca: pki.ca.cert, cert, key });
    const stream = session.request({ ":path": "/api/v1/namespaces/default" });
    let text = "";
    for await (const chunk of stream) text += String(chunk as Buffer);
    await new Promise<void>((resolve) => session.close(() => resolve()));
    expect(JSON.parse(text)).toMatchObject({ kind: "Namespace", metadata: { name: "default" } });
  });

  it("speaks HTTP/1.1, and refuses an upgrade with an answer", async () => {
    const ask = (headers: Record<string, string>, path: string): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port: server.port, path, ca: pki.ca.cert, agent: false, headers };
        const outgoing = httpsRequest(options, (answer) => {
          let text = "";
          answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
          answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
        });
        outgoing.on("error", reject);
        outgoing.end();
      });
    expect(await ask({}, "/readyz")).toEqual({ status: 200, text: "ok" });
    const exec = "/api/v1/namespaces/default/pods/user/exec?command=ls";
    const refused = await ask({ connection: "Upgrade", upgrade: "websocket" }, exec);
    expect(refused.status).toBe(403);
  });
});
