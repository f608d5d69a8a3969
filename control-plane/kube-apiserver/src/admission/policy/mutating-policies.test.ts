import { sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseRuntimeConfig } from "../../registry/runtime-config.ts";
import { startUpstream } from "../webhook/upstream-fixture.ts";
import { startOurs, type ServerUnderTest } from "../webhook/webhook-fixture.ts";

const REGISTRATION = "/apis/admissionregistration.k8s.io/v1beta1";
const MAPS = "/api/v1/namespaces/default/configmaps";
const PODS = "/api/v1/namespaces/default/pods";

type Parts = Readonly<Record<string, unknown>>;

const RULE = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps", "pods"] };

const apply = (expression: string): Parts => ({ patchType: "ApplyConfiguration", applyConfiguration: { expression } });
const patch = (expression: string): Parts => ({ patchType: "JSONPatch", jsonPatch: { expression } });

interface Story {
  readonly mutations: readonly Parts[];
  readonly spec?: Parts;
  readonly pod?: boolean;
  /** The part of the answer that is looked at. */
  readonly data?: Parts;
  readonly annotations?: Parts;
  readonly found?: Parts;
  readonly status?: number;
  readonly message?: string;
}

const stories: Readonly<Record<string, Story>> = {
  "a configuration is merged into the object": {
    mutations: [apply("Object{data: {'b': object.data.a + '2'}}")],
    data: { a: "1", b: "12" },
  },
  "a patch is applied to the object": {
    mutations: [patch("[JSONPatch{op: 'add', path: '/data/b', value: '2'}, JSONPatch{op: 'remove', path: '/data/a'}]")],
    data: { b: "2" },
  },
  "keys of a patch can be escaped, and their values be anything": {
    mutations: [
      patch(
        "[JSONPatch{op: 'add', path: '/metadata/annotations', value: Object.metadata.annotations{}}, JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('example.com/x'), value: '2'}]",
      ),
    ],
    annotations: { "example.com/x": "2" },
  },
  "a patch whose test fails changes nothing": {
    mutations: [
      patch("[JSONPatch{op: 'test', path: '/data/a', value: '9'}, JSONPatch{op: 'remove', path: '/data/a'}]"),
    ],
    data: { a: "1" },
  },
  "mutations see what those before them made": {
    mutations: [apply("Object{data: {'b': '2'}}"), apply("Object{data: {'c': object.data.b + '3'}}")],
    data: { a: "1", b: "2", c: "23" },
  },
  "variables and conditions": {
    spec: {
      variables: [{ name: "b", expression: "object.data.a + '!'" }],
      matchConditions: [{ name: "has-a", expression: "has(object.data.a)" }],
    },
    mutations: [apply("Object{data: {'b': variables.b}}")],
    data: { a: "1", b: "1!" },
  },
  "a condition that does not hold keeps the policy out": {
    spec: { matchConditions: [{ name: "never", expression: "false" }] },
    mutations: [apply("Object{data: {'b': '2'}}")],
    data: { a: "1" },
  },
  "elements of lists with keys are merged": {
    pod: true,
    mutations: [
      apply(
        "Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: 'side', image: 'b', restartPolicy: 'Always'}]}}",
      ),
    ],
    found: { containers: 1, initContainers: 1 },
  },
  "an expression that fails denies": {
    mutations: [apply("Object{data: {'b': object.data.zz}}")],
    status: 403,
    message:
      "policy 'story' with binding 'story-binding' denied request: expression 'Object{data: {'b': object.data.zz}}' resulted in error: no such key: zz",
  },
  "an expression that fails is passed over where failures are ignored": {
    spec: { failurePolicy: "Ignore" },
    mutations: [apply("Object{data: {'b': object.data.zz}}")],
    data: { a: "1" },
  },
  "parts named for another place are refused": {
    mutations: [apply("Object{metadata: Object.spec{labels: {'a': 'b'}}}")],
    status: 403,
    message:
      "policy 'story' with binding 'story-binding' denied request: type mismatch: unexpected type name \"Object.spec\", expected \"Object.metadata\", which matches field name path from root Object type",
  },
};

