import type { Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { PatchKind } from "./registry.ts";
import { admin, objectOf, openRegistryFixture, strictWrite } from "./registry-fixture.ts";

const query = { ...strictWrite, force: false };
const configMap = (): Draft => ({ metadata: { name: "one", labels: { a: "b" } }, data: { a: "1" }, binaryData: {} });

describe("what a patch does not speak of", () => {
  it.each<[PatchKind, Draft | Draft[]]>([
    ["merge", { metadata: { labels: { a: "c" } } }],
    ["strategic", { metadata: { labels: { a: "c" } } }],
    ["json", [{ op: "replace", path: "/metadata/labels/a", value: "c" }]],
  ])("is shared by both versions of the object: %s", async (kind, patch) => {
    await using fixture = await openRegistryFixture();
    const configMaps = fixture.handler("configmaps");
    const before = objectOf(await configMaps.create(admin, "default", configMap(), strictWrite));
    const after = objectOf(await configMaps.patch(admin, "default", "one", kind, patch as never, query));
    expect(after).toMatchObject({ metadata: { labels: { a: "c" } } });
    expect(after["data"]).toBe(before["data"]);
    expect(Object.keys(after)).toEqual(Object.keys(before));
  });

  it("may be changed by admission", async () => {
    await using fixture = await openRegistryFixture({
      admission: {
        admit: ({ operation, object }) => {
          const data = object?.["data"] as Draft | undefined;
          if (operation === "UPDATE" && data !== undefined) data["a"] = "2";
          return Promise.resolve();
        },
        validate: () => Promise.resolve(),
      },
    });
    const configMaps = fixture.handler("configmaps");
    const before = objectOf(await configMaps.create(admin, "default", configMap(), strictWrite));
    const patch = { metadata: { labels: { a: "c" } } };
    const after = objectOf(await configMaps.patch(admin, "default", "one", "merge", patch, query));
    expect([before["data"], after["data"]]).toEqual([{ a: "1" }, { a: "2" }]);
  });
});
