import { sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { testCaBundle } from "../../outbound/peer-fixture.ts";
import { startUpstream } from "./upstream-fixture.ts";
import {
  configurationOf,
  MUTATING,
  patchOf,
  startHookServer,
  startOurs,
  VALIDATING,
  type HookServer,
  type SeenReview,
  type ServerUnderTest,
} from "./webhook-fixture.ts";

/** Path of upstream's kube-apiserver: the same is asked of it, too. */
const upstream = process.env["UPSTREAM_APISERVER"];
const NS = "/api/v1/namespaces/default";
const MAPS = `${NS}/configmaps`;
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const subjects: readonly (readonly [string, () => Promise<ServerUnderTest>])[] = [
  ["ours", () => startOurs()],
  ...(upstream === undefined ? [] : [["upstream", () => startUpstream(upstream)] as const]),
];

const rule = (group: string, version: string, ...resources: string[]): object => ({
  operations: ["*"],
  apiGroups: [group],
  apiVersions: [version],
  resources,
});

const add = (path: string, value: unknown): { readonly allowed: boolean } & Record<string, unknown> => ({
  allowed: true,
  ...patchOf({ op: "add", path, value }),
});

/** Well beyond what a server's own watch takes. */
const LEARNS_MS = 500;

describe.each(subjects)("webhooks of %s", (who, start) => {
  let server: ServerUnderTest;
  let hooks: HookServer;
  let made: [string, string][] = [];

  beforeAll(async () => {
    server = await start();
    hooks = await startHookServer(() => ({ allowed: true }), {
      names: ["127.0.0.1", "localhost", "hook.default.svc"],
    });
  }, 60_000);
  afterAll(async () => {
    await hooks[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    for (const [path, name] of made) await server.ask("DELETE", `${path}/${name}`);
    made = [];
    hooks.reviews.length = 0;
    hooks.paths.length = 0;
  });

  /** Upstream learns of a configuration by a watch of its own. */
  const learns = async (): Promise<void> => {
    if (who === "upstream") await sleep(systemClock, LEARNS_MS);
  };

  async function configure(kind: "Mutating" | "Validating", name: string, change: object = {}): Promise<void> {
    const path = kind === "Mutating" ? MUTATING : VALIDATING;
    const body = configurationOf(kind, name, `${hooks.peer.url}/${name}`, change as Record<string, unknown>);
    const answer = await server.ask("POST", path, body);
    expect([answer.status, answer.json["message"]]).toEqual([201, undefined]);
    made.push([path, name]);
  }

  const post = (name: string, more: object = {}): ReturnType<ServerUnderTest["ask"]> =>
    server.ask("POST", MAPS, { metadata: { name, ...more }, data: { a: "1" } });
  const called = (): string[] => hooks.paths.map((path) => path.replace(/^\/|\?.*$/g, ""));

  it("mutate one after the other, in the order of their configurations' names", async () => {
    hooks.judge = (request, path) => {
      const { data } = request.object as { data: Record<string, string> };
      return add(`/data/${path.charAt(1)}`, Object.keys(data).join());
    };
    await configure("Mutating", "b");
    await configure("Mutating", "a-first");
    await learns();
    const answer = await post("ordered");
    expect(called()).toEqual(["a-first", "b"]);
    expect(answer.json["data"]).toEqual({ a: "a", b: "a" });
  });

  it("are asked again, once, when the object changed after them and they want to be", async () => {
    hooks.judge = (request, path) => {
      const { data } = request.object as { data: Record<string, string> };
      const count = Number(data[path.charAt(1)] ?? "0") + 1;
      return add(`/data/${path.charAt(1)}`, String(count));
    };
    await configure("Mutating", "x", { reinvocationPolicy: "IfNeeded" });
    await configure("Mutating", "y", { reinvocationPolicy: "Never" });
    await configure("Mutating", "z", { reinvocationPolicy: "IfNeeded" });
    await learns();
    const answer = await post("again");
    expect(called()).toEqual(["x", "y", "z", "x", "z"]);
    expect(answer.json["data"]).toEqual({ a: "1", x: "2", y: "1", z: "2" });
  });

  it("are not asked again when nothing changed after them", async () => {
    hooks.judge = () => ({ allowed: true });
    await configure("Mutating", "x", { reinvocationPolicy: "IfNeeded" });
    await configure("Mutating", "y");
    await learns();
    await post("once");
    expect(called()).toEqual(["x", "y"]);
  });

  it("are asked by the labels of the namespace", async () => {
    hooks.judge = () => ({ allowed: false });
    await server.ask("POST", "/api/v1/namespaces", { metadata: { name: "watched", labels: { watch: "yes" } } });
    await configure("Validating", "spaces", { namespaceSelector: { matchLabels: { watch: "yes" } } });
    await learns();
    expect((await post("free")).status).toBe(201);
    const inside = "/api/v1/namespaces/watched/configmaps";
    expect((await server.ask("POST", inside, { metadata: { name: "held" } })).status).toBe(400);
    const nowhere = await server.ask("POST", "/api/v1/namespaces/nowhere/configmaps", { metadata: { name: "lost" } });
    expect([nowhere.status, nowhere.json["message"]]).toEqual([404, 'namespaces "nowhere" not found']);
  });

  it("are asked by the labels of the object, as it was or as it will be", async () => {
    hooks.judge = (request) => ({ allowed: request.operation !== "DELETE" });
    await configure("Validating", "labels", { objectSelector: { matchLabels: { mark: "yes" } } });
    await learns();
    await post("marked", { labels: { mark: "yes" } });
    await post("unmarked");
    await server.ask("PATCH", `${MAPS}/marked`, { metadata: { labels: { mark: null } } });
    await server.ask("PATCH", `${MAPS}/marked`, { data: { b: "2" } });
    expect(hooks.reviews.map(({ operation }) => operation)).toEqual(["CREATE", "UPDATE"]);
  });

  it("see a request for another version of their resource in the version that they know", async () => {
    hooks.judge = (request) =>
      (request["kind"] as { version: string }).version === "v2" ? add("/spec/maxReplicas", 7) : { allowed: false };
    await configure("Mutating", "scaling", { rules: [rule("autoscaling", "v2", "horizontalpodautoscalers")] });
    await learns();
    const spec = { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" }, maxReplicas: 3 };
    const answer = await server.ask("POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", {
      metadata: { name: "scaler" },
      spec: { ...spec, targetCPUUtilizationPercentage: 50 },
    });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({
      apiVersion: "autoscaling/v1",
      spec: { maxReplicas: 7, targetCPUUtilizationPercentage: 50 },
    });
    const [review] = hooks.reviews as [SeenReview];
    expect(review).toMatchObject({
      kind: { group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler" },
      requestKind: { group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler" },
      object: { apiVersion: "autoscaling/v2", spec: { metrics: [{ type: "Resource" }] } },
    });
  });

  it("that want an exact match are not asked about other versions", async () => {
    hooks.judge = () => ({ allowed: false });
    const rules = [rule("autoscaling", "v2", "horizontalpodautoscalers")];
    await configure("Validating", "exact", { rules, matchPolicy: "Exact" });
    await learns();
    const spec = { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" }, maxReplicas: 3 };
    const answer = await server.ask("POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", {
      metadata: { name: "free" },
      spec,
    });
    expect([answer.status, hooks.reviews.length]).toEqual([201, 0]);
  });

  it.each([
    ["holds", 'object.data.a == "1" && request.operation == "CREATE"', "Fail", 400, undefined],
    ["does not hold", 'object.data.a == "2"', "Fail", 201, undefined],
    [
      "asks who may do what",
      'authorizer.group("").resource("configmaps").check("create").allowed()',
      "Fail",
      400,
      undefined,
    ],
    [
      "asks about the request's own resource",
      'authorizer.requestResource.check("create").allowed()',
      "Fail",
      400,
      undefined,
    ],
    [
      "looks at the request",
      'request.userInfo.username == "tess" && request.resource.resource == "configmaps"',
      "Fail",
      400,
      undefined,
    ],
    [
      "fails",
      'object.data.zzz == "1"',
      "Fail",
      403,
      `configmaps "conditional" is forbidden: expression 'object.data.zzz == "1"' resulted in error: no such key: zzz`,
    ],
    ["fails, where failures are ignored", 'object.data.zzz == "1"', "Ignore", 201, undefined],
    [
      "costs too much",
      "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, a + b + c + d + e + f >= 0))))))",
      "Fail",
      403,
      undefined,
    ],
  ])("with a condition that %s", async (_what, expression, failurePolicy, status, message) => {
    hooks.judge = () => ({ allowed: false });
    const matchConditions = [{ name: "condition", expression }];
    await configure("Validating", "conditions", { matchConditions, failurePolicy });
    await learns();
    const answer = await server.ask("POST", `${MAPS}?dryRun=All`, {
      metadata: { name: "conditional" },
      data: { a: "1" },
    });
    expect([answer.status, status >= 400 && message !== undefined ? answer.json["message"] : undefined]).toEqual([
      status,
      message,
    ]);
  });

  it("may deny attaching to a pod", async () => {
    hooks.judge = () => ({ allowed: false, status: { message: "no attaching" } });
    await server.ask("POST", `${NS}/pods`, {
      metadata: { name: "guarded" },
      spec: { containers: [{ name: "c", image: "i:1" }] },
    });
    await configure("Validating", "attach", { rules: [rule("", "v1", "pods/attach")] });
    await learns();
    const answer = await server.ask("POST", `${NS}/pods/guarded/attach?container=c`);
    expect([answer.status, answer.json["message"]]).toEqual([
      400,
      'admission webhook "attach.example.com" denied the request: no attaching',
    ]);
    expect(hooks.reviews[0]?.operation).toBe("CONNECT");
  });

  it("have no say about webhook configurations", async () => {
    hooks.judge = () => ({ allowed: false });
    await configure("Validating", "all", { rules: [rule("*", "*", "*/*")] });
    await learns();
    await configure("Mutating", "other", {});
    const answer = await server.ask("DELETE", `${MUTATING}/other`);
    const mine = hooks.reviews.filter((review) => (review["userInfo"] as { username: string }).username === "tess");
    expect([answer.status, mine]).toEqual([200, []]);
  });

  it("are not taken with conditions that are no expressions", async () => {
    const matchConditions = [{ name: "broken", expression: "... [] bad expression" }];
    const body = configurationOf("Validating", "broken", hooks.peer.url, { matchConditions });
    const answer = await server.ask("POST", VALIDATING, body);
    expect(answer.status).toBe(422);
    expect(answer.json["message"]).toContain("compilation failed");
  });

  it("may warn", async () => {
    hooks.judge = () => ({ allowed: true, warnings: ["careful", 'it says "so"'] });
    await configure("Validating", "warns");
    await learns();
    const { headers } = await post("warned");
    const warnings = [headers["warning"]].flat().join(", ");
    expect(warnings).toContain('299 - "careful"');
    expect(warnings).toContain('299 - "it says \\"so\\""');
  });

  it("give pods parts that then get their defaults", async () => {
    hooks.judge = () => add("/spec/initContainers", [{ name: "added", image: "example.com/added:1" }]);
    await configure("Mutating", "pods", { rules: [rule("", "v1", "pods")] });
    await learns();
    const answer = await server.ask("POST", `${NS}/pods`, {
      metadata: { name: "patched" },
      spec: { containers: [{ name: "c", image: "i:1" }] },
    });
    expect(answer.json).toMatchObject({
      spec: {
        initContainers: [
          {
            name: "added",
            image: "example.com/added:1",
            imagePullPolicy: "IfNotPresent",
            terminationMessagePath: "/dev/termination-log",
            terminationMessagePolicy: "File",
            resources: {},
          },
        ],
      },
    });
  });

  it("are reached by the name that a service leads to, and must carry the service's", async () => {
    hooks.judge = () => ({ allowed: false, status: { message: "by service" } });
    await server.ask("POST", `${NS}/services`, {
      metadata: { name: "hook" },
      spec: { type: "ExternalName", externalName: "localhost" },
    });
    const service = { namespace: "default", name: "hook", path: "/x", port: hooks.peer.port };
    await configure("Validating", "service", { clientConfig: { service, caBundle: testCaBundle } });
    await learns();
    const answer = await post("by-service");
    expect(answer.json["message"]).toBe('admission webhook "service.example.com" denied the request: by service');
    expect(hooks.peer.seen.at(-1)?.headers.host).toBe(`hook.default.svc:${hooks.peer.port}`);
  });

  it("may be the API server itself", async () => {
    const service = { namespace: "default", name: "kubernetes", path: "/nowhere" };
    await configure("Validating", "self", { clientConfig: { service } });
    await learns();
    const answer = await post("by-itself");
    expect(answer.json["message"]).toBe(
      'Internal error occurred: failed calling webhook "self.example.com": failed to call webhook: the server could not find the requested resource',
    );
  });

  it("may use the API while they are asked", async () => {
    hooks.judge = async (request) => {
      if (request["name"] === "outer") await post("inner");
      return { allowed: true };
    };
    await configure("Validating", "nested");
    await learns();
    expect((await post("outer")).status).toBe(201);
    expect(hooks.reviews.map((review) => review["name"])).toEqual(["outer", "inner"]);
  });

  it("deny deletions, also those of many", async () => {
    await post("kept", { labels: { many: "yes" } });
    hooks.judge = (request) => ({ allowed: request.operation !== "DELETE" });
    await configure("Validating", "keeps");
    await learns();
    expect((await server.ask("DELETE", `${MAPS}/kept`)).status).toBe(400);
    expect((await server.ask("DELETE", `${MAPS}?labelSelector=many%3Dyes`)).status).toBe(400);
    expect((await server.ask("GET", `${MAPS}/kept`)).status).toBe(200);
  });

  it("mutate custom resources, which are pruned after", async () => {
    const names = { plural: "notes", singular: "note", kind: "Note", listKind: "NoteList" };
    const properties = { text: { type: "string" }, known: { type: "string" }, set: { type: "string", default: "x" } };
    await server.ask("POST", CRDS, {
      metadata: { name: "notes.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names,
        versions: [
          { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", properties } } },
          { name: "v2", served: true, storage: false, schema: { openAPIV3Schema: { type: "object", properties } } },
        ],
      },
    });
    const NOTES = "/apis/example.com/v1/namespaces/default/notes";
    for (let i = 0; (await server.ask("GET", NOTES)).status !== 200 && i < 200; i++) await sleep(systemClock, 50);
    hooks.judge = (request) => ({
      allowed: (request.object as { text?: string } | null)?.text !== "bad",
      ...patchOf({ op: "add", path: "/known", value: "k" }, { op: "add", path: "/unknown", value: "u" }),
    });
    await configure("Mutating", "notes", { rules: [rule("example.com", "*", "notes")] });
    await learns();
    const note = { apiVersion: "example.com/v1", kind: "Note", metadata: { name: "one" }, text: "good" };
    const answer = await server.ask("POST", NOTES, note);
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({ text: "good", known: "k", set: "x" });
    expect(answer.json["unknown"]).toBeUndefined();
    const refused = await server.ask("POST", NOTES, { ...note, metadata: { name: "two" }, text: "bad" });
    expect(refused.status).toBe(400);
    // Who knows the second version is asked about the first in the second.
    hooks.judge = () => ({ allowed: true });
    hooks.reviews.length = 0;
    await configure("Validating", "second", { rules: [rule("example.com", "v2", "notes")] });
    await learns();
    await server.ask("POST", NOTES, { ...note, metadata: { name: "three" } });
    expect(hooks.reviews.at(-1)).toMatchObject({
      kind: { group: "example.com", version: "v2", kind: "Note" },
      requestKind: { group: "example.com", version: "v1", kind: "Note" },
      object: { apiVersion: "example.com/v2", text: "good" },
    });
    await server.ask("DELETE", `${CRDS}/notes.example.com`);
  });

  it("deny definitions, and custom resources whatever is done with them, also when stored in another version", async () => {
    const version = (name: string, storage: boolean): object => ({
      name,
      storage,
      served: true,
      schema: { openAPIV3Schema: { type: "object", properties: { text: { type: "string" } } } },
    });
    const names = { plural: "memos", singular: "memo", kind: "Memo", listKind: "MemoList" };
    const definition = {
      metadata: { name: "memos.example.com" },
      spec: { group: "example.com", scope: "Namespaced", names, versions: [version("v1", true), version("v2", false)] },
    };
    hooks.judge = (request) => ({ allowed: request.operation !== "CREATE" });
    await configure("Validating", "kinds", {
      rules: [rule("apiextensions.k8s.io", "*", "customresourcedefinitions")],
    });
    await learns();
    expect((await server.ask("POST", CRDS, definition)).status).toBe(400);
    hooks.judge = () => ({ allowed: true });
    expect((await server.ask("POST", CRDS, definition)).status).toBe(201);
    const MEMOS = "/apis/example.com/v1/namespaces/default/memos";
    for (let i = 0; (await server.ask("GET", MEMOS)).status !== 200 && i < 200; i++) await sleep(systemClock, 50);

    hooks.judge = (request) => ({
      allowed: request.operation !== "DELETE" && (request.object as { text?: string } | null)?.text !== "bad",
    });
    await configure("Validating", "memos", { rules: [rule("example.com", "*", "memos")] });
    await learns();
    const memo = { apiVersion: "example.com/v1", kind: "Memo", metadata: { name: "one" }, text: "bad" };
    expect((await server.ask("POST", MEMOS, memo)).status).toBe(400);
    const made = await server.ask("POST", MEMOS, { ...memo, text: "good" });
    expect(made.status).toBe(201);
    expect((await server.ask("PUT", `${MEMOS}/one`, { ...made.json, text: "bad" })).status).toBe(400);
    expect((await server.ask("DELETE", `${MEMOS}/one`)).status).toBe(400);

    const spec = { versions: [version("v1", false), version("v2", true)] };
    const { json: stored } = await server.ask("GET", `${CRDS}/memos.example.com`);
    const moved = { ...stored, spec: { ...(stored["spec"] as object), ...spec } };
    expect((await server.ask("PUT", `${CRDS}/memos.example.com`, moved)).status).toBe(200);
    await configure("Mutating", "changes", { rules: [rule("example.com", "*", "memos")] });
    hooks.judge = (request, path) =>
      path.includes("changes")
        ? { allowed: true, ...patchOf({ op: "add", path: "/text", value: "changed" }) }
        : { allowed: request.operation !== "DELETE" };
    await learns();
    const { json: before } = await server.ask("GET", `${MEMOS}/one`);
    const after = await server.ask("PUT", `${MEMOS}/one`, { ...before, text: "again" });
    expect([after.status, after.json["text"]]).toEqual([200, "changed"]);
    hooks.judge = () => ({ allowed: true });
    await server.ask("DELETE", `${CRDS}/memos.example.com`);
  });

  it("may wish for another number of replicas", async () => {
    const DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments";
    const template = { metadata: { labels: { app: "x" } }, spec: { containers: [{ name: "c", image: "i:1" }] } };
    const spec = { replicas: 1, selector: { matchLabels: { app: "x" } }, template };
    await server.ask("POST", DEPLOYMENTS, { metadata: { name: "web" }, spec });
    hooks.judge = () => add("/spec/replicas", 5);
    await configure("Mutating", "scales", { rules: [rule("apps", "v1", "deployments/scale")] });
    await learns();
    const answer = await server.ask("PATCH", `${DEPLOYMENTS}/web/scale`, { spec: { replicas: 2 } });
    expect(answer.json["spec"]).toEqual({ replicas: 5 });
    expect((await server.ask("GET", `${DEPLOYMENTS}/web`)).json).toMatchObject({ spec: { replicas: 5 } });
  });

  it("may change what a review asks", async () => {
    hooks.judge = () => add("/spec/nonResourceAttributes/path", "/changed");
    const rules = [rule("authorization.k8s.io", "v1", "selfsubjectaccessreviews")];
    await configure("Mutating", "reviews", { rules });
    await learns();
    const answer = await server.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      spec: { nonResourceAttributes: { path: "/", verb: "get" } },
    });
    expect(answer.json["spec"]).toEqual({ nonResourceAttributes: { path: "/changed", verb: "get" } });
  });

  it("may say who owns what, as long as it can be read", async () => {
    await post("owned");
    hooks.judge = () => ({ allowed: true, ...patchOf({ op: "remove", path: "/metadata/managedFields" }) });
    await configure("Mutating", "owners");
    await learns();
    const answer = await server.ask("PATCH", `${MAPS}/owned`, { data: { b: "2" } });
    expect((answer.json["metadata"] as { managedFields?: unknown }).managedFields).toBeUndefined();
  });

  it("are counted", async () => {
    hooks.judge = () => ({ allowed: false, status: { code: 403 } });
    await configure("Validating", "counted");
    await learns();
    await post("counted");
    hooks.judge = () => ({ raw: "garbage" });
    await post("counted");
    const { text } = await server.ask("GET", "/metrics");
    const labels = 'name="counted.example.com",operation="CREATE"';
    for (const line of [
      `apiserver_admission_webhook_rejection_count{error_type="no_error",${labels},rejection_code="403",type="validating"} 1`,
      `apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",${labels},rejection_code="503",type="validating"} 1`,
      `apiserver_admission_webhook_request_total{code="403",${labels},rejected="true",type="validating"} 1`,
      `apiserver_admission_webhook_admission_duration_seconds_count{${labels},rejected="true",type="validating"} 2`,
    ]) {
      expect(text).toContain(line);
    }
  });
});

describe("webhooks of ours alone", () => {
  it("do not make the other plugins do their work twice", async () => {
    await using server = await startOurs({ admission: { enable: ["AlwaysPullImages"], disable: [] } });
    await using hooks = await startHookServer(() => add("/metadata/labels", { added: "yes" }));
    await server.ask("POST", `${NS}/serviceaccounts`, { metadata: { name: "default" } });
    const limits = [{ type: "Container", default: { cpu: "1" }, defaultRequest: { memory: "1Mi" } }];
    await server.ask("POST", `${NS}/limitranges`, { metadata: { name: "limits" }, spec: { limits } });
    const pod = (name: string): object => ({
      metadata: { name },
      spec: { containers: [{ name: "c", image: "i:1" }] },
    });
    const steady = (answer: { json: Record<string, unknown> }): unknown => {
      const { spec, metadata } = answer.json as { spec: unknown; metadata: { annotations: unknown } };
      const text = JSON.stringify({ spec, annotations: metadata.annotations });
      return JSON.parse(text.replaceAll(/kube-api-access-[a-z0-9]{5}/g, "kube-api-access-SUFFIX"));
    };
    const plain = await server.ask("POST", `${NS}/pods`, pod("plain"));
    await server.ask(
      "POST",
      MUTATING,
      configurationOf("Mutating", "labels", hooks.peer.url, { rules: [rule("", "v1", "pods")] }),
    );
    const twice = await server.ask("POST", `${NS}/pods`, pod("twice"));
    expect([plain.status, twice.status]).toEqual([201, 201]);
    expect(steady(twice)).toEqual(steady(plain));
  });

  it("cannot fill the server's memory", async () => {
    await using server = await startOurs();
    await using hooks = await startHookServer(() => ({ raw: Buffer.alloc(33 * 1024 * 1024, 0x20) }));
    await server.ask("POST", VALIDATING, configurationOf("Validating", "huge", hooks.peer.url));
    const answer = await server.ask("POST", MAPS, { metadata: { name: "huge" } });
    expect(answer.json["message"]).toContain("response is longer than 33554432 bytes");
  });

  it("are left alone when their plugins are off", async () => {
    await using server = await startOurs({
      admission: { enable: [], disable: ["ServiceAccount", "ValidatingAdmissionWebhook"] },
    });
    await using hooks = await startHookServer(() => ({ allowed: false }));
    await server.ask("POST", VALIDATING, configurationOf("Validating", "off", hooks.peer.url));
    expect((await server.ask("POST", MAPS, { metadata: { name: "free" } })).status).toBe(201);
  });
});