/** Path of upstream's kube-apiserver: the same stories are told to it, too. */
const upstream = process.env["UPSTREAM_APISERVER"];
const SERVED = "admissionregistration.k8s.io/v1beta1=true";
const UPSTREAM_FLAGS = [`--runtime-config=${SERVED}`, "--feature-gates=MutatingAdmissionPolicy=true"];

const subjects: readonly (readonly [string, () => Promise<ServerUnderTest>])[] = [
  ["ours", () => startOurs({ isServed: parseRuntimeConfig([SERVED]) })],
  ...(upstream === undefined ? [] : [["upstream", () => startUpstream(upstream, UPSTREAM_FLAGS)] as const]),
];

describe.each(subjects)("mutating admission policies of %s", (name, start) => {
  let server: ServerUnderTest;
  /** Upstream hears of policies a little later than their writer. */
  const settle = async (): Promise<void> => {
    if (name === "upstream") await sleep(systemClock, 1500);
  };

  beforeAll(async () => {
    server = await start();
    if (name === "upstream") await sleep(systemClock, 3000);
  }, 60_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await server.ask("DELETE", `${REGISTRATION}/mutatingadmissionpolicies/story`);
    await server.ask("DELETE", `${REGISTRATION}/mutatingadmissionpolicybindings/story-binding`);
    await server.ask("DELETE", `${MAPS}/subject`);
    await server.ask("DELETE", `${PODS}/subject?gracePeriodSeconds=0`);
    await settle();
  });

  it.each(Object.entries(stories))("%s", async (_story, story) => {
    const policy = {
      apiVersion: "admissionregistration.k8s.io/v1beta1",
      kind: "MutatingAdmissionPolicy",
      metadata: { name: "story" },
      spec: {
        matchConstraints: { resourceRules: [RULE] },
        reinvocationPolicy: "Never",
        mutations: story.mutations,
        ...story.spec,
      },
    };
    const binding = {
      apiVersion: "admissionregistration.k8s.io/v1beta1",
      kind: "MutatingAdmissionPolicyBinding",
      metadata: { name: "story-binding" },
      spec: { policyName: "story" },
    };
    expect(await server.ask("POST", `${REGISTRATION}/mutatingadmissionpolicies`, policy)).toMatchObject({
      status: 201,
    });
    expect(await server.ask("POST", `${REGISTRATION}/mutatingadmissionpolicybindings`, binding)).toMatchObject({
      status: 201,
    });
    await settle();
    const metadata = { name: "subject" };
    const reply =
      story.pod === true
        ? await server.ask("POST", PODS, { metadata, spec: { containers: [{ name: "main", image: "a" }] } })
        : await server.ask("POST", MAPS, { metadata, data: { a: "1" } });
    if (story.status === undefined) expect(reply.json["message"]).toBeUndefined();
    expect(reply.status).toBe(story.status ?? 201);
    if (story.message !== undefined) expect(reply.json["message"]).toBe(story.message);
    if (story.data !== undefined) expect(reply.json["data"]).toEqual(story.data);
    if (story.annotations !== undefined)
      expect(reply.json["metadata"]).toMatchObject({ annotations: story.annotations });
    if (story.found !== undefined) {
      const spec = reply.json["spec"] as Readonly<Record<string, readonly unknown[]>>;
      for (const [list, size] of Object.entries(story.found)) expect(spec[list]).toHaveLength(size as number);
    }
  });
});

describe("mutating admission policies", () => {
  it("are not served unless they are asked for", async () => {
    await using plain = await startOurs();
    expect((await plain.ask("GET", `${REGISTRATION}/mutatingadmissionpolicies`)).status).toBe(404);
  });
});
