import { describe, expect, it } from "vitest";
import { createSeededRandom } from "@coracle/base";
import { builtInSchema } from "../schema/schema-engine.ts";
import { checkConfig } from "./check-config.ts";
import { compareObjects, fieldSetOf } from "./compare.ts";
import { equalSets, intersectSets, isEmptySet, parseFieldSet, pathsOf, subtractSet, uniteSets } from "./field-set.ts";
import { applyConfig, MAX_UPDATE_MANAGERS, trackUpdate, type Applied, type ManagedFields } from "./managed-fields.ts";
import { mergeConfig, removePaths } from "./merge.ts";
import { DEDUCED, mergeTypeOf } from "./merge-type.ts";
import { sharedSet, textOfFieldSet } from "./shared-sets.ts";
import type { Draft } from "../json/json.ts";

const typeOf = (group: string, kind: string) => {
  const schema = builtInSchema().findKind({ group, version: "v1", kind });
  if (schema === undefined) throw new Error(kind);
  return mergeTypeOf(schema);
};
const POD = typeOf("", "Pod");
const CONFIG_MAP = typeOf("", "ConfigMap");
const pod = (...containers: Draft[]): Draft => ({ metadata: {}, spec: { containers } });
const names = (value: unknown): unknown[] =>
  (value as { spec: { containers: { name: string }[] } }).spec.containers.map(({ name }) => name);

describe("the fields of an object", () => {
  it("are its leaves, the items of lists with keys, and what is empty", () => {
    const object = {
      metadata: { labels: { a: "b" }, annotations: {}, finalizers: ["x/y"] },
      spec: { containers: [{ name: "c", args: ["1"], ports: [{ containerPort: 80 }] }], hostNetwork: true },
    };
    expect(pathsOf(fieldSetOf(POD, object))).toEqual([
      ".metadata.annotations",
      '.metadata.finalizers[="x/y"]',
      ".metadata.labels.a",
      ".spec.hostNetwork",
      '.spec.containers[name="c"]',
      '.spec.containers[name="c"].args',
      '.spec.containers[name="c"].name',
      '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]',
      '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
    ]);
  });

  it.each([
    ["another value", { data: { a: "1" } }, { data: { a: "2" } }, [".data.a"], []],
    ["a new member", { data: { a: "1" } }, { data: { a: "1", b: "1" } }, [".data.b"], []],
    ["a new map", {}, { data: { a: "1" } }, [".data", ".data.a"], []],
    ["a map that is gone", { data: { a: "1" } }, {}, [], [".data", ".data.a"]],
    ["nothing", { data: { a: "1" } }, { data: { a: "1" } }, [], []],
  ])("that differ: %s", (_, before, after, changed, removed) => {
    const difference = compareObjects(CONFIG_MAP, before, after);
    expect(pathsOf(difference.changed)).toEqual(changed);
    expect(pathsOf(difference.removed)).toEqual(removed);
  });

  it("of items under one key are owned together", () => {
    const twice = pod({
      name: "c",
      env: [
        { name: "A", value: "1" },
        { name: "A", value: "2" },
      ],
    });
    expect(pathsOf(compareObjects(POD, pod({ name: "c", env: [] }), twice).changed)).toEqual([
      '.spec.containers[name="c"].env[name="A"]',
    ]);
  });
});

