import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startUpstream } from "./upstream-fixture.ts";
import {
  configurationOf,
  MUTATING,
  startHookServer,
  startOurs,
  VALIDATING,
  type HookServer,
  type ServerUnderTest,
} from "./webhook-fixture.ts";

/** Path of upstream's kube-apiserver. With UPDATE_REVIEWS, what it sends becomes what is expected. */
const upstream = process.env["UPSTREAM_APISERVER"];
const TABLE = new URL("testdata/reviews.json", import.meta.url);

const EVERYTHING = [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }];
const NS = "/api/v1/namespaces/default";
const APPS = "/apis/apps/v1/namespaces/default";

const pod = (name: string): Record<string, unknown> => ({
  metadata: { name, labels: { app: "x" } },
  spec: { containers: [{ name: "c", image: "example.com/image:1" }] },
});
const deployment = {
  metadata: { name: "web" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "x" } },
    template: { metadata: { labels: { app: "x" } }, spec: { containers: [{ name: "c", image: "i:1" }] } },
  },
};
const autoscaler = {
  metadata: { name: "scaler" },
  spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" }, maxReplicas: 3 },
};

type Step = readonly [method: string, path: string, body?: unknown, headers?: Record<string, string>];

/** Requests, and the reviews that webhooks for everything get of the last of them. */
const requests: Readonly<Record<string, readonly Step[]>> = {
  create: [["POST", `${NS}/configmaps?fieldManager=tests`, { metadata: { name: "one" }, data: { a: "1" } }]],
  "create with a generated name": [["POST", `${NS}/configmaps`, { metadata: { generateName: "some-" } }]],
  "create as a dry run": [["POST", `${NS}/configmaps?dryRun=All`, { metadata: { name: "dry" } }]],
  update: [["PUT", `${NS}/configmaps/one?fieldValidation=Strict`, { metadata: { name: "one" }, data: { a: "2" } }]],
  patch: [["PATCH", `${NS}/configmaps/one`, { data: { b: "3" } }]],
  "apply that creates": [
    [
      "PATCH",
      `${NS}/configmaps/applied?fieldManager=me&force=true`,
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data: { a: "1" } },
      { "content-type": "application/apply-patch+yaml" },
    ],
  ],
  "apply that changes": [
    [
      "PATCH",
      `${NS}/configmaps/applied?fieldManager=me&force=true`,
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data: { a: "2" } },
      { "content-type": "application/apply-patch+yaml" },
    ],
  ],
  "delete with options": [
    ["DELETE", `${NS}/configmaps/one`, { propagationPolicy: "Background", gracePeriodSeconds: 0 }],
  ],
  "delete of a collection": [
    ["POST", `${NS}/configmaps`, { metadata: { name: "goes", labels: { goes: "yes" } } }],
    ["DELETE", `${NS}/configmaps?labelSelector=goes%3Dyes`, { propagationPolicy: "Background" }],
  ],
  "a pod": [["POST", `${NS}/pods`, pod("web")]],
  "a binding": [
    [
      "POST",
      `${NS}/pods/web/binding`,
      { metadata: { name: "web" }, target: { apiVersion: "v1", kind: "Node", name: "nowhere" } },
    ],
  ],
  "a pod's status": [["PATCH", `${NS}/pods/web/status`, { status: { message: "hm" } }]],
  "an eviction": [["POST", `${NS}/pods/web/eviction`, { metadata: { name: "web" } }]],
  exec: [["POST", `${NS}/pods/web/exec?command=ls&command=-l&stdout=true&container=c`]],
  attach: [["POST", `${NS}/pods/web/attach?stdin=true&container=c`]],
  "port-forward": [["POST", `${NS}/pods/web/portforward?ports=80`]],
  "proxy to a pod": [["GET", `${NS}/pods/web/proxy/some/path`]],
  "a namespace": [["POST", "/api/v1/namespaces", { metadata: { name: "other", labels: { a: "b" } } }]],
  "a namespace's deletion": [["DELETE", "/api/v1/namespaces/other"]],
  "a deployment": [["POST", `${APPS}/deployments`, deployment]],
  scale: [["PATCH", `${APPS}/deployments/web/scale`, { spec: { replicas: 2 } }]],
  "an autoscaler of the first version": [
    [
      "POST",
      "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
      { ...autoscaler, spec: { ...autoscaler.spec, targetCPUUtilizationPercentage: 50 } },
    ],
  ],
  "a token review": [["POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token: "x" } }]],
  "an access review": [
    [
      "POST",
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      { spec: { nonResourceAttributes: { path: "/", verb: "get" } } },
    ],
  ],
  "a webhook configuration": [["DELETE", `${VALIDATING}/nothing`]],
  "a node": [["POST", "/api/v1/nodes", { metadata: { name: "node" } }]],
  impersonation: [
    [
      "POST",
      `${NS}/configmaps`,
      { metadata: { name: "by-other" } },
      { "impersonate-user": "other", "impersonate-group": "group", "impersonate-extra-reason": "why" },
    ],
  ],
};

/** What differs from server to server and from run to run, made the same. */
function even(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "TIME")
    .replaceAll(/"resourceVersion":"\d+"/g, '"resourceVersion":"RV"')
    .replaceAll(/X509SHA256=[0-9a-f]+/g, "X509SHA256=HASH")
    .replaceAll('"lastProbeTime":null,', "")
    .replaceAll(/some-[a-z0-9]{5}/g, "some-SUFFIX");
  return JSON.parse(text) as unknown;
}

