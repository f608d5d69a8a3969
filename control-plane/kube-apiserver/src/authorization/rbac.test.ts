import { createMemoryStore } from "@coracle/etcd";
import { systemClock, systemRandom, silentLogger } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, startAccessServer, type AccessServer, type Reply } from "../access-fixture.ts";
import { startApiServer } from "../run-api-server.ts";

const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const apiGroup = "rbac.authorization.k8s.io";

describe("nobody grants more than he has", () => {
  let server: AccessServer;
  beforeAll(async () => {
    server = await startAccessServer();
    const { admin } = server;
    await call(admin, "POST", `${RBAC}/clusterroles`, {
      metadata: { name: "role-writer" },
      rules: [
        { apiGroups: [apiGroup], resources: ["*"], verbs: ["get", "create", "update", "patch", "delete"] },
        { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
      ],
    });
    await call(admin, "POST", `${RBAC}/clusterrolebindings`, {
      metadata: { name: "role-writer" },
      roleRef: { apiGroup, kind: "ClusterRole", name: "role-writer" },
      subjects: [{ apiGroup, kind: "User", name: "rose" }],
    });
    await call(admin, "POST", `${RBAC}/clusterroles`, {
      metadata: { name: "strong" },
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }],
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const asRose = (method: string, path: string, body?: object): Promise<Reply> =>
    call(server.as("rose"), method, `${RBAC}${path}`, body);

  it("a role of what she has is made, one of more is not", async () => {
    const rules = [{ apiGroups: [""], resources: ["pods"], resourceNames: ["one"], verbs: ["get"] }];
    expect((await asRose("POST", "/clusterroles", { metadata: { name: "weak" }, rules })).status).toBe(201);
    const more = [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] }];
    const reply = await asRose("POST", "/clusterroles", { metadata: { name: "more" }, rules: more });
    expect([reply.status, reply.json["message"]]).toEqual([
      403,
      'clusterroles.rbac.authorization.k8s.io "more" is forbidden: user "rose" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
    ]);
  });

  it("a role stronger than she is cannot even be labelled by her, though its finalizers can be taken off", async () => {
    expect((await asRose("PATCH", "/clusterroles/strong", { metadata: { labels: { a: "b" } } })).status).toBe(403);
    expect((await asRose("PATCH", "/clusterroles/strong", { metadata: { finalizers: ["x.io/y"] } })).status).toBe(200);
    expect((await asRose("PATCH", "/clusterroles/strong", { metadata: { finalizers: [] } })).status).toBe(200);
  });

  it("a role that gathers others is for those who may do everything", async () => {
    const reply = await asRose("POST", "/clusterroles", {
      metadata: { name: "gatherer" },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: "b" } }] },
    });
    expect(reply.json["message"]).toBe(
      'clusterroles.rbac.authorization.k8s.io "gatherer" is forbidden: must have cluster-admin privileges to use the aggregationRule',
    );
  });

  it("a binding needs the role's rules, or the verb bind", async () => {
    const binding = {
      metadata: { name: "b" },
      roleRef: { apiGroup, kind: "ClusterRole", name: "strong" },
      subjects: [{ apiGroup, kind: "User", name: "rose" }],
    };
    expect((await asRose("POST", "/namespaces/default/rolebindings", binding)).status).toBe(403);
    await call(server.admin, "POST", `${RBAC}/clusterroles`, {
      metadata: { name: "binder" },
      rules: [{ apiGroups: [apiGroup], resources: ["clusterroles"], resourceNames: ["strong"], verbs: ["bind"] }],
    });
    await call(server.admin, "POST", `${RBAC}/clusterrolebindings`, {
      metadata: { name: "binder" },
      roleRef: { apiGroup, kind: "ClusterRole", name: "binder" },
      subjects: [{ apiGroup, kind: "User", name: "rose" }],
    });
    expect((await asRose("POST", "/namespaces/default/rolebindings", binding)).status).toBe(201);
  });
});

it("at its start a server mends its roles and bindings: what is missing comes back, what was added stays, and who says no is heard", async () => {
  await using first = await startAccessServer();
  const store = createMemoryStore({ clock: systemClock });
  const start = () =>
    startApiServer({
      config: {
        serviceClusterIpRanges: ["10.0.0.0/24"],
        serviceNodePortRange: "30000-32767",
        advertiseAddress: "192.0.2.1",
        authorizationModes: ["RBAC"],
        anonymousAuth: true,
        clientCa: first.pki.ca.cert,
        serviceAccounts: {
          issuers: ["https://i"],
          signingKey: first.pki.serviceAccountKey,
          extendTokenExpiration: true,
        },
        maxRequestsInflight: 400,
        maxMutatingRequestsInflight: 200,
        minRequestTimeoutSeconds: 1800,
        admission: { enable: [], disable: [] },
      },
      store,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
  const role = `${RBAC}/clusterroles/system:kube-scheduler`;
  const other = `${RBAC}/clusterroles/system:node-problem-detector`;
  const binding = `${RBAC}/clusterrolebindings/system:kube-scheduler`;
  const gone = `${RBAC}/clusterroles/system:monitoring`;
  const own = { apiGroups: ["example.com"], resources: ["things"], verbs: ["get"] };
  {
    await using server = await start();
    const admin = server.transport({ clientCertificate: first.pki.client("admin").cert });
    const patched = [
      await call(admin, "PATCH", role, { metadata: { annotations: null, labels: { mine: "1" } }, rules: [own] }),
      await call(admin, "PATCH", other, {
        metadata: { annotations: { "rbac.authorization.kubernetes.io/autoupdate": "false" } },
        rules: [own],
      }),
      await call(admin, "PATCH", binding, { subjects: [{ apiGroup, kind: "User", name: "me" }] }),
      await call(admin, "DELETE", gone),
    ];
    expect(patched.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  }
  {
    await using server = await start();
    const admin = server.transport({ clientCertificate: first.pki.client("admin").cert });
    const mended = (await call(admin, "GET", role)).json;
    expect(mended["metadata"]).toMatchObject({
      labels: { mine: "1", "kubernetes.io/bootstrapping": "rbac-defaults" },
      annotations: { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    });
    const rules = mended["rules"] as object[];
    expect(rules[0]).toEqual(own);
    expect(rules.length).toBeGreaterThan(5);
    expect((await call(admin, "GET", other)).json["rules"]).toEqual([own]);
    expect((await call(admin, "GET", binding)).json["subjects"]).toEqual([
      { apiGroup, kind: "User", name: "me" },
      { apiGroup, kind: "User", name: "system:kube-scheduler" },
    ]);
    expect((await call(admin, "GET", gone)).status).toBe(200);
    expect((await call(first.admin, "GET", "/readyz?verbose")).text).toContain("[+]poststarthook/rbac/bootstrap-roles");
  }
  await store[Symbol.asyncDispose]();
});
