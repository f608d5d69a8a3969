import { describe, expect, it } from "vitest";
import { builtInSchema } from "../schema/schema-engine.ts";
import { parseJsonStrict } from "../json/parse-json.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch, createMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";

describe("merge patch (RFC 7386, appendix A)", () => {
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j with %j", (target, patch, result) => {
    expect(applyMergePatch(target, patch)).toEqual(result);
  });

  it("the patch between two objects leads from one to the other", () => {
    const from = { a: 1, b: { c: [1], d: 2 }, e: "x" };
    const to = { a: 1, b: { c: [1, 2] }, f: {} };
    expect(applyMergePatch(from, createMergePatch(from, to))).toEqual(to);
  });
});

describe("JSON patch (RFC 6902, appendix A)", () => {
  it.each([
    [{ foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [{ foo: ["a", "c"] }, [{ op: "add", path: "/foo/1", value: "b" }], { foo: ["a", "b", "c"] }],
    [{ foo: ["a"] }, [{ op: "add", path: "/foo/-", value: "b" }], { foo: ["a", "b"] }],
    [{ a: 1, b: 2 }, [{ op: "remove", path: "/b" }], { a: 1 }],
    [{ a: 1 }, [{ op: "replace", path: "/a", value: null }], { a: null }],
    [{ a: { b: 1 }, c: {} }, [{ op: "move", from: "/a/b", path: "/c/d" }], { a: {}, c: { d: 1 } }],
    [{ a: [1] }, [{ op: "copy", from: "/a", path: "/b" }], { a: [1], b: [1] }],
    [
      { "a/b": 1, "m~n": 2 },
      [
        { op: "test", path: "/a~1b", value: 1 },
        { op: "remove", path: "/m~0n" },
      ],
      { "a/b": 1 },
    ],
    [{}, [{ op: "test", path: "/x", value: null }], {}],
  ])("%j with %j", (target, patch, result) => {
    const copy = structuredClone(target);
    expect(applyJsonPatch(target, patch)).toEqual(result);
    expect(target).toEqual(copy);
  });

  it.each([
    [[{ op: "test", path: "/a", value: 2 }], 422],
    [[{ op: "remove", path: "/missing" }], 422],
    [[{ op: "replace", path: "/missing/x", value: 1 }], 422],
    [[{ op: "add", path: "/x/y", value: 1 }], 422],
    [[{ op: "jump", path: "/a" }], 422],
    [{ op: "add" }, 400],
    [Array.from({ length: 10_001 }, () => ({ op: "remove", path: "/a" })), 413],
  ])("%j is refused", (patch, code) => {
    expect(() => applyJsonPatch({ a: 1 }, patch)).toThrow(expect.objectContaining({ code }));
  });

  it("does not reach the prototype", () => {
    applyJsonPatch({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
    expect(() => applyJsonPatch({}, [{ op: "add", path: "/constructor/prototype/polluted", value: 1 }])).toThrow();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("strategic merge patch", () => {
  const pod = builtInSchema().findKind({ group: "", version: "v1", kind: "Pod" });
  const deployment = builtInSchema().findKind({ group: "apps", version: "v1", kind: "Deployment" });
  if (pod === undefined || deployment === undefined) throw new Error("no schema");
  const spec = (value: unknown, patch: unknown): unknown =>
    (applyStrategicMergePatch(pod, { spec: value }, { spec: patch }) as { spec: unknown }).spec;

  it.each([
    [
      "lists merge by their key",
      { containers: [{ name: "a", image: "1" }, { name: "b" }] },
      { containers: [{ name: "a", image: "2" }] },
      { containers: [{ name: "a", image: "2" }, { name: "b" }] },
    ],
    [
      "$patch: delete removes an element",
      { containers: [{ name: "a" }, { name: "b" }] },
      { containers: [{ name: "a", $patch: "delete" }] },
      { containers: [{ name: "b" }] },
    ],
    [
      "$patch: replace in a list replaces the list",
      { containers: [{ name: "a" }, { name: "b" }] },
      { containers: [{ name: "c" }, { $patch: "replace" }] },
      { containers: [{ name: "c" }] },
    ],
    [
      "$patch: replace in an object replaces the object",
      { nodeSelector: { a: "1" } },
      { nodeSelector: { b: "2", $patch: "replace" } },
      { nodeSelector: { b: "2" } },
    ],
    [
      "$retainKeys drops the others",
      { volumes: [{ name: "v", emptyDir: {} }] },
      { volumes: [{ name: "v", hostPath: { path: "/x" }, $retainKeys: ["name", "hostPath"] }] },
      { volumes: [{ name: "v", hostPath: { path: "/x" } }] },
    ],
    [
      "$setElementOrder orders, what it does not name stays near",
      { containers: [{ name: "a" }, { name: "b" }, { name: "c" }] },
      { "$setElementOrder/containers": [{ name: "c" }, { name: "a" }] },
      { containers: [{ name: "b" }, { name: "c" }, { name: "a" }] },
    ],
    [
      "null deletes, also in what is new",
      { nodeName: "x" },
      { nodeName: null, securityContext: { runAsUser: 1, runAsGroup: null } },
      { securityContext: { runAsUser: 1 } },
    ],
    [
      "lists without a merge strategy are replaced",
      { tolerations: [{ key: "a" }] },
      { tolerations: [{ key: "b" }] },
      { tolerations: [{ key: "b" }] },
    ],
  ])("%s", (_, value, patch, result) => {
    expect(spec(value, patch)).toEqual(result);
  });

  it("merges and deletes in lists of primitives", () => {
    const apply = (patch: unknown) =>
      applyStrategicMergePatch(pod, { metadata: { finalizers: ["a/x", "a/y"] } }, patch);
    expect(apply({ metadata: { finalizers: ["a/z", "a/x"] } })).toEqual({
      metadata: { finalizers: ["a/z", "a/x", "a/y"] },
    });
    expect(apply({ metadata: { "$deleteFromPrimitiveList/finalizers": ["a/x"] } })).toEqual({
      metadata: { finalizers: ["a/y"] },
    });
  });

  it("a service's ports merge by port, a deployment's strategy retains keys", () => {
    const patched = applyStrategicMergePatch(
      deployment,
      { spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } },
      { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } },
    );
    expect(patched).toEqual({ spec: { strategy: { type: "Recreate" } } });
  });

  it("where a value is replaced, a directive that is none is a member that is none", () => {
    const budget = builtInSchema().findKind({ group: "policy", version: "v1", kind: "PodDisruptionBudget" })!;
    const before = { spec: { selector: { matchLabels: { a: "b" } } } };
    const patch = { spec: { selector: { $patch: "dele", matchLabels: { c: "d" } } } };
    expect(applyStrategicMergePatch(budget, before, patch)).toEqual({
      spec: { selector: { matchLabels: { c: "d" } } },
    });
  });

  it.each([
    [{ containers: [{ image: "x" }] }, "does not contain declared merge key: name"],
    [{ nodeSelector: { $patch: "explode" } }, "unknown patch type"],
  ])("%j is refused", (patch, message) => {
    expect(() => spec({ containers: [{ name: "c" }], nodeSelector: { a: "b" } }, patch)).toThrow(message);
  });
});

describe("strict JSON", () => {
  it("names duplicates by path", () => {
    const parsed = parseJsonStrict('{"a":1,"b":[{"c":"\\"}","c":{"d":1,"\\u0064":2}}],"a":{"x":"a","y":"a"}}');
    expect(parsed.duplicateFields).toEqual([
      'duplicate field "b[0].c"',
      'duplicate field "b[0].c.d"',
      'duplicate field "a"',
    ]);
    expect(parsed.value).toEqual({ a: { x: "a", y: "a" }, b: [{ c: { d: 2 } }] });
  });
  it("refuses what is no JSON with 400", () => {
    expect(() => parseJsonStrict("{a:1}")).toThrow(expect.objectContaining({ code: 400 }));
  });
});
