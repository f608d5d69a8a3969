import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { Transport } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { createAuthority, openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";
import { startSampleServer, type SampleServer } from "./sample-server-fixture.ts";

const DAY_MS = 86_400_000;
const SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices";
const NAME = "v1alpha1.wardle.example.com";
const ROOT = "/apis/wardle.example.com/v1alpha1";
const FLUNDERS = `${ROOT}/namespaces/default/flunders`;
const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

let dir: string;
let pki: ClusterPki;
let store: Store;
let server: RunningApiServer;
let sample: SampleServer;
let admin: Transport;
let caBundle: string;

interface Condition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** A group version in aggregated discovery. */
interface Entry {
  readonly version: string;
  readonly freshness: string;
  readonly resources?: readonly { readonly responseKind: { readonly group: string } }[];
}

/** What these tests look at in answers. */
interface Answer {
  readonly metadata: { readonly name: string };
  readonly items: readonly Answer[];
  readonly versions: readonly Entry[];
  readonly groups: readonly { readonly name: string }[];
  readonly status: { readonly conditions?: readonly Condition[]; readonly allowed: boolean };
  readonly spec: { readonly versionPriority: number };
  readonly message: string;
  readonly data: Readonly<Record<string, string>>;
  readonly info: { readonly title: string };
  readonly paths: Readonly<
    Record<string, { readonly serverRelativeURL: string; readonly get: { readonly operationId: string } } | undefined>
  >;
  readonly definitions: Readonly<
    Record<
      string,
      | { readonly description?: string; readonly properties: { readonly metadata: { readonly $ref: string } } }
      | undefined
    >
  >;
}

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly json: Answer;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

async function ask(
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
  as: Transport = admin,
): Promise<Reply> {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const answer = await as.request({
    method,
    path,
    headers: { ...(body === undefined ? {} : { "content-type": type }), ...headers },
    body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
  });
  const parts: Buffer[] = [];
  for await (const part of answer.body) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString("utf8");
  return {
    status: answer.status,
    text,
    get json() {
      return JSON.parse(text) as Answer;
    },
    headers: answer.headers,
  };
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 1500; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error("it did not come to that");
}

const available = async (name = NAME): Promise<Condition | undefined> =>
  (await ask("GET", `${SERVICES}/${name}`)).json.status?.conditions?.[0];
const untilReason = (reason: string, name = NAME): Promise<Condition> =>
  until(async () => {
    const condition = await available(name);
    return condition?.reason === reason ? condition : undefined;
  });
const behave = (behaviour: SampleServer["behaviour"]): void => void (sample.behaviour = behaviour);
/** A change that makes the server look again. */
const touch = (): Promise<Reply> =>
  ask("PATCH", `${SERVICES}/${NAME}`, { metadata: { annotations: { touched: String(touches++) } } });
let touches = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "aggregation-"));
  const now = Date.now();
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now });
  const validity = { notBefore: now - DAY_MS, notAfter: now + DAY_MS };
  const authority = createAuthority({ subject: { commonName: "sample-ca" }, ...validity });
  caBundle = Buffer.from(authority.cert).toString("base64");
  const serving = authority.issue({
    subject: { commonName: "sample" },
    usages: ["server"],
    names: ["api.default.svc"],
    ...validity,
  });
  sample = await startSampleServer({
    ...serving,
    requestHeaderCa: pki.frontProxyCa.cert,
    allowedNames: ["front-proxy-client"],
    async mayDo(user, verb, namespace, name) {
      const spec = {
        user: user.name,
        groups: user.groups,
        resourceAttributes: {
          group: "wardle.example.com",
          version: "v1alpha1",
          resource: "flunders",
          verb,
          namespace,
          name,
        },
      };
      const review = { kind: "SubjectAccessReview", apiVersion: "authorization.k8s.io/v1", spec };
      return (await ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)).json.status.allowed;
    },
  });
  store = createMemoryStore({ clock: systemClock });
  server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: { issuers: ["https://i"], signingKey: pki.serviceAccountKey, extendTokenExpiration: true },
      aggregation: { proxyClient: () => pki.frontProxyClient },
      maxRequestsInflight: 400,
      maxMutatingRequestsInflight: 200,
      minRequestTimeoutSeconds: 1800,
      admission: { enable: [], disable: ["ServiceAccount"] },
    },
    store,
    listen: { host: "127.0.0.1", port: 0, cert: pki.apiServer.cert, key: pki.apiServer.key },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  admin = server.transport({ clientCertificate: pki.client("admin").cert });
  const service = await ask("POST", "/api/v1/namespaces/default/services", {
    metadata: { name: "api" },
    spec: { type: "ExternalName", externalName: "localhost" },
  });
  expect(service.status).toBe(201);
  const registered = await ask("POST", SERVICES, {
    metadata: { name: NAME, labels: { sample: "yes" } },
    spec: {
      group: "wardle.example.com",
      version: "v1alpha1",
      service: { namespace: "default", name: "api", port: sample.port },
      caBundle,
      groupPriorityMinimum: 2000,
      versionPriority: 200,
    },
  });
  expect(registered.status).toBe(201);
  await untilReason("Passed");
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await sample[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

beforeEach(async () => {
  if (sample.behaviour === "honest") return;
  behave("honest");
  await touch();
  await untilReason("Passed");
});

describe("a registered server", () => {
  it("is available once it answers", async () => {
    expect(await available()).toMatchObject({ status: "True", reason: "Passed", message: "all checks passed" });
    expect(sample.seen[0]).toBe(`GET ${ROOT}`);
  });

  it("answers for its resources: create, get, list, delete", async () => {
    const made = await ask("POST", FLUNDERS, { kind: "Flunder", metadata: { name: "f" } });
    expect(made).toMatchObject({ status: 201, json: { metadata: { name: "f", namespace: "default" } } });
    expect((await ask("GET", `${FLUNDERS}/f`)).json).toEqual(made.json);
    expect((await ask("GET", FLUNDERS)).json.items).toHaveLength(1);
    expect((await ask("DELETE", `${FLUNDERS}/f`)).json.status).toBe("Success");
    expect((await ask("GET", `${FLUNDERS}/f`)).status).toBe(404);
  });

  it("is told who asks by the front proxy's headers, whatever the client sent under their names", async () => {
    const headers = {
      "impersonate-user": "ann",
      "impersonate-group": "system:masters",
      "impersonate-uid": "42",
      "impersonate-extra-example.com%2fscope": "read",
      "x-remote-user": "mallory",
      "x-remote-extra-lie": "x",
      authorization: "",
    };
    await ask("GET", FLUNDERS, undefined, headers);
    expect(sample.lastUser).toEqual({
      name: "ann",
      uid: "42",
      groups: expect.arrayContaining(["system:masters"]) as unknown,
      extra: { "example.com/scope": ["read"] },
    });
    expect(sample.lastHeaders["impersonate-user"]).toBeUndefined();
    expect(sample.lastHeaders["authorization"]).toBeUndefined();
    expect(sample.lastHeaders["audit-id"]).toBeDefined();
  });

  it("is not asked for what its user may not do here", async () => {
    const bob = server.transport({ clientCertificate: pki.issueClient({ commonName: "bob" }).cert });
    const before = sample.seen.length;
    const refused = await ask("GET", FLUNDERS, undefined, {}, bob);
    expect(refused.status).toBe(403);
    expect(refused.json.message).toBe(
      'flunders.wardle.example.com is forbidden: User "bob" cannot list resource "flunders" in API group "wardle.example.com" in the namespace "default"',
    );
    expect(sample.seen).toHaveLength(before);
  });

  it("asks this server what a user may do", async () => {
    await ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
      metadata: { name: "flunder-reader" },
      rules: [{ apiGroups: ["wardle.example.com"], resources: ["flunders"], verbs: ["list"] }],
    });
    await ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      metadata: { name: "eve" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "flunder-reader" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "eve" }],
    });
    const eve = server.transport({ clientCertificate: pki.issueClient({ commonName: "eve" }).cert });
    expect((await ask("GET", FLUNDERS, undefined, {}, eve)).status).toBe(200);
    expect(sample.lastUser).toMatchObject({ name: "eve", groups: ["system:authenticated"] });
  });

  it("streams watches, event by event, and ends them with the client", async () => {
    const answer = await admin.request({
      method: "GET",
      path: `${FLUNDERS}?watch=true`,
      headers: {},
      body: undefined,
    });
    const events = answer.body[Symbol.asyncIterator]();
    await ask("POST", FLUNDERS, { kind: "Flunder", metadata: { name: "w" } });
    expect(JSON.parse(String((await events.next()).value))).toMatchObject({
      type: "ADDED",
      object: { metadata: { name: "w" } },
    });
    await ask("DELETE", `${FLUNDERS}/w`);
    expect(JSON.parse(String((await events.next()).value))).toMatchObject({ type: "DELETED" });
    await events.return?.();
  });

  it("cuts a watch off where the other server broke it", async () => {
    behave("breaking");
    const answer = await admin.request({ method: "GET", path: `${FLUNDERS}?watch=true`, headers: {}, body: undefined });
    await expect(
      (async () => {
        for await (const _ of answer.body);
      })(),
    ).rejects.toThrow();
  });

  it.each(["websocket", "SPDY/3.1"])("takes upgrades to %s in the user's name", async (protocol) => {
    const echoed = await new Promise<string>((resolve, reject) => {
      const outgoing = httpsRequest({
        host: "127.0.0.1",
        port: server.port,
        path: `${FLUNDERS}/f/echo`,
        ca: pki.ca.cert,
        ...pki.client("admin"),
        agent: false,
        headers: {
          connection: "Upgrade",
          upgrade: protocol,
          "sec-websocket-version": "13",
          "sec-websocket-key": randomBytes(16).toString("base64"),
          "sec-websocket-protocol": "base64url.bearer.authorization.k8s.io.c2VjcmV0, echo",
          "x-remote-user": "mallory",
        },
      });
      outgoing.on("error", reject);
      outgoing.on("response", (answer) => reject(new Error(`status ${answer.statusCode}`)));
      outgoing.on("upgrade", (_answer, socket) => {
        socket.once("data", (chunk: Buffer) => {
          resolve(chunk.toString());
          socket.destroy();
        });
        socket.write("hello");
      });
      outgoing.end();
    });
    expect(echoed).toBe("hello");
    expect(sample.lastUser?.name).toBe("kubernetes-admin");
    expect(sample.lastHeaders["sec-websocket-protocol"]).toBe("echo");
  });
});

