import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { Transport, TransportResponse } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

interface Reply {
  readonly status: number;
  readonly headers: TransportResponse["headers"];
  readonly text: string;
  readonly json: Record<string, unknown>;
}

let dir: string;
let store: Store;
let server: RunningApiServer;
let admin: Transport;
let nobody: Transport;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "api-answers-"));
  const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  store = createMemoryStore({ clock: systemClock });
  server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: {
        issuers: ["https://kubernetes.default.svc"],
        signingKey: pki.serviceAccountKey,
        extendTokenExpiration: true,
      },
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
  nobody = server.transport({});
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  transport = admin,
): Promise<Reply> {
  const answer = await transport.request({
    method,
    path,
    headers: {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, headers: answer.headers, text, json };
}

const MAPS = "/api/v1/namespaces/default/configmaps";
const JOBS = "/apis/batch/v1/namespaces/default/jobs";
const MERGE = { "content-type": "application/merge-patch+json" };
const TABLE = { accept: "application/json;as=Table;g=meta.k8s.io;v=v1" };

describe("lists", () => {
  it("say the items' type once", async () => {
    await call("POST", MAPS, { metadata: { name: "listed" } });
    const plain = await call("GET", MAPS);
    expect(plain.json).toMatchObject({ kind: "ConfigMapList", apiVersion: "v1" });
    expect((plain.json["items"] as object[]).map((item) => Object.keys(item))).toEqual([["metadata"]]);
    expect((await call("GET", `${MAPS}?pretty=true`)).json).toEqual(plain.json);
    const gone = await call("DELETE", `${MAPS}?fieldSelector=metadata.name=listed`);
    expect(gone.json["items"]).toEqual(plain.json["items"]);
  });

  it("refuse options of watches", async () => {
    expect((await call("GET", `${MAPS}?sendInitialEvents=true`)).json["message"]).toBe(
      'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list',
    );
    expect((await call("GET", `${MAPS}?limit=`)).json["message"]).toBe('strconv.ParseInt: parsing "": invalid syntax');
  });

  it("are tables with the columns of their kind", async () => {
    const autoscaler = {
      metadata: { name: "hpa" },
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
        maxReplicas: 5,
        metrics: [
          { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
          {
            type: "Pods",
            pods: { metric: { name: "requests" }, target: { type: "AverageValue", averageValue: "10" } },
          },
        ],
      },
    };
    const path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    expect((await call("POST", path, autoscaler)).status).toBe(201);
    const table = await call("GET", path, undefined, TABLE);
    expect(table.json).toMatchObject({
      columnDefinitions: expect.arrayContaining([expect.objectContaining({ name: "Targets" })]),
      rows: [{ cells: ["hpa", "Deployment/web", "cpu: <unknown>/50%, <unknown>/10", "1", 5, 0, expect.any(String)] }],
    });
    expect((await call("GET", `${path}?includeObject=Bogus`, undefined, TABLE)).status).toBe(400);
  });
});

describe("discovery", () => {
  it("begins with the paths there are, in order, checks included", async () => {
    const paths = (await call("GET", "/")).json["paths"] as string[];
    expect(paths).toEqual(paths.toSorted());
    expect(paths).toEqual(expect.arrayContaining(["/apis/", "/healthz/ping", "/livez/ping", "/readyz/shutdown"]));
  });

  it("in one document names a type by its kind alone where it is the resource's own", async () => {
    const reply = await call("GET", "/apis", undefined, {
      accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    });
    expect(reply.headers["cache-control"]).toBe("public");
    const groups = reply.json["items"] as { metadata: { name: string }; versions: { resources: object[] }[] }[];
    const apps = groups.find((group) => group.metadata.name === "apps");
    expect(apps?.metadata).toEqual({ name: "apps" });
    expect(apps?.versions[0]?.resources).toContainEqual(
      expect.objectContaining({
        resource: "deployments",
        responseKind: { group: "", version: "", kind: "Deployment" },
        subresources: expect.arrayContaining([
          expect.objectContaining({
            subresource: "scale",
            responseKind: { group: "autoscaling", version: "v1", kind: "Scale" },
          }),
        ]),
      }),
    );
  });
});

describe("deletes", () => {
  it("of a pod that nobody runs show it marked before it goes", async () => {
    const path = "/api/v1/namespaces/default/pods";
    await call("POST", path, { metadata: { name: "gone" }, spec: { containers: [{ name: "c", image: "i" }] } });
    const gone = await call("DELETE", `${path}/gone`);
    expect(gone.json["metadata"]).toMatchObject({ deletionGracePeriodSeconds: 0, generation: 2 });
    expect((await call("GET", `${path}/gone`)).status).toBe(404);
  });

  const job = {
    metadata: { name: "j" },
    spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] } } },
  };

  it("refuse an unknown propagation policy", async () => {
    await call("POST", MAPS, { metadata: { name: "kept" } });
    const reply = await call("DELETE", `${MAPS}/kept?propagationPolicy=Bogus`);
    expect(reply.json).toMatchObject({
      code: 422,
      message:
        'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Bogus": supported values: "Foreground", "Background", "Orphan", "nil"',
    });
    expect((await call("GET", `${MAPS}/kept`)).status).toBe(200);
  });

  it("go by their body alone when there is one", async () => {
    await call("POST", MAPS, { metadata: { name: "bodied" } });
    await call("DELETE", `${MAPS}/bodied?dryRun=All`, { kind: "DeleteOptions", apiVersion: "v1" });
    expect((await call("GET", `${MAPS}/bodied`)).status).toBe(404);
  });

  it("of jobs warn that pods stay, unless they say what to do with them", async () => {
    await call("POST", JOBS, job);
    const silent = await call("DELETE", `${JOBS}/j?dryRun=All&propagationPolicy=Orphan`);
    expect(silent.headers["warning"]).toBeUndefined();
    const warned = await call("DELETE", `${JOBS}/j?dryRun=All`);
    expect(String(warned.headers["warning"])).toContain("child pods are preserved by default");
  });
});

