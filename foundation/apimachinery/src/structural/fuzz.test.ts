import { describe, expect, it } from "vitest";
import { cloneJson, isObject, type Draft } from "../json/json.ts";
import { DecodeError } from "../schema/decode.ts";
import { checkSchema, STRICT_SCHEMA } from "./check-schema.ts";
import { createCustomSchema } from "./custom-schema.ts";
import { compilePattern } from "./patterns.ts";

/** A small generator with a fixed seed: a failure can be had again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Random = () => number;
const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
const NAMES = ["a", "b", "c", "metadata", "kind", "__proto__", "é.x"];

/** Something like a schema: mostly sound, with a wild keyword now and then. */
function schemaOf(random: Random, depth: number): Draft {
  const type = pick(random, ["object", "array", "string", "integer", "number", "boolean", "ios", "free"]);
  const schema: Draft = type === "ios" ? { "x-kubernetes-int-or-string": true } : {};
  if (type === "free") schema["x-kubernetes-preserve-unknown-fields"] = true;
  if (type !== "ios" && type !== "free") schema["type"] = type;
  if (type === "object" && depth > 0) {
    if (random() < 0.2) schema["additionalProperties"] = random() < 0.3 ? true : schemaOf(random, depth - 1);
    else
      schema["properties"] = Object.fromEntries(
        NAMES.slice(0, 1 + Math.floor(random() * 4)).map((name) => [name, schemaOf(random, depth - 1)]),
      );
    if (random() < 0.2) schema["x-kubernetes-preserve-unknown-fields"] = true;
    if (random() < 0.2) schema["required"] = [pick(random, NAMES)];
    if (random() < 0.1) schema["x-kubernetes-embedded-resource"] = true;
  }
  if (type === "array") {
    schema["items"] = schemaOf(random, Math.max(0, depth - 1));
    if (random() < 0.3) schema["x-kubernetes-list-type"] = pick(random, ["set", "map", "atomic", "nonsense"]);
    if (random() < 0.2) schema["x-kubernetes-list-map-keys"] = ["a"];
  }
  if (random() < 0.25) schema["default"] = valueOf(random, 2);
  if (random() < 0.2) schema["nullable"] = true;
  if (random() < 0.1) schema["pattern"] = pick(random, ["^a+$", "(a+)+$", "[", "(?=x)"]);
  if (random() < 0.1) schema["enum"] = [valueOf(random, 1), "a", null];
  if (random() < 0.1) schema["minimum"] = random() * 10 - 5;
  if (random() < 0.1) schema[pick(random, ["allOf", "anyOf", "oneOf"])] = [schemaOf(random, 0), { minLength: 2 }];
  if (random() < 0.02) schema[pick(random, ["items", "properties", "type", "required", "not"])] = valueOf(random, 1);
  return schema;
}

function valueOf(random: Random, depth: number): unknown {
  const kind = random();
  if (depth > 0 && kind < 0.35)
    return Object.fromEntries(
      NAMES.filter(() => random() < 0.5).map((name) => [name, valueOf(random, depth - 1)] as const),
    );
  if (depth > 0 && kind < 0.5)
    return Array.from({ length: Math.floor(random() * 4) }, () => valueOf(random, depth - 1));
  return pick(random, [null, "", "a", "aaaa", 0, 1, -1, 1.5, 1e300, true, false, "\u{1f600}", "2020-01-01"]);
}

const options = { group: "example.com", version: "v1", kind: "Any" };
const resource = (random: Random): Draft => ({
  apiVersion: "example.com/v1",
  kind: "Any",
  metadata: { name: "x" },
  spec: valueOf(random, 4),
  status: valueOf(random, 2),
});