/** Their status is the server's, and it is not settled before they are admitted. */
const WITHOUT_STATUS = ["a token review", "an access review", "a namespace"];

function withoutStatus(review: Record<string, unknown>): Record<string, unknown> {
  const { status: _, ...object } = review["object"] as Record<string, unknown>;
  return { ...review, object };
}

/** Who owns what is looked at in a few; elsewhere it would only be long. */
const keepsOwners = (name: string): boolean => name === "create" || name.startsWith("apply");

function withoutOwners(review: Record<string, unknown>): Record<string, unknown> {
  const strip = (object: unknown): unknown => {
    if (typeof object !== "object" || object === null || !("metadata" in object)) return object;
    const { managedFields: _, ...metadata } = object.metadata as Record<string, unknown>;
    return { ...object, metadata };
  };
  return { ...review, object: strip(review["object"]), oldObject: strip(review["oldObject"]) };
}

const isMine = (review: Record<string, unknown>): boolean =>
  ["tess", "other"].includes((review["userInfo"] as { username: string }).username);

async function record(server: ServerUnderTest, hooks: HookServer): Promise<Record<string, unknown>> {
  for (const [kind, path] of [
    ["Mutating", MUTATING],
    ["Validating", VALIDATING],
  ] as const) {
    const name = kind.toLowerCase();
    const change = { rules: EVERYTHING, failurePolicy: "Ignore" };
    const made = await server.ask("POST", path, configurationOf(kind, name, `${hooks.peer.url}/${name}`, change));
    expect(made.status).toBe(201);
  }
  // A server that learns of configurations by a watch of its own asks from now on.
  for (let i = 0; hooks.reviews.length < 2 && i < 100; i++) {
    await server.ask("POST", `${NS}/configmaps?dryRun=All`, { metadata: { name: "waits" } });
  }
  const out: Record<string, unknown> = {};
  for (const [name, steps] of Object.entries(requests)) {
    hooks.reviews.length = 0;
    hooks.paths.length = 0;
    const answers: number[] = [];
    for (const [method, path, body, headers] of steps) {
      const { status } = await server.ask(method, path, body, { "user-agent": "tests/1", ...headers });
      answers.push(status);
    }
    const shown = (review: Record<string, unknown>): unknown => {
      const some = keepsOwners(name) ? review : withoutOwners(review);
      return even(WITHOUT_STATUS.includes(name) ? withoutStatus(some) : some);
    };
    const reviews = hooks.reviews.flatMap((review, i) =>
      isMine(review) ? [{ webhook: hooks.paths[i], request: shown(review) }] : [],
    );
    out[name] = { answers, reviews };
  }
  return out;
}

describe("what webhooks are sent", () => {
  let hooks: HookServer;
  let expected: Record<string, unknown>;
  let seen: Record<string, unknown>;

  beforeAll(async () => {
    hooks = await startHookServer(() => ({ allowed: true }));
    if (upstream !== undefined && process.env["UPDATE_REVIEWS"] !== undefined) {
      await using server = await startUpstream(upstream);
      writeFileSync(TABLE, `${JSON.stringify(await record(server, hooks), undefined, 1)}\n`);
    }
    expected = existsSync(TABLE) ? (JSON.parse(readFileSync(TABLE, "utf8")) as Record<string, unknown>) : {};
    await using server = await startOurs();
    seen = await record(server, hooks);
  }, 120_000);
  afterAll(() => hooks[Symbol.asyncDispose]());

  it.each(Object.keys(requests))("%s: what upstream sends", (name) => {
    expect(seen[name]).toEqual(expected[name]);
  });
});