describe("updates", () => {
  it("create what is not there, for the kinds that allow it", async () => {
    const role = { metadata: { name: "r" }, rules: [] };
    const path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    expect((await call("PUT", `${path}/r`, role)).status).toBe(201);
    expect((await call("PUT", `${MAPS}/never`, { metadata: { name: "never" } })).status).toBe(404);
  });

  it("by a pod's first manifest keep what admission computed for it", async () => {
    const pod = {
      metadata: { name: "p" },
      spec: { containers: [{ name: "c", image: "i" }] },
    };
    const path = "/api/v1/namespaces/default/pods";
    const created = await call("POST", path, pod);
    const again = await call("PUT", `${path}/p`, pod);
    expect([again.status, again.json["spec"]]).toEqual([200, created.json["spec"]]);
  });
});

describe("refusals", () => {
  it("of methods: HEAD is for what is proxied, logs are read only, bindings have no collection of all", async () => {
    const statusOf = async (method: string, path: string): Promise<number> => (await call(method, path)).status;
    expect(await statusOf("HEAD", MAPS)).toBe(405);
    expect(await statusOf("HEAD", "/version")).toBe(405);
    expect(await statusOf("POST", "/api/v1/namespaces/default/pods/x/log")).toBe(405);
    expect(await statusOf("POST", "/api/v1/bindings")).toBe(404);
    expect((await call("GET", "/apis/apps/v2")).json["reason"]).toBe("NotFound");
  });

  it("of a patch show what came of it", async () => {
    await call("POST", MAPS, { metadata: { name: "patched" } });
    const reply = await call("PATCH", `${MAPS}/patched?fieldValidation=Strict`, { bogus: 1 }, MERGE);
    expect(reply.status).toBe(422);
    expect(String(reply.json["message"])).toMatch(
      /^ "" is invalid: patch: Invalid value: "\{.*\\"bogus\\":1.*": strict decoding error: unknown field "bogus"$/,
    );
  });

  it("of another kind's object name both", async () => {
    const secret = { kind: "Secret", apiVersion: "v1", metadata: { name: "x" } };
    expect((await call("POST", MAPS, secret)).json["message"]).toBe(
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
    );
    const unknown = { kind: "Bogus", apiVersion: "v1" };
    expect((await call("POST", MAPS, unknown)).json["message"]).toContain('no kind "Bogus" is registered');
  });

  it("of a type nobody here speaks come before those of its parameters", async () => {
    const html = await call("GET", MAPS, undefined, { accept: "text/html" });
    expect(html.json["message"]).toContain("406: Not Acceptable");
    const bogus = await call("GET", MAPS, undefined, { accept: "application/json;as=Bogus;g=meta.k8s.io;v=v1" });
    expect(bogus.json["message"]).toContain("only the following media types are accepted");
    const single = await call("GET", MAPS, undefined, {
      accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    });
    expect(single.json["message"]).toBe(
      "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
    );
  });

  it("of impersonation without a user name what was asked for", async () => {
    const reply = await call("GET", MAPS, undefined, { "impersonate-group": "g" });
    expect([reply.status, reply.json["message"]]).toEqual([
      400,
      "requested [{Group  g    }] without impersonating a user",
    ]);
  });

  it("by the authoriser keep browsers from guessing", async () => {
    const reply = await call("GET", MAPS, undefined, {}, nobody);
    expect([reply.status, reply.headers["x-content-type-options"]]).toEqual([403, "nosniff"]);
  });

  it("deprecated kinds say so", async () => {
    const reply = await call("GET", "/api/v1/namespaces/default/endpoints");
    expect(String(reply.headers["warning"])).toContain("v1 Endpoints is deprecated in v1.33+");
  });
});

describe("a new cluster", () => {
  it("has flow control and one APIService for each group and version", async () => {
    const schemas = await call("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/catch-all");
    expect(schemas.json).toMatchObject({
      metadata: { annotations: { "apf.kubernetes.io/autoupdate-spec": "true" } },
      spec: { priorityLevelConfiguration: { name: "catch-all" }, matchingPrecedence: 10_000 },
      status: { conditions: [{ type: "Dangling", status: "False", reason: "Found" }] },
    });
    const level = await call("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/exempt");
    expect(level.json["spec"]).toEqual({
      type: "Exempt",
      exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 },
    });
    const service = await call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps");
    expect(service.json).toMatchObject({
      metadata: { labels: { "kube-aggregator.kubernetes.io/automanaged": "onstart" } },
      spec: { group: "apps", version: "v1", groupPriorityMinimum: 17_800, versionPriority: 15 },
      status: { conditions: [{ type: "Available", status: "True", reason: "Local" }] },
    });
    expect((await call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.")).status).toBe(200);
  });
});