describe("merged discovery", () => {
  it("lists groups and versions by priority, the aggregation layer's own first", async () => {
    const { groups } = (await ask("GET", "/apis")).json;
    const names = groups.map(({ name }) => name);
    expect(names[0]).toBe("apiregistration.k8s.io");
    expect(names.at(-1)).toBe("wardle.example.com");
    expect((await ask("GET", "/apis/wardle.example.com")).json).toMatchObject({
      kind: "APIGroup",
      name: "wardle.example.com",
      preferredVersion: { groupVersion: "wardle.example.com/v1alpha1", version: "v1alpha1" },
    });
    await ask("PATCH", `${SERVICES}/${NAME}`, { spec: { groupPriorityMinimum: 20_000 } });
    const moved = (await ask("GET", "/apis")).json;
    expect(moved.groups[1]?.name).toBe("wardle.example.com");
    await ask("PATCH", `${SERVICES}/${NAME}`, { spec: { groupPriorityMinimum: 2000 } });
    await untilReason("Passed");
  });

  it("the resources of a group version come from the server", async () => {
    expect((await ask("GET", ROOT)).json).toMatchObject({ kind: "APIResourceList", resources: [{ name: "flunders" }] });
  });

  const entry = async (): Promise<Entry | undefined> => {
    const { items } = (await ask("GET", "/apis", undefined, { accept: AGGREGATED })).json;
    return items.find(({ metadata }) => metadata.name === "wardle.example.com")?.versions[0];
  };

  it("the aggregated form has them in full, and says when they are stale", async () => {
    expect(await until(async () => ((await entry())?.freshness === "Current" ? entry() : undefined))).toMatchObject({
      version: "v1alpha1",
      resources: [{ resource: "flunders", scope: "Namespaced", shortNames: ["fl"] }],
    });
    behave("failing");
    await touch();
    await untilReason("FailedDiscoveryCheck");
    const stale = await until(async () => ((await entry())?.freshness === "Stale" ? entry() : undefined));
    expect(stale).toEqual({ version: "v1alpha1", freshness: "Stale" });
  });

  it("servers that know the old form only are read in it", async () => {
    behave("oldDiscovery");
    await touch();
    const found = await until(async () => {
      const one = await entry();
      return one?.freshness === "Current" && one.resources?.[0]?.responseKind.group === "" ? one : undefined;
    });
    expect(found?.resources).toEqual([
      {
        resource: "flunders",
        responseKind: { group: "", version: "", kind: "Flunder" },
        scope: "Namespaced",
        singularResource: "flunder",
        verbs: ["create", "delete", "get", "list", "watch"],
        shortNames: ["fl"],
      },
    ]);
  });

  it("a server that answers nonsense is stale", async () => {
    behave("lying");
    await touch();
    expect(await until(async () => ((await entry())?.freshness === "Stale" ? true : undefined))).toBe(true);
    expect((await ask("GET", "/api/v1/namespaces/default")).status).toBe(200);
  });
});