describe("sets of fields", () => {
  const a = parseFieldSet({ "f:x": { ".": {}, "f:y": {} }, 'k:{"b":1, "a":"z"}': {}, 'v: "s"': {} });
  it("are read in their one form, and refused otherwise", () => {
    expect(Object.keys(a)).toEqual(["f:x", 'k:{"a":"z","b":1}', 'v:"s"']);
    expect(() => parseFieldSet({ x: {} })).toThrow('unknown path element "x"');
    expect(() => parseFieldSet({ "f:x": [] })).toThrow();
  });

  it("are added, subtracted and cut as sets are", () => {
    const random = createSeededRandom(7);
    const element = (): string => `f:${"abcd"[Math.floor(random.next() * 4)]}`;
    const some = (depth: number): Draft =>
      Object.fromEntries(
        Array.from({ length: Math.floor(random.next() * 4) }, () => [element(), depth === 0 ? {} : some(depth - 1)]),
      );
    for (let i = 0; i < 500; i++) {
      const [x, y] = [parseFieldSet(some(3)), parseFieldSet(some(3))];
      const [inX, inY] = [new Set(pathsOf(x)), new Set(pathsOf(y))];
      expect(new Set(pathsOf(uniteSets(x, y)))).toEqual(new Set([...inX, ...inY]));
      expect(new Set(pathsOf(intersectSets(x, y)))).toEqual(new Set([...inX].filter((path) => inY.has(path))));
      expect(new Set(pathsOf(subtractSet(x, y)))).toEqual(new Set([...inX].filter((path) => !inY.has(path))));
      expect(equalSets(parseFieldSet(JSON.parse(JSON.stringify(x))), x)).toBe(true);
      expect(sharedSet(x)).toBe(sharedSet(parseFieldSet(JSON.parse(textOfFieldSet(x)))));
      expect(sharedSet(x)).toEqual(x);
      expect(isEmptySet(subtractSet(x, x))).toBe(true);
    }
  });

  it("keep apart what only looks alike", () => {
    const odd = { "f:a\0": {}, "f:b": {} };
    expect(sharedSet(parseFieldSet(odd))).toEqual(odd);
  });
});

describe("a configuration", () => {
  it.each([
    [{ spec: { foo: 1 } }, [".spec.foo: field not declared in schema"]],
    [{ spec: { hostNetwork: "x" } }, [".spec.hostNetwork: expected boolean, got &{x}"]],
    [{ spec: { priority: "x" } }, [".spec.priority: expected numeric (int or float), got string"]],
    [pod({ name: "c" }, { name: "c" }), ['.spec.containers: duplicate entries for key [name="c"]']],
    [
      { spec: { containers: [null] } },
      [".spec.containers: element 0: associative list with keys may not have a null element"],
    ],
    [pod({ name: "c", resources: { limits: { cpu: 1, memory: "1Gi" } } }), []],
  ])("%j is checked against the type", (config, errors) => {
    expect(checkConfig(POD, config)).toEqual(errors);
  });

  it.each([
    [
      ["a", "b", "c"],
      ["c", "a"],
      ["b", "c", "a"],
    ],
    [
      ["a", "b"],
      ["x", "b", "y"],
      ["a", "x", "b", "y"],
    ],
    [
      ["a", "b"],
      ["b", "x"],
      ["a", "b", "x"],
    ],
    [[], ["x", "y"], ["x", "y"]],
    [["a", "s", "b"], ["s"], ["a", "s", "b"]],
  ])("of %j and %j makes %j", (live, config, merged) => {
    const list = (of: string[]): Draft => pod(...of.map((name) => ({ name })));
    expect(names(mergeConfig(POD, list(live), list(config)))).toEqual(merged);
  });

  it("leaves members it does not name, replaces atomic lists, keeps null", () => {
    const live = { metadata: { labels: { a: "1" } }, spec: { containers: [{ name: "c", image: "i", args: ["1"] }] } };
    const config = { ...pod({ name: "c", args: ["2"] }), metadata: { labels: { b: "2" } } };
    expect(
      mergeConfig(POD, live, { ...config, spec: { ...((config as Draft).spec as Draft), priority: null } }),
    ).toEqual({
      metadata: { labels: { a: "1", b: "2" } },
      spec: { containers: [{ name: "c", image: "i", args: ["2"] }], priority: null },
    });
    expect(mergeConfig(DEDUCED, { a: { b: 1 }, l: [1] }, { a: { c: 2 }, l: [2] })).toEqual({
      a: { b: 1, c: 2 },
      l: [2],
    });
  });

  it("takes away what it is told to", () => {
    const live = { metadata: { labels: { a: "1", b: "2" } }, ...pod({ name: "c" }, { name: "d" }) };
    const paths = parseFieldSet({ "f:spec": { "f:containers": { 'k:{"name":"c"}': {} } } });
    expect(names(removePaths(POD, live, paths))).toEqual(["d"]);
  });
});

