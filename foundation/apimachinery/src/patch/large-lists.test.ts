import { describe, expect, it } from "vitest";
import { addedNode } from "../apply/added-node.ts";
import { mergeConfig } from "../apply/merge.ts";
import { mergeTypeOf } from "../apply/merge-type.ts";
import { builtInSchema } from "../schema/schema-engine.ts";
import { validateObjectMeta } from "../validation/object-meta.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";

// What takes the square of these lengths takes hours: each of these tests ends by being done.
const MANY = 150_000;
const schema = builtInSchema().findKind({ group: "", version: "v1", kind: "ConfigMap" })!;
const names = Array.from({ length: MANY }, (_, i) => `example.com/f${i}`);
const owners = names.map((uid) => ({ apiVersion: "v1", kind: "Pod", name: "p", uid }));

describe("lists as long as a request can hold", () => {
  it("are owned item by item", () => {
    const type = mergeTypeOf(schema);
    const node = addedNode(type, { metadata: { finalizers: names, ownerReferences: owners } });
    expect(Object.keys(node["f:metadata"]!["f:finalizers"]!)).toHaveLength(MANY + 1);
    expect(Object.keys(node["f:metadata"]!["f:ownerReferences"]!)).toHaveLength(MANY + 1);
  });

  it("are laid over each other", () => {
    const config = { metadata: { finalizers: names.toReversed() } };
    const merged = mergeConfig(mergeTypeOf(schema), { metadata: { finalizers: names } }, config);
    expect((merged as typeof config).metadata.finalizers).toHaveLength(MANY);
  });

  it("are patched", () => {
    const metadata = { finalizers: names, ownerReferences: owners };
    const patched = applyStrategicMergePatch(
      schema,
      { metadata },
      {
        metadata: {
          finalizers: names.toReversed(),
          "$deleteFromPrimitiveList/finalizers": [],
          "$setElementOrder/ownerReferences": owners.map(({ uid }) => ({ uid })).toReversed(),
          ownerReferences: owners
            .map(({ uid }, i) => (i % 2 === 0 ? { uid, name: "q" } : { uid, $patch: "delete" }))
            .toReversed(),
        },
      },
    ) as { metadata: typeof metadata };
    expect(patched.metadata.finalizers).toEqual(names.toReversed());
    expect(patched.metadata.ownerReferences).toHaveLength(MANY / 2);
    expect(patched.metadata.ownerReferences[0]).toMatchObject({ name: "q", uid: names.at(-2) });
  });

  it("make few errors, however many are wrong with the list as a whole", () => {
    const ownerReferences = owners.map((owner) => ({ ...owner, controller: true }));
    const errors = validateObjectMeta({ name: "a", ownerReferences } as never, false, () => []);
    expect(errors.length).toBeLessThan(20);
  });
});