describe("merged OpenAPI", () => {
  it("v2 has the server's paths and definitions, under names of their own where they differ", async () => {
    const { json } = await ask("GET", "/openapi/v2");
    expect(json.paths[`${ROOT}/namespaces/{namespace}/flunders`]?.get.operationId).toBe("listFlunder");
    expect(json.paths["/apis/apps/v1/lies"]).toBeUndefined();
    expect(json.definitions["com.example.wardle.v1alpha1.Flunder"]?.properties.metadata.$ref).toBe(
      "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta_v2",
    );
    expect(json.definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]?.description).not.toBe(
      "an old ObjectMeta",
    );
    const accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    const protobuf = await ask("GET", "/openapi/v2", undefined, { accept });
    expect(protobuf.headers["content-type"]).toContain("protobuf");
    expect(protobuf.text).toContain("listFlunder");
  });

  it("v3 names the server's documents, which it serves itself; nobody speaks for our own groups", async () => {
    const { paths } = (await ask("GET", "/openapi/v3")).json;
    expect(paths[ROOT.slice(1)]?.serverRelativeURL).toBe(`/openapi/v3${ROOT}?hash=ABC`);
    expect(paths["apis/apps/v1"]?.serverRelativeURL).not.toContain("lies");
    expect((await ask("GET", `/openapi/v3${ROOT}`)).json.info.title).toBe("sample");
    expect((await ask("GET", "/openapi/v3/apis/apps/v1")).json.info.title).toBe("Kubernetes");
  });
});

