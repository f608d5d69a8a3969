import { describe, expect, it } from "vitest";
import { nameIsDns1123Subdomain } from "./names.ts";
import { validateObjectMeta, validateObjectMetaUpdate } from "./object-meta.ts";

const fields = (meta: object, isNamespaced = true): string[] =>
  validateObjectMeta(meta, isNamespaced, nameIsDns1123Subdomain).map((error) => `${error.field} ${error.type}`);

describe("metadata", () => {
  const good = { name: "a", namespace: "b" };
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true };
  it.each([
    [good, []],
    [{ namespace: "b" }, ["metadata.name FieldValueRequired"]],
    [{ name: "a" }, ["metadata.namespace FieldValueRequired"]],
    [{ ...good, name: "A" }, ["metadata.name FieldValueInvalid"]],
    [{ ...good, labels: { a: "b c" } }, ["metadata.labels FieldValueInvalid"]],
    [{ ...good, annotations: { "EXAMPLE.com/A": "b c" } }, []],
    [{ ...good, annotations: { a: "x".repeat(300_000) } }, ["metadata.annotations FieldValueTooLong"]],
    [{ ...good, ownerReferences: [{ ...owner, uid: "" }] }, ["metadata.ownerReferences.uid FieldValueInvalid"]],
    [{ ...good, ownerReferences: [owner, owner] }, ["metadata.ownerReferences FieldValueInvalid"]],
    [{ ...good, finalizers: ["x"] }, ["metadata.finalizers[0] FieldValueInvalid"]],
    [{ ...good, finalizers: ["orphan", "example.com/x"] }, []],
  ])("%j", (meta, expected) => {
    expect(fields(meta)).toEqual(expected);
  });
  it("a cluster-scoped object has no namespace", () => {
    expect(fields(good, false)).toEqual(["metadata.namespace FieldValueForbidden"]);
  });
  it("an update keeps identity and adds no finalizer while deleting", () => {
    const old = { ...good, uid: "1", resourceVersion: "5", generation: 2, deletionTimestamp: "2026-01-01T00:00:00Z" };
    const meta = { ...old, uid: "2", generation: 1, finalizers: ["example.com/x"] };
    expect(validateObjectMetaUpdate(meta, old).map((error) => error.field)).toEqual([
      "metadata.finalizers",
      "metadata.generation",
      "metadata.uid",
    ]);
  });
});
