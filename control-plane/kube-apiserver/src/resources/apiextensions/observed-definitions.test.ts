import { readFileSync } from "node:fs";
import { builtInSchema, isObject, nameIsDns1123Subdomain, validateObjectMeta, type Draft } from "@coracle/apimachinery";
import { beforeAll, describe, expect, it } from "vitest";
import type { ApiDraft, ApiObject } from "../../registry/resource-definition.ts";
import { customResourceDefinition } from "./custom-resource-definition.ts";

interface Cause {
  readonly reason: string;
  readonly field: string;
  readonly message: string;
}

interface Observed {
  readonly name: string;
  readonly object: Draft;
  /** What upstream's API server answered. */
  readonly verdict: {
    readonly code: number;
    readonly causes?: readonly Cause[];
    readonly warnings?: readonly string[];
  };
}

const observed = JSON.parse(
  readFileSync(new URL("testdata/definitions.json", import.meta.url), "utf8"),
) as readonly Observed[];

/**
 * Values of objects and lists in messages are upstream's internal form, which is no interface; which rules of the same
 * cost are named is left to chance there.
 */
const comparable = ({ reason, field, message }: Cause): string =>
  `${reason} ${message.includes("contributed to") ? "" : field}: ${message.replace(/Syntax error: .*/s, "Syntax error").replace(/^(Invalid value: )[[{].*?[\]}](?=$|: [a-z'])/s, "$1…")}`;

function judge(object: Draft): { readonly causes: readonly string[]; readonly warnings: readonly string[] } {
  const kind = { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition" };
  const draft = builtInSchema().decodeKind(kind, object).object as ApiDraft;
  customResourceDefinition.defaults?.(draft);
  customResourceDefinition.prepareForCreate?.(draft, undefined as never);
  const created = draft as ApiObject;
  const errors = validateObjectMeta(created.metadata as never, false, nameIsDns1123Subdomain);
  errors.push(...(customResourceDefinition.validateNew?.(created, errors) ?? []));
  return {
    causes: errors.map(({ type, field, message }) => comparable({ reason: type, field, message })).sort(),
    warnings: customResourceDefinition.createWarnings?.(created) ?? [],
  };
}

describe("custom resource definitions, against what upstream's API server answered", () => {
  beforeAll(() => customResourceDefinition.load?.());

  it.each(observed)("$name", ({ object, verdict }) => {
    expect(isObject(object)).toBe(true);
    const ours = judge(object);
    expect(ours.causes).toEqual((verdict.causes ?? []).map(comparable).sort());
    if (verdict.code === 201) expect([...ours.warnings].sort()).toEqual(verdict.warnings ?? []);
  });
});
