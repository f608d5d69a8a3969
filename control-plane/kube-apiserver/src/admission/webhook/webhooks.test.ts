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
  type Reply,
  type SeenReview,
  type ServerUnderTest,
  type Verdict,
} from "./webhook-fixture.ts";

/** Path of upstream's kube-apiserver: the same stories are told to it, too. */
const upstream = process.env["UPSTREAM_APISERVER"];
/** Well beyond what a server's own watch takes. */
const LEARNS_MS = 400;
const MAPS = "/api/v1/namespaces/default/configmaps";

const subjects: readonly (readonly [string, () => Promise<ServerUnderTest>])[] = [
  ["ours", () => startOurs()],
  ...(upstream === undefined ? [] : [["upstream", () => startUpstream(upstream)] as const]),
];

const map = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  metadata: { name, ...(more["metadata"] as object | undefined) },
  data: { a: "1" },
});

/** One answer of a webhook, and what the client of the API server sees of it. */
interface Story {
  readonly kind?: "Mutating" | "Validating";
  readonly change?: Record<string, unknown>;
  readonly judge: (request: SeenReview) => Verdict | undefined;
  readonly query?: string;
  readonly status: number;
  readonly message?: string;
  readonly reason?: string;
}

const POST = 'Internal error occurred: failed calling webhook "story.example.com": ';
const CALL = `${POST}failed to call webhook: `;
const INVALID = `${POST}received invalid webhook response: `;
const response = (request: SeenReview, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  uid: request.uid,
  allowed: true,
  ...more,
});