describe("a server that is not as it should be", () => {
  it("that refuses discovery is unavailable, and its requests are 503", async () => {
    behave("failing");
    await touch();
    const condition = await untilReason("FailedDiscoveryCheck");
    const url = `https://localhost:${sample.port}${ROOT}`;
    expect(condition).toMatchObject({
      status: "False",
      message: `failing or missing response from ${url}: bad status from ${url}: 500`,
    });
    expect(await ask("GET", FLUNDERS)).toMatchObject({ status: 503, text: "service unavailable\n" });
    expect(await ask("GET", ROOT)).toMatchObject({ status: 503, text: "service unavailable\n" });
    const { text } = await ask("GET", "/metrics");
    expect(text).toContain(`aggregator_unavailable_apiservice{name="${NAME}"} 1`);
    expect(text).toContain(`aggregator_unavailable_apiservice_total{name="${NAME}",reason="FailedDiscoveryCheck"} `);
  });

  it("that redirects is answered with 502", async () => {
    behave("redirecting");
    expect(await ask("GET", FLUNDERS)).toMatchObject({
      status: 502,
      text: "the backend attempted to redirect this request, which is not permitted",
    });
  });

  it("that shows a certificate of somebody else is not spoken to", async () => {
    const other = createAuthority({
      subject: { commonName: "x" },
      notBefore: Date.now() - DAY_MS,
      notAfter: Date.now() + DAY_MS,
    });
    await ask("PATCH", `${SERVICES}/${NAME}`, { spec: { caBundle: Buffer.from(other.cert).toString("base64") } });
    const before = sample.seen.filter((line) => line.includes("flunders")).length;
    expect(await ask("GET", FLUNDERS)).toMatchObject({
      status: 503,
      text: "error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority\n",
    });
    expect(sample.seen.filter((line) => line.includes("flunders"))).toHaveLength(before);
    await ask("PATCH", `${SERVICES}/${NAME}`, { spec: { caBundle: null, insecureSkipTLSVerify: true } });
    expect((await ask("GET", FLUNDERS)).status).toBe(200);
    await ask("PATCH", `${SERVICES}/${NAME}`, { spec: { caBundle, insecureSkipTLSVerify: false } });
    await untilReason("Passed");
  });

  it("whose service is gone is unavailable, as are its other troubles; when all is well again, it is available at once", async () => {
    const name = "v1.other.example.com";
    const spec = { group: "other.example.com", version: "v1", groupPriorityMinimum: 100, versionPriority: 1 };
    const service = { namespace: "default", name: "other", port: 443 };
    await ask("POST", SERVICES, { metadata: { name }, spec: { ...spec, service, insecureSkipTLSVerify: true } });
    expect(await untilReason("ServiceNotFound", name)).toMatchObject({
      status: "False",
      message: 'service/other in "default" is not present',
    });
    await ask("POST", "/api/v1/namespaces/default/services", {
      metadata: { name: "other" },
      spec: { ports: [{ port: 80 }] },
    });
    await untilReason("ServicePortError", name);
    await ask("PATCH", "/api/v1/namespaces/default/services/other", { spec: { ports: [{ port: 443 }] } });
    await untilReason("EndpointsNotFound", name);
    await ask("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
      metadata: { name: "other-1", labels: { "kubernetes.io/service-name": "other" } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["192.0.2.9"], conditions: { ready: false } }],
      ports: [{ name: "", port: 8443 }],
    });
    await untilReason("MissingEndpoints", name);
    expect((await ask("GET", "/apis/other.example.com/v1")).status).toBe(503);
    expect((await ask("DELETE", `${SERVICES}/${name}`)).status).toBe(200);
    expect((await ask("GET", "/apis/other.example.com/v1")).status).toBe(404);
    expect((await ask("GET", "/apis")).text).not.toContain("other.example.com");
  });
});