describe("whatever the schema and whatever the object", () => {
  const rounds = 700;

  it("schemas are judged, compiled and used without an exception", () => {
    const random = randomOf(7);
    let sound = 0;
    for (let round = 0; round < rounds; round++) {
      const schema: Draft = { type: "object", properties: { spec: schemaOf(random, 4) } };
      const before = JSON.stringify(schema);
      const errors = checkSchema("spec.validation.openAPIV3Schema", schema, {
        ...STRICT_SCHEMA,
        hasStatus: random() < 0.5,
        rules: undefined,
      });
      expect(JSON.stringify(schema)).toBe(before);
      if (errors.length === 0) sound++;
      else continue;
      use(schema, random);
    }
    expect(sound).toBeGreaterThan(rounds / 50);
  });

  it("what was once pruned and defaulted stays as it is, and shares nothing with the schema", () => {
    const random = randomOf(11);
    for (let round = 0; round < rounds; round++) {
      const schema: Draft = { type: "object", properties: { spec: schemaOf(random, 3), status: schemaOf(random, 1) } };
      if (checkSchema("schema", schema, { ...STRICT_SCHEMA, hasStatus: false, rules: undefined }).length > 0) continue;
      const custom = createCustomSchema(schema, options);
      const object = resource(random);
      if (!decodes(() => custom.decode(object))) continue;
      custom.applyDefaults(object);
      const once = cloneJson(object);
      expect(custom.decode(object)).toEqual([]);
      custom.applyDefaults(object);
      expect(object).toEqual(once);
      scribble(object);
      const fresh = cloneJson(once);
      custom.applyDefaults(fresh);
      expect(fresh).toEqual(once);
    }
  });

  it("members named __proto__ are plain data", () => {
    const custom = createCustomSchema(
      {
        type: "object",
        properties: { spec: { type: "object", additionalProperties: { type: "string", default: "x" } } },
      },
      options,
    );
    const object = { ...resource(randomOf(1)), spec: JSON.parse('{"__proto__":null,"a":null}') as Draft };
    custom.decode(object);
    custom.applyDefaults(object);
    expect(JSON.stringify(object.spec)).toBe('{"__proto__":"x","a":"x"}');
    expect(({} as Draft)["x"]).toBeUndefined();
  });

  it("a pattern that explodes elsewhere takes linear time", () => {
    const matches = compilePattern("^(a+)+$");
    const text = `${"a".repeat(20_000)}b`;
    expect(matches(text)).toBe(false);
  });

  it("schemas too deep are refused with a word", () => {
    let schema: Draft = { type: "string" };
    for (let depth = 0; depth < 5_000; depth++) schema = { type: "array", items: schema };
    const errors = checkSchema(
      "s",
      { type: "object", properties: { spec: schema } },
      { ...STRICT_SCHEMA, hasStatus: false, rules: undefined },
    );
    expect(errors.map((error) => error.message)).toEqual(['Invalid value: "": must not be deeper than 500 levels']);
  });
});

function decodes(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

function use(schema: Draft, random: Random): void {
  const custom = createCustomSchema(schema, options);
  expect(custom.mergeType.kind).toBe("struct");
  for (let i = 0; i < 5; i++) {
    const object = resource(random);
    const stored = cloneJson(object);
    custom.readStored(stored);
    if (!decodes(() => custom.decode(object))) continue;
    custom.applyDefaults(object);
    custom.validate(object);
    // What did not change may stay as bad as it is.
    expect(custom.validateUpdate(cloneJson(stored), stored).filter(isRatcheted)).toEqual([]);
    custom.validateUpdate(object, stored);
    custom.validateStatusUpdate(object, stored);
  }
}

/** Embedded resources are judged anew each time; so is what stands where no schema tells the place. */
const isRatcheted = (error: { readonly field: string; readonly message: string }): boolean =>
  error.field === "spec" && error.message.includes("in body must be of type");

/** Changes everything that can be changed in place. */
function scribble(value: unknown): void {
  if (Array.isArray(value)) {
    value.forEach(scribble);
    value.push("scribbled");
  } else if (isObject(value)) {
    Object.values(value).forEach(scribble);
    value["scribbled"] = true;
  }
}