const stories: Readonly<Record<string, Story>> = {
  "a webhook that allows": { judge: () => ({ allowed: true }), status: 201 },
  "a denial without explanation": {
    judge: () => ({ allowed: false }),
    status: 400,
    message: 'admission webhook "story.example.com" denied the request without explanation',
    reason: "",
  },
  "a denial with a message": {
    judge: () => ({ allowed: false, status: { message: "no maps today" } }),
    status: 400,
    message: 'admission webhook "story.example.com" denied the request: no maps today',
    reason: "",
  },
  "a denial with a reason only": {
    judge: () => ({ allowed: false, status: { reason: "Forbidden", code: 403 } }),
    status: 403,
    message: 'admission webhook "story.example.com" denied the request: Forbidden',
    reason: "Forbidden",
  },
  "a denial with a code that is none": {
    judge: () => ({ allowed: false, status: { message: "no", code: 200, status: "Success" } }),
    status: 400,
    message: 'admission webhook "story.example.com" denied the request: no',
    reason: "",
  },
  "a denial with a code of its own": {
    judge: () => ({ allowed: false, status: { message: "tea", code: 418, reason: "Teapot" } }),
    status: 418,
    message: 'admission webhook "story.example.com" denied the request: tea',
    reason: "Teapot",
  },
  "an answer with another uid": {
    judge: () => ({ uid: "other", allowed: true }),
    status: 500,
    message: `${INVALID}expected response.uid="UID", got "other"`,
    reason: "InternalError",
  },
  "an answer without a response": {
    judge: () => ({ review: { kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1" } }),
    status: 500,
    message: `${INVALID}webhook response was absent`,
  },
  "an answer of no kind": {
    judge: (request) => ({ review: { response: response(request) } }),
    status: 500,
    message: `${INVALID}expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=`,
  },
  "an answer of another version": {
    judge: (request) => ({
      review: { kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1beta1", response: response(request) },
    }),
    status: 500,
    message: `${CALL}converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion`,
  },
  "an answer of another kind": {
    judge: (request) => ({ review: { kind: "Pod", apiVersion: "v1", response: response(request) } }),
    status: 500,
    message: `${CALL}no kind "Pod" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"`,
  },
  "an answer of a version without a kind": {
    judge: (request) => ({ review: { apiVersion: "admission.k8s.io/v1", response: response(request) } }),
    status: 500,
    message: `${POST}received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1, Kind=`,
  },
  garbage: {
    judge: () => ({ raw: "garbage" }),
    status: 500,
    message: `${CALL}couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
  },
  "half an answer": {
    judge: () => ({ raw: '{"kind":"AdmissionReview",' }),
    status: 500,
    message: `${CALL}couldn't get version/kind; json parse error: unexpected end of JSON input`,
  },
  "a list": {
    judge: () => ({ raw: "[]" }),
    status: 500,
    message: `${CALL}couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
  },
  null: {
    judge: () => ({ raw: "null" }),
    status: 500,
    message: `${POST}received invalid webhook response: webhook response was absent`,
  },
  "an answer with members of wrong types": {
    judge: (request) => ({ allowed: "yes" as unknown as boolean, uid: request.uid }),
    status: 500,
    message: `${CALL}json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool`,
  },
  nothing: {
    judge: () => ({ raw: "" }),
    status: 500,
    message: `${CALL}0-length response with status code: 200 and content type: application/json`,
  },
  "404": {
    judge: () => ({ raw: "not here", status: 404, type: "text/plain" }),
    status: 500,
    message: `${CALL}the server could not find the requested resource`,
  },
  "500 with text": {
    judge: () => ({ raw: "boom", status: 500, type: "text/plain" }),
    status: 500,
    message: `${CALL}an error on the server ("boom") has prevented the request from succeeding`,
  },
  "503 with JSON": {
    judge: () => ({ raw: "{}", status: 503 }),
    status: 500,
    message: `${CALL}the server is currently unable to handle the request`,
  },
  "401": {
    judge: () => ({ raw: "who?", status: 401, type: "text/plain" }),
    status: 500,
    message: `${CALL}the server has asked for the client to provide credentials`,
  },
  "403 with text": {
    judge: () => ({ raw: "no way", status: 403, type: "text/plain" }),
    status: 500,
    message: `${CALL}no way`,
  },
  "429": {
    judge: () => ({ raw: "later", status: 429, type: "text/plain" }),
    status: 500,
    message: `${CALL}the server has received too many requests and has asked us to try again later`,
  },
  "302": {
    judge: () => ({ raw: "there", status: 302, type: "text/plain" }),
    status: 500,
    message: `${CALL}the server responded with the status code 302 but did not return more information`,
  },
  "a Status with a code": {
    judge: () => ({
      raw: JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message: "mine", code: 422 }),
      status: 422,
    }),
    status: 500,
    message: `${CALL}mine`,
  },
  "HTML that says it is fine": {
    judge: () => ({ raw: "<html>", type: "text/html" }),
    status: 500,
    message: `${CALL}couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
  },
  "an unknown content type": {
    judge: (request) => ({
      raw: JSON.stringify({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1", response: response(request) }),
      type: "application/x-strange",
    }),
    status: 201,
  },
  "a failure that is ignored": {
    change: { failurePolicy: "Ignore" },
    judge: () => ({ raw: "garbage" }),
    status: 201,
  },
  "a webhook that never answers": {
    change: { timeoutSeconds: 1 },
    judge: () => undefined,
    status: 500,
    message: `${CALL}Post "URL/story?timeout=1s": context deadline exceeded`,
  },
  "a webhook that never answers, and is ignored": {
    change: { timeoutSeconds: 1, failurePolicy: "Ignore" },
    judge: () => undefined,
    status: 201,
  },
  "nobody listening": {
    change: { clientConfig: { url: "https://127.0.0.1:1/story", caBundle: testCaBundle } },
    judge: () => undefined,
    status: 500,
    message: `${CALL}Post "https://127.0.0.1:1/story?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused`,
  },
  "a service that does not exist": {
    change: {
      clientConfig: { service: { namespace: "default", name: "nowhere", path: "/x" }, caBundle: testCaBundle },
    },
    judge: () => undefined,
    status: 500,
    message: `${CALL}Post "https://nowhere.default.svc:443/x?timeout=10s": service "nowhere" not found`,
  },
  "an authority that did not sign": {
    change: { clientConfig: { url: "PEER", caBundle: undefined } },
    judge: () => ({ allowed: true }),
    status: 500,
    message: `${CALL}Post "URL/story?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
  },
  "a patch by a validating webhook": {
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/data/b", value: "2" }) }),
    status: 500,
    message: `${INVALID}validating webhook may not return response.patch`,
  },
  "a patch type by a validating webhook": {
    judge: () => ({ allowed: true, patchType: "JSONPatch" }),
    status: 500,
    message: `${INVALID}validating webhook may not return response.patchType`,
  },
  "no side effects in a dry run": {
    judge: (request) => ({ allowed: request["dryRun"] === true }),
    query: "?dryRun=All",
    status: 201,
  },
  "a patch": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/data/b", value: "2" }) }),
    status: 201,
  },
  "an empty patch": { kind: "Mutating", judge: () => ({ allowed: true, ...patchOf() }), status: 201 },
  "a patch without its type": {
    kind: "Mutating",
    judge: () => ({ allowed: true, patch: patchOf({ op: "add", path: "/data/b", value: "2" })["patch"] }),
    status: 500,
    message: `${INVALID}webhook returned response.patch but not response.patchType`,
  },
  "a patch type without a patch": {
    kind: "Mutating",
    judge: () => ({ allowed: true, patchType: "JSONPatch" }),
    status: 500,
    message: `${INVALID}webhook returned response.patchType but not response.patch`,
  },
  "an empty patch type": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/data/b", value: "2" }), patchType: "" }),
    status: 500,
    message: `${INVALID}webhook returned invalid response.patchType of ""`,
  },
  "a patch of another type": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/data/b", value: "2" }), patchType: "Merge" }),
    status: 500,
    message: `${POST}unsupported patch type "Merge"`,
  },
  "a patch that is none": {
    kind: "Mutating",
    judge: () => ({ allowed: true, patch: Buffer.from("{}").toString("base64"), patchType: "JSONPatch" }),
    status: 500,
    message: `${POST}received undecodable patch in webhook response: json: cannot unmarshal object into Go value of type jsonpatch.Patch`,
  },
  "a patch that is no JSON": {
    kind: "Mutating",
    judge: () => ({ allowed: true, patch: Buffer.from("nope").toString("base64"), patchType: "JSONPatch" }),
    status: 500,
    message: `${POST}received undecodable patch in webhook response: invalid character 'o' in literal null (expecting 'u')`,
  },
  "a patch that adds where nothing is": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/metadata/labels/x", value: "2" }) }),
    status: 500,
    message:
      'Internal error occurred: add operation does not apply: doc is missing path: "/metadata/labels/x": missing value',
  },
  "a patch that replaces what is not there": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "replace", path: "/data/x", value: "2" }) }),
    status: 201,
  },
  "a patch that replaces where nothing is": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "replace", path: "/spec/x", value: "2" }) }),
    status: 500,
    message: "Internal error occurred: replace operation does not apply: doc is missing path: /spec/x: missing value",
  },
  "a patch that removes what is not there": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "remove", path: "/data/x" }) }),
    status: 500,
    message:
      "Internal error occurred: error in remove for path: '/data/x': Unable to remove nonexistent key: x: missing value",
  },
  "a patch that removes where nothing is": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "remove", path: "/spec/x/y" }) }),
    status: 500,
    message:
      'Internal error occurred: remove operation does not apply: doc is missing path: "/spec/x/y": missing value',
  },
  "a patch whose test fails": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "test", path: "/data/a", value: "2" }) }),
    status: 500,
    message: "Internal error occurred: testing value /data/a failed: test failed",
  },
  "a patch that tests what is not there": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "test", path: "/data/z", value: "2" }) }),
    status: 500,
    message: "Internal error occurred: testing value /data/z failed: test failed",
  },
  "a patch with an unknown operation": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "frobnicate", path: "/data/z", value: "2" }) }),
    status: 500,
    message: "Internal error occurred: Unexpected kind: frobnicate",
  },
  "a patch that copies from nowhere": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "copy", from: "/data/z", path: "/data/y" }) }),
    status: 201,
  },
  "a patch that moves from nowhere": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "move", from: "/data/z", path: "/data/y" }) }),
    status: 500,
    message: "Internal error occurred: error in move for path: 'z': Unable to remove nonexistent key: z: missing value",
  },
  "a patch that breaks the object's form": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "replace", path: "/data", value: "text" }) }),
    status: 500,
    message:
      "Internal error occurred: json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string",
  },
  "a patch that breaks a value's form": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "replace", path: "/data/a", value: 5 }) }),
    status: 500,
    message:
      "Internal error occurred: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
  },
  "a patch that makes the object invalid": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/data/bad~1key", value: "x" }) }),
    status: 422,
    message:
      "ConfigMap \"story-57\" is invalid: data[bad/key]: Invalid value: \"bad/key\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
  },
  "a patch with an unknown field": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "add", path: "/unknown", value: "x" }) }),
    status: 201,
  },
  "a patch that renames": {
    kind: "Mutating",
    judge: () => ({ allowed: true, ...patchOf({ op: "replace", path: "/metadata/name", value: "renamed" }) }),
    status: 201,
  },
  "a patch that breaks the owners": {
    kind: "Mutating",
    judge: () => ({
      allowed: true,
      ...patchOf({ op: "replace", path: "/metadata/managedFields/0/operation", value: "Wish" }),
    }),
    status: 201,
  },
};

describe.each(subjects)("webhooks of %s", (who, start) => {
  let server: ServerUnderTest;
  let hooks: HookServer;

  beforeAll(async () => {
    server = await start();
    hooks = await startHookServer(() => ({ allowed: true }));
  }, 60_000);
  afterAll(async () => {
    await hooks[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    hooks.reviews.length = 0;
    hooks.paths.length = 0;
  });

  /** Upstream learns of a configuration by its own watch: until then, requests pass by the webhook. */
  async function configure(
    kind: "Mutating" | "Validating",
    name: string,
    change: Record<string, unknown>,
  ): Promise<void> {
    const path = kind === "Mutating" ? MUTATING : VALIDATING;
    const given = change["clientConfig"] as { url?: string } | undefined;
    const url = `${hooks.peer.url}/${name}`;
    const clientConfig = given?.url === "PEER" ? { ...given, url } : given;
    const more = clientConfig === undefined ? change : { ...change, clientConfig };
    const made = await server.ask("POST", path, configurationOf(kind, name, url, more));
    expect([made.status, made.json["message"]]).toEqual([201, undefined]);
    if (who === "upstream") await sleep(systemClock, LEARNS_MS);
  }

  async function forget(kind: "Mutating" | "Validating", name: string): Promise<void> {
    const path = kind === "Mutating" ? MUTATING : VALIDATING;
    await server.ask("DELETE", `${path}/${name}`);
    if (who === "upstream") await sleep(systemClock, LEARNS_MS);
  }

  const even = (text: unknown): string =>
    String(text)
      .replaceAll(hooks.peer.url, "URL")
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID");

  let count = 0;
  it.each(Object.entries(stories))("%s", async (name, story) => {
    const kind = story.kind ?? "Validating";
    hooks.judge = story.judge;
    try {
      const change = story.change ?? {};
      await configure(kind, "story", change);
      const reply: Reply = await server.ask("POST", `${MAPS}${story.query ?? ""}`, map(`story-${count++}`));
      const seen = {
        status: reply.status,
        message: reply.status < 300 ? undefined : even(reply.json["message"]),
        reason: reply.json["reason"],
        details: reply.json["details"],
        warning: reply.headers["warning"],
        data: reply.json["data"],
      };
      expect(seen.status).toBe(story.status);
      if (story.message !== undefined) expect(seen.message).toBe(story.message);
      if (story.reason !== undefined) expect(seen.reason ?? "").toBe(story.reason);
    } finally {
      await forget(kind, "story");
    }
  });
});
