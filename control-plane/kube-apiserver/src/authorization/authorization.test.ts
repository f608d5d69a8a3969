import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Transport } from "@coracle/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, eventually, startAccessServer, type AccessServer, type Reply } from "../access-fixture.ts";
import { startPeer, testAuthority, type Peer } from "../outbound/peer-fixture.ts";
import { parsePolicyFile } from "./abac.ts";

const AUTHORIZATION = "/apis/authorization.k8s.io/v1";

/** The status of a SubjectAccessReview. */
async function reviewOf(server: AccessServer, spec: object): Promise<Record<string, unknown>> {
  const body = { kind: "SubjectAccessReview", apiVersion: "authorization.k8s.io/v1", spec };
  const { status, json } = await call(server.admin, "POST", `${AUTHORIZATION}/subjectaccessreviews`, body);
  expect([status, json["message"]]).toEqual([201, undefined]);
  return json["status"] as Record<string, unknown>;
}

const asNode = (attributes: object): object => ({
  user: "system:node:n1",
  groups: ["system:nodes", "system:authenticated"],
  resourceAttributes: attributes,
});

function kubeconfigOf(url: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    clusters: [
      {
        name: "c",
        cluster: { server: url, "certificate-authority-data": Buffer.from(testAuthority.cert).toString("base64") },
      },
    ],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
  });
}