const at = (n: number): string => `2026-01-01T00:00:${String(n).padStart(2, "0")}Z`;
const writer = (manager: string, n = 0) => ({ manager, apiVersion: "v1", subresource: "", time: at(n) });
const summary = (managers: readonly ManagedFields[]): Record<string, string[]> =>
  Object.fromEntries(managers.map(({ manager, operation, fields }) => [`${manager} ${operation}`, pathsOf(fields)]));
const apply = (
  live: Draft,
  config: Draft,
  managers: readonly ManagedFields[],
  manager: string,
  force = false,
): Applied =>
  applyConfig({
    type: CONFIG_MAP,
    live,
    config,
    managers,
    writer: writer(manager),
    force,
    tracked: (object) => object,
  });

describe("who owns what", () => {
  const created = trackUpdate(CONFIG_MAP, {}, { data: { a: "1", b: "1" } }, [], writer("maker"));

  it("a writer owns what it changed, and no one what is gone", () => {
    const after = trackUpdate(
      CONFIG_MAP,
      { data: { a: "1", b: "1" } },
      { data: { a: "2" } },
      created,
      writer("other", 1),
    );
    expect(summary(after)).toEqual({ "maker Update": [".data"], "other Update": [".data.a"] });
  });

  it("an applier meets a conflict where others own another value, and takes it by force", () => {
    const live = { data: { a: "1", b: "1" } };
    const config = { data: { a: "2" } };
    expect(apply(live, config, created, "applier")).toMatchObject({
      type: "conflict",
      conflicts: [{ path: ".data.a", owner: { manager: "maker" } }],
    });
    const forced = apply(live, config, created, "applier", true);
    if (forced.type === "conflict") throw new Error("conflict");
    expect(forced.object).toEqual({ data: { a: "2", b: "1" } });
    expect(summary(forced.managers)).toEqual({ "maker Update": [".data", ".data.b"], "applier Apply": [".data.a"] });
  });

  it("what an applier no longer wants goes, unless another owns it too", () => {
    const first = apply({}, { data: { a: "1", b: "1", c: "1" } }, [], "one");
    if (first.type === "conflict") throw new Error("conflict");
    const second = apply(first.object as Draft, { data: { b: "1" } }, first.managers, "two");
    if (second.type === "conflict") throw new Error("conflict");
    expect(second.object).toBeUndefined();
    const third = apply(first.object as Draft, { data: { a: "1" } }, second.managers, "one");
    if (third.type === "conflict") throw new Error("conflict");
    expect(third.object).toEqual({ data: { a: "1", b: "1" } });
  });

  it("to apply twice is to apply once", () => {
    const random = createSeededRandom(3);
    const some = (): Draft => ({
      data: Object.fromEntries(["a", "b", "c"].filter(() => random.next() < 0.5).map((key) => [key, key])),
    });
    for (let i = 0; i < 200; i++) {
      const [live, config] = [some(), some()];
      const managers = trackUpdate(CONFIG_MAP, {}, live, [], writer("maker"));
      const once = apply(live, config, managers, "applier", true);
      if (once.type === "conflict") throw new Error("conflict");
      const twice = apply(once.object ?? live, config, once.managers, "applier");
      expect(twice).toEqual({ type: "applied", object: undefined, managers: once.managers });
    }
  });

  it("the oldest of too many updaters are gathered under one name", () => {
    let managers: readonly ManagedFields[] = [];
    let data: Draft = {};
    for (let i = 0; i < MAX_UPDATE_MANAGERS + 3; i++) {
      const next = { ...data, [`k${i}`]: "1" };
      managers = trackUpdate(CONFIG_MAP, { data }, { data: next }, managers, writer(`m${i}`, i));
      data = next;
    }
    expect(managers).toHaveLength(MAX_UPDATE_MANAGERS);
    expect(summary(managers)["ancient-changes Update"]).toEqual([".data.k0", ".data.k1", ".data.k2", ".data.k3"]);
  });
});
