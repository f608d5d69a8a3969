import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { FieldError } from "../errors/field-error.ts";
import { cloneJson, type Draft } from "../json/json.ts";
import { DecodeError } from "../schema/decode.ts";
import { createCustomSchema } from "./custom-schema.ts";

interface Cause {
  readonly reason: string;
  readonly field: string;
  readonly message: string;
}

/** What upstream's API server answered. */
interface Verdict {
  readonly code: number;
  readonly message?: string;
  readonly causes?: readonly Cause[];
  readonly warnings?: readonly string[];
  readonly rest?: Draft;
  readonly metadata?: Draft;
}

interface Observed {
  readonly schema: unknown;
  readonly creates: readonly { readonly name: string; readonly object: Draft; readonly verdict: Verdict }[];
  readonly updates: readonly {
    readonly name: string;
    readonly old: Draft;
    readonly object: Draft;
    readonly verdict: Verdict;
  }[];
}

const observed = JSON.parse(readFileSync(new URL("testdata/observed.json", import.meta.url), "utf8")) as Observed;
const version = { group: "table.example.com", version: "v1", kind: "Sink" };
const schema = createCustomSchema(observed.schema, version);
const sink = (object: Draft): Draft => ({
  apiVersion: "table.example.com/v1",
  kind: "Sink",
  ...cloneJson(object),
  metadata: { name: "x", ...(object["metadata"] as Draft | undefined) },
});

const causesOf = (errors: readonly FieldError[]): Cause[] =>
  errors
    .map(({ type, field, message }) => ({ reason: type, field, message }))
    .sort((a, b) => (a.field + a.message < b.field + b.message ? -1 : 1));

function create(object: Draft): Verdict {
  const draft = sink(object);
  let warnings: readonly string[];
  try {
    warnings = schema.decode(draft);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { code: 400, message: error.message };
  }
  schema.applyDefaults(draft);
  const errors = schema.validate(draft);
  if (errors.length > 0) return { code: 422, causes: causesOf(errors) };
  const { apiVersion: _, kind: __, metadata, ...rest } = draft;
  return {
    code: 201,
    rest,
    metadata: metadata as Draft,
    ...(warnings.length === 0 ? {} : { warnings: [...warnings].sort() }),
  };
}

describe("custom resources, against what upstream's API server answered", () => {
  it.each(observed.creates)("create: $name", ({ object, verdict }) => {
    const ours = create(object);
    expect(ours.code).toBe(verdict.code);
    if (verdict.code === 400) expect(verdict.message).toContain(ours.message);
    else {
      const { message: _, ...told } = verdict;
      expect(ours).toEqual(told);
    }
  });

  it.each(observed.updates)("update: $name", ({ old, object, verdict }) => {
    const before = sink(old);
    const draft = sink(object);
    // What is stored is read through the schema of today.
    schema.readStored(before);
    schema.decode(draft);
    schema.applyDefaults(draft);
    const errors = schema.validateUpdate(draft, before);
    expect(causesOf(errors)).toEqual(verdict.causes ?? []);
  });
});
