import { readFileSync } from "node:fs";
import { cloneJson, type Draft, type FieldError } from "@coracle/apimachinery";
import { createCustomSchema } from "@coracle/apimachinery/structural";
import { describe, expect, it } from "vitest";
import { createRuleRunner } from "./run-rules.ts";

interface Cause {
  readonly reason: string;
  readonly field: string;
  readonly message: string;
}

/** What upstream's API server answered. */
interface Verdict {
  readonly code: number;
  readonly causes?: readonly Cause[];
}

const observed = JSON.parse(readFileSync(new URL("../testdata/rules.json", import.meta.url), "utf8")) as {
  readonly schema: unknown;
  readonly creates: readonly { readonly name: string; readonly object: Draft; readonly verdict: Verdict }[];
  readonly updates: readonly {
    readonly name: string;
    readonly old: Draft;
    readonly object: Draft;
    readonly verdict: Verdict;
  }[];
};

const schema = createCustomSchema(observed.schema, {
  group: "rules.example.com",
  version: "v1",
  kind: "R",
  rules: createRuleRunner(),
});
const resource = (object: Draft): Draft => ({
  apiVersion: "rules.example.com/v1",
  kind: "R",
  ...cloneJson(object),
  metadata: { name: "x", ...(object["metadata"] as Draft | undefined) },
});
const text = ({ reason, field, message }: Cause): string => `${reason} ${field}: ${message}`;
const texts = (errors: readonly FieldError[]): readonly string[] =>
  errors.map(({ type, field, message }) => text({ reason: type, field, message })).sort();

describe("validation rules, against what upstream's API server answered", () => {
  it.each(observed.creates)("create $name", ({ object, verdict }) => {
    const draft = resource(object);
    schema.decode(draft);
    schema.applyDefaults(draft);
    expect(texts(schema.validate(draft))).toEqual((verdict.causes ?? []).map(text).sort());
  });

  it.each(observed.updates)("update $name", ({ old, object, verdict }) => {
    const before = resource(old);
    const draft = resource(object);
    schema.readStored(before);
    schema.decode(draft);
    schema.applyDefaults(draft);
    expect(texts(schema.validateUpdate(draft, before))).toEqual((verdict.causes ?? []).map(text).sort());
  });
});