describe("Node and RBAC", () => {
  let server: AccessServer;
  beforeAll(async () => {
    server = await startAccessServer();
    const { admin } = server;
    const post = async (path: string, body: object): Promise<void> => {
      const reply = await call(admin, "POST", path, body);
      expect([reply.status, reply.json["message"]]).toEqual([201, undefined]);
    };
    const namespaced = "/api/v1/namespaces/default";
    await post("/api/v1/nodes", { metadata: { name: "n1" } });
    for (const name of ["sa", "default"]) await post(`${namespaced}/serviceaccounts`, { metadata: { name } });
    await post(`${namespaced}/pods`, {
      metadata: { name: "mine" },
      spec: {
        nodeName: "n1",
        serviceAccountName: "sa",
        containers: [{ name: "c", image: "i", envFrom: [{ secretRef: { name: "from-env" } }] }],
        volumes: [
          { name: "a", configMap: { name: "map" } },
          { name: "b", persistentVolumeClaim: { claimName: "claim" } },
          { name: "c", projected: { sources: [{ secret: { name: "projected" } }] } },
        ],
      },
    });
    await post(`${namespaced}/pods`, {
      metadata: { name: "theirs" },
      spec: { nodeName: "n2", containers: [{ name: "c", image: "i", envFrom: [{ secretRef: { name: "other" } }] }] },
    });
    await post("/api/v1/persistentvolumes", {
      metadata: { name: "volume" },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace: "default", name: "claim" },
        csi: {
          driver: "d.example",
          volumeHandle: "h",
          nodePublishSecretRef: { name: "publish", namespace: "vault" },
          controllerPublishSecretRef: { name: "control", namespace: "vault" },
        },
      },
    });
    await post(`${namespaced}/persistentvolumeclaims`, {
      metadata: { name: "claim" },
      spec: {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: "1Gi" } },
        volumeName: "volume",
        storageClassName: "",
      },
    });
    await post("/apis/storage.k8s.io/v1/volumeattachments", {
      metadata: { name: "attached" },
      spec: { attacher: "d.example", nodeName: "n1", source: { persistentVolumeName: "volume" } },
    });
    for (const nodeName of ["n1", "n2"]) {
      await post("/apis/resource.k8s.io/v1/resourceslices", {
        metadata: { name: `slice-${nodeName}` },
        spec: { driver: "d.example", nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 } },
      });
    }
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const NONE = "no relationship found between node 'n1' and this object";
  const core = (verb: string, resource: string, name = "", more: object = {}): object => ({
    verb,
    resource,
    name,
    namespace: "default",
    ...more,
  });
  const cluster = (verb: string, group: string, resource: string, name = "", more: object = {}): object => ({
    verb,
    group,
    resource,
    name,
    ...more,
  });
  const ofNode = (node: string): object => ({ fieldSelector: { rawSelector: `spec.nodeName=${node}` } });

  it.each<[object, string | true]>([
    [core("get", "secrets", "from-env"), true],
    [core("watch", "secrets", "projected"), true],
    [core("get", "secrets", "other"), NONE],
    [core("list", "secrets"), "No Object name found"],
    [core("update", "secrets", "from-env"), "can only read resources of this type"],
    [core("get", "secrets", "from-env", { subresource: "x" }), "cannot read subresource"],
    [core("get", "secrets", "publish", { namespace: "vault" }), true],
    [core("get", "secrets", "control", { namespace: "vault" }), NONE],
    [core("get", "configmaps", "map"), true],
    [core("get", "configmaps", "map", { namespace: "kube-system" }), NONE],
    [core("get", "persistentvolumeclaims", "claim"), true],
    [core("list", "persistentvolumeclaims", "claim"), "can only get individual resources of this type"],
    [core("patch", "persistentvolumeclaims", "claim", { subresource: "status" }), true],
    [core("get", "persistentvolumeclaims", "claim", { subresource: "status" }), "can only get/update/patch this type"],
    [cluster("get", "", "persistentvolumes", "volume"), true],
    [cluster("get", "", "persistentvolumes", "another"), NONE],
    [cluster("get", "storage.k8s.io", "volumeattachments", "attached"), true],
    [cluster("get", "storage.k8s.io", "volumeattachments", "x"), NONE],
    [core("create", "serviceaccounts", "sa", { subresource: "token" }), true],
    [core("create", "serviceaccounts", "default", { subresource: "token" }), NONE],
    [core("get", "serviceaccounts", "sa"), true],
    [core("list", "serviceaccounts"), "can only create tokens for individual service accounts"],
    [
      core("create", "serviceaccounts", "sa", { subresource: "x" }),
      "can only create token subresource of serviceaccount",
    ],
    [core("get", "pods", "mine"), true],
    [core("get", "pods", "theirs"), NONE],
    [core("list", "pods", "", ofNode("n1")), true],
    [core("list", "pods", "", ofNode("n2")), "can only list/watch pods with spec.nodeName field selector"],
    [core("list", "pods"), "can only list/watch pods with spec.nodeName field selector"],
    [core("create", "pods"), true],
    [core("patch", "pods", "theirs", { subresource: "status" }), true],
    [core("create", "pods", "theirs", { subresource: "eviction" }), true],
    [core("deletecollection", "pods"), ""],
    [cluster("get", "", "nodes", "n1"), true],
    [cluster("get", "", "nodes", "n2"), "node 'n1' cannot read 'n2', only its own Node object"],
    [cluster("list", "", "nodes"), "node 'n1' cannot read all nodes, only its own Node object"],
    [cluster("patch", "", "nodes", "n2", { subresource: "status" }), true],
    [cluster("delete", "", "nodes", "n1"), ""],
    [core("update", "leases", "n1", { group: "coordination.k8s.io", namespace: "kube-node-lease" }), true],
    [
      core("update", "leases", "n2", { group: "coordination.k8s.io", namespace: "kube-node-lease" }),
      "can only access node lease with the same name as the requesting node",
    ],
    [
      core("update", "leases", "n1", { group: "coordination.k8s.io" }),
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      core("list", "leases", "", { group: "coordination.k8s.io", namespace: "kube-node-lease" }),
      "can only get, create, update, patch, or delete a node lease",
    ],
    [cluster("create", "storage.k8s.io", "csinodes"), true],
    [
      cluster("get", "storage.k8s.io", "csinodes", "n2"),
      "can only access CSINode with the same name as the requesting node",
    ],
    [cluster("delete", "resource.k8s.io", "resourceslices", "slice-n1"), true],
    [cluster("delete", "resource.k8s.io", "resourceslices", "slice-n2"), NONE],
    [cluster("list", "resource.k8s.io", "resourceslices", "", ofNode("n1")), true],
    [
      cluster("list", "resource.k8s.io", "resourceslices"),
      "can only list/watch/deletecollection resourceslices with nodeName field selector",
    ],
    [cluster("create", "certificates.k8s.io", "podcertificaterequests"), ""],
    [cluster("create", "authentication.k8s.io", "tokenreviews"), true],
  ])("a node asks %j: %j", async (attributes, expected) => {
    const status = await reviewOf(server, asNode(attributes));
    if (expected === true) expect(status).toMatchObject({ allowed: true });
    else expect(status).toEqual({ allowed: false, ...(expected === "" ? {} : { reason: expected }) });
  });

  it("a review says why something is allowed", async () => {
    const anyone = { user: "jane", groups: ["system:authenticated"] };
    expect(await reviewOf(server, { ...anyone, nonResourceAttributes: { path: "/healthz", verb: "get" } })).toEqual({
      allowed: true,
      reason: expect.stringMatching(
        /^RBAC: allowed by ClusterRoleBinding "system:[a-z-]+" of ClusterRole "system:[a-z-]+" to Group "system:authenticated"$/,
      ),
    });
  });

  it("roles that are bound but not there are named, in reviews and refusals", async () => {
    const path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    const apiGroup = "rbac.authorization.k8s.io";
    for (const kind of ["Role", "ClusterRole"]) {
      await call(server.admin, "POST", path, {
        metadata: { name: `to-${kind.toLowerCase()}` },
        roleRef: { apiGroup, kind, name: "nowhere" },
        subjects: [{ apiGroup, kind: "User", name: "lost" }],
      });
    }
    const reply = await call(server.as("lost"), "GET", "/api/v1/namespaces/default/pods");
    expect(reply.json["message"]).toBe(
      'pods is forbidden: User "lost" cannot list resource "pods" in API group "" in the namespace "default": RBAC: [role.rbac.authorization.k8s.io "nowhere" not found, clusterrole.rbac.authorization.k8s.io "nowhere" not found]',
    );
  });

  it.each<[object, string]>([
    [
      {
        fieldSelector: { requirements: [{ key: "a", operator: "Exists" }] },
        labelSelector: { rawSelector: "a in (b" },
      },
      "spec.resourceAttributes.fieldSelector ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error",
    ],
    [
      {
        fieldSelector: {
          requirements: [
            { key: "a", operator: "In", values: ["b"] },
            { key: "c", operator: "Later", values: ["d"] },
          ],
        },
      },
      "spec.resourceAttributes.fieldSelector partially ignored due to parse error",
    ],
  ])("a selector of %j is told to be ignored", async (selectors, evaluationError) => {
    const resourceAttributes = { verb: "list", resource: "pods", ...selectors };
    expect(await reviewOf(server, { user: "jane", resourceAttributes })).toEqual({ allowed: false, evaluationError });
  });

  it.each<[object, object, string]>([
    [
      { resourceAttributes: { fieldSelector: {} } },
      {},
      "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
    ],
    [
      { resourceAttributes: { labelSelector: { rawSelector: "a", requirements: [{ key: "a", operator: "Exists" }] } } },
      {},
      'spec.resourceAttributes.labelSelector.rawSelector: Invalid value: "a": may not specified at the same time as requirements',
    ],
    [
      { resourceAttributes: { labelSelector: { requirements: [{ key: "a", operator: "In" }] } } },
      {},
      "spec.resourceAttributes.labelSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ],
    [{ resourceAttributes: {} }, { name: "x" }, 'metadata: Invalid value: {"name":"x"}: must be empty'],
    [
      {},
      {},
      "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
    ],
  ])("a review of %j %j is refused: %s", async (spec, metadata, why) => {
    const body = { kind: "SelfSubjectAccessReview", apiVersion: "authorization.k8s.io/v1", metadata, spec };
    const { status, json } = await call(server.admin, "POST", `${AUTHORIZATION}/selfsubjectaccessreviews`, body);
    expect([status, json["message"]]).toEqual([422, `.authorization.k8s.io "" is invalid: ${why}`]);
  });

  it("the list of what a node may do is said to be incomplete", async () => {
    const body = {
      kind: "SelfSubjectRulesReview",
      apiVersion: "authorization.k8s.io/v1",
      spec: { namespace: "default" },
    };
    const path = `${AUTHORIZATION}/selfsubjectrulesreviews`;
    const { json } = await call(server.as("system:node:n1", "system:nodes"), "POST", path, body);
    expect(json["status"]).toMatchObject({
      incomplete: true,
      evaluationError: "node authorizer does not support user rule resolution",
    });
    const { json: own } = await call(server.as("jane"), "POST", path, body);
    expect(own["status"]).toMatchObject({
      incomplete: false,
      resourceRules: expect.arrayContaining([
        { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
      ]),
    });
    expect(own["status"]).not.toHaveProperty("evaluationError");
  });

  it("what a client chose is harmless in the refusal, and HTML", async () => {
    const { json } = await call(server.as("jane"), "GET", "/<b>&");
    expect(json["message"]).toBe('forbidden: User "jane" cannot get path "/&lt;b&gt;&amp;"');
  });

  it("who has no right learns nothing: the same words for what is there and what is not", async () => {
    const jane = server.as("jane");
    const say = async (name: string): Promise<unknown> => {
      const reply = await call(jane, "GET", `/api/v1/namespaces/default/secrets/${name}`);
      return [reply.status, JSON.stringify(reply.json).replaceAll(name, "NAME")];
    };
    expect(await say("mine")).toEqual(await say("nothing"));
    const put = await call(jane, "PUT", "/api/v1/namespaces/default/pods/mine", { nonsense: true });
    expect(put.status).toBe(403);
  });
});