describe("registrations of this server's own", () => {
  it("custom resources' group versions are registered with them, kept as they are, and go with them", async () => {
    const kind = { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" };
    const schema = { openAPIV3Schema: { type: "object" } };
    const made = await ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
      metadata: { name: "widgets.things.example.com" },
      spec: {
        group: "things.example.com",
        scope: "Namespaced",
        names: kind,
        versions: [{ name: "v1", served: true, storage: true, schema }],
      },
    });
    expect(made.status).toBe(201);
    const name = "v1.things.example.com";
    await untilReason("Local", name);
    const registered = await ask("GET", `${SERVICES}/${name}`);
    expect(registered.json).toMatchObject({
      metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": "true" } },
      spec: { group: "things.example.com", version: "v1", groupPriorityMinimum: 1000, versionPriority: 100 },
    });
    await ask("PATCH", `${SERVICES}/${name}`, { spec: { versionPriority: 7 } });
    await until(async () => {
      const { spec } = (await ask("GET", `${SERVICES}/${name}`)).json;
      return spec.versionPriority === 100 ? true : undefined;
    });
    await ask("DELETE", `${SERVICES}/${name}`);
    await until(async () => ((await ask("GET", `${SERVICES}/${name}`)).status === 200 ? true : undefined));
    await ask("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.things.example.com");
    await until(async () => ((await ask("GET", `${SERVICES}/${name}`)).status === 404 ? true : undefined));
    expect((await ask("GET", "/apis")).text).not.toContain("things.example.com");
  });

  it("extension servers find whom to trust", async () => {
    const { data } = (await ask("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"))
      .json;
    expect(data["client-ca-file"]).toBe(pki.ca.cert);
  });
});