describe("ABAC", () => {
  const POLICY = [
    '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"*","apiGroup":"*","nonResourcePath":"*"}}',
    "# a comment",
    '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"readers","namespace":"default","resource":"pods","readonly":true}}',
    '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"*","nonResourcePath":"/version*","readonly":true}}',
    '{"user":"old","resource":"services","readonly":true}',
    "",
  ].join("\n");
  let server: AccessServer;
  beforeAll(async () => {
    server = await startAccessServer((dir) => {
      const policyFile = join(dir, "policy.jsonl");
      writeFileSync(policyFile, POLICY);
      return { authorizationModes: ["ABAC"], authorization: { policyFile } };
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each<[string, string[], string, string, number]>([
    ["alice", [], "POST", "/api/v1/namespaces", 201],
    ["rita", ["readers"], "GET", "/api/v1/namespaces/default/pods", 200],
    ["rita", ["readers"], "DELETE", "/api/v1/namespaces/default/pods/x", 403],
    ["rita", ["readers"], "GET", "/api/v1/namespaces/kube-system/pods", 403],
    ["rita", ["readers"], "GET", "/api/v1/namespaces/default/services", 403],
    ["anyone", [], "GET", "/version", 200],
    ["anyone", [], "GET", "/metrics", 403],
    ["old", [], "GET", "/api/v1/namespaces/kube-system/services", 200],
    ["old", [], "GET", "/apis/apps/v1/namespaces/kube-system/services", 404],
  ])("%s %j: %s %s is %i", async (user, groups, method, path, code) => {
    const body = method === "POST" ? { metadata: { name: "made" } } : undefined;
    expect((await call(server.as(user, ...groups), method, path, body)).status).toBe(code);
  });

  it("a refusal says that no policy matched; without a name nobody is meant by *", async () => {
    const reply = await call(server.nobody, "GET", "/version");
    expect(reply.json["message"]).toBe(
      'forbidden: User "system:anonymous" cannot get path "/version": No policy matched.',
    );
  });

  it("a list of rules comes from the file", async () => {
    const body = {
      kind: "SelfSubjectRulesReview",
      apiVersion: "authorization.k8s.io/v1",
      spec: { namespace: "default" },
    };
    const { json } = await call(server.as("alice"), "POST", `${AUTHORIZATION}/selfsubjectrulesreviews`, body);
    expect(json["status"]).toMatchObject({ resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }] });
  });

  it.each([
    ["{", "error reading policy file f, line 1: {: "],
    ["\n[]", "error reading policy file f, line 2: []: a policy is a JSON object"],
    ['{"apiVersion":"v9","kind":"Policy"}', 'no kind "Policy" is registered for version "v9"'],
    ['{"user":1}', "json: cannot unmarshal number into Go struct field Policy.user of type string"],
    ['{"readonly":"yes"}', "of type bool"],
  ])("a file with %j is refused with its line", (content, message) => {
    expect(() => parsePolicyFile(content, "f")).toThrow(message);
  });

  it("whatever stands in a file, it is read or refused", () => {
    const seeds = POLICY.split("\n");
    let state = 12_345;
    const next = (limit: number): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % limit;
    for (let i = 0; i < 5000; i++) {
      const text = Array.from(seeds[next(seeds.length)]!);
      for (let j = 0; j <= next(4); j++) text[next(text.length + 1)] = String.fromCodePoint(next(0x300) + 1);
      try {
        expect(Array.isArray(parsePolicyFile(text.join(""), "f"))).toBe(true);
      } catch (error) {
        expect((error as Error).message).toContain("error reading policy file f, line ");
      }
    }
  });
});

describe("a webhook in an AuthorizationConfiguration", () => {
  let peer: Peer;
  let server: AccessServer;
  let path: string;
  const verdicts: Record<string, object> = {};
  const configuration = (url: string, more: string, chain = ""): string => `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: first.example
  webhook:
    timeout: 3s
    authorizedTTL: 1m
    unauthorizedTTL: 1m
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    connectionInfo: { type: KubeConfigFile, kubeConfigFile: ${url} }
    matchConditions:
    - expression: "!('system:nodes' in request.groups)"
    - expression: has(request.resourceAttributes)
    - expression: request.resourceAttributes.namespace != 'kube-system'
${more}
${chain}
- { type: Node, name: node }
- { type: RBAC, name: rbac }
`;
  beforeAll(async () => {
    peer = await startPeer((seen) => {
      const { spec } = JSON.parse(seen.body) as { readonly spec: { readonly user: string } };
      const status = verdicts[spec.user] ?? { allowed: false };
      return { body: JSON.stringify({ kind: "SubjectAccessReview", apiVersion: "authorization.k8s.io/v1", status }) };
    });
    server = await startAccessServer((dir) => {
      const kubeconfig = join(dir, "webhook.kubeconfig");
      writeFileSync(kubeconfig, kubeconfigOf(`${peer.url}/authorize`));
      path = join(dir, "authorization.yaml");
      writeFileSync(path, configuration(kubeconfig, "    failurePolicy: Deny"));
      return { authorizationModes: [], authorization: { configFile: path } };
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await peer[Symbol.asyncDispose]();
  });
  const people = new Map<string, Transport>();
  const person = (user: string): Transport => {
    const known = people.get(user) ?? server.as(user, "people");
    people.set(user, known);
    return known;
  };
  const list = (user: string, namespace = "default", query = ""): Promise<Reply> =>
    call(person(user), "GET", `/api/v1/namespaces/${namespace}/pods${query}`);

  it("decides, is asked once, and learns the selectors", async () => {
    verdicts["wendy"] = { allowed: true, reason: "a friend" };
    peer.seen.length = 0;
    expect((await list("wendy", "default", "?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn1")).status).toBe(200);
    expect((await list("wendy", "default", "?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn1")).status).toBe(200);
    expect(peer.seen.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      expect.objectContaining({
        kind: "SubjectAccessReview",
        spec: {
          user: "wendy",
          groups: ["people", "system:authenticated"],
          extra: expect.any(Object),
          resourceAttributes: {
            namespace: "default",
            verb: "list",
            version: "v1",
            resource: "pods",
            fieldSelector: { requirements: [{ key: "spec.nodeName", operator: "In", values: ["n1"] }] },
            labelSelector: { requirements: [{ key: "a", operator: "In", values: ["b"] }] },
          },
        },
      }),
    ]);
  });

  it("a denial ends the chain, a word of no opinion does not", async () => {
    verdicts["dora"] = { allowed: false, denied: true, reason: "an enemy" };
    verdicts["nora"] = { allowed: false, reason: "unknown here" };
    expect((await list("dora")).json["message"]).toMatch(/in the namespace "default": an enemy$/);
    expect((await list("nora")).json["message"]).toMatch(/in the namespace "default": unknown here$/);
  });

  it("is not asked where its conditions do not hold", async () => {
    peer.seen.length = 0;
    await list("dora", "kube-system");
    await call(server.as("dora"), "GET", "/version");
    expect(peer.seen).toEqual([]);
  });

  it("whose conditions cannot be evaluated denies, when it is to deny on failure: 500, as nobody knows", async () => {
    expect((await call(server.as("evan"), "GET", "/healthz")).status).toBe(200);
    peer.behave = () => ({ status: 400, body: "{}" });
    const reply = await list("frank");
    expect(reply.status).toBe(500);
    expect(reply.text).toMatch(/^Internal Server Error: "\/api\/v1\/namespaces\/default\/pods": /);
  });

  it("a changed file takes effect; one that drops what must stay does not", async () => {
    const write = (content: string): void => {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    };
    const reloads = async (status: string): Promise<number> => {
      const { text } = await call(server.admin, "GET", "/metrics");
      const name = "apiserver_authorization_config_controller_automatic_reloads_total";
      return Number(new RegExp(`${name}\\{[^}]*status="${status}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
    };
    const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n";
    write(`${head}- { type: RBAC, name: rbac }\n`);
    await eventually(
      () => reloads("failure"),
      (count) => count >= 1,
    );
    expect((await list("frank")).status).toBe(500);
    write(
      `${head}- { type: Node, name: node }\n- { type: RBAC, name: rbac }\n- { type: AlwaysAllow, name: alwaysallow }\n`,
    );
    await eventually(
      () => reloads("success"),
      (count) => count === 1,
    );
    expect((await list("frank")).status).toBe(200);
    const { text } = await call(server.admin, "GET", "/metrics");
    expect(text).toContain(
      'apiserver_authorization_decisions_total{decision="allowed",name="alwaysallow",type="AlwaysAllow"}',
    );
  });
});

it.each([
  ["authorizers: []", "authorizers: Required value: at least one authorization mode must be defined"],
  [
    "authorizers: [{type: Foo, name: foo}]",
    'authorizers[0].type: Unsupported value: "Foo": supported values: "ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"',
  ],
  ["authorizers: [{type: RBAC, name: rbac}, {type: RBAC, name: b}]", 'authorizers[1].type: Duplicate value: "RBAC"'],
  ["authorizers: [{type: RBAC, name: x}]", "expected name rbac for authorizer RBAC instead of x"],
  ["authorizers: [{type: RBAC, name: rbac, what: 1}]", 'strict decoding error: unknown field "authorizers[0].what"'],
  ["authorizers: [{type: Webhook, name: w}]", "authorizers[0].webhook: Required value: required when type=Webhook"],
  [
    "authorizers: [{type: Webhook, name: w, webhook: {timeout: 31s, subjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: x}}}]",
    'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s, authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "x": must be an absolute path',
  ],
  [
    "authorizers: [{type: Webhook, name: w, webhook: {timeout: 3s, subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /dev/null}, matchConditions: [{expression: request.user}]}}]",
    'authorizers[0].matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but got string',
  ],
])("a server does not start with %s", async (content, message) => {
  const starting = startAccessServer((dir) => {
    const configFile = join(dir, "authorization.yaml");
    writeFileSync(configFile, `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n${content}\n`);
    return { authorizationModes: [], authorization: { configFile } };
  });
  await expect(starting).rejects.toThrow(message);
});
