import { createFakeClock, createSeededRandom, silentLogger, type FakeClock } from "@coracle/base";
import type { Draft } from "@coracle/apimachinery";
import { createMemoryStore } from "@coracle/etcd";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readFlowControl } from "../bootstrap/flow-control.ts";
import { createRegistry, type RunningRegistry } from "../registry/create-registry.ts";
import { createRegistryReader, type RegistryReader, type ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import { resourceDefinitions } from "../resources/index.ts";
import { mendFlowObjects } from "./configuration.ts";

const SCHEMAS: ResourceRef = { group: "flowcontrol.apiserver.k8s.io", version: "v1", plural: "flowschemas" };
const LEVELS: ResourceRef = { ...SCHEMAS, plural: "prioritylevelconfigurations" };
const AUTO = "apf.kubernetes.io/autoupdate-spec";

let clock: FakeClock;
let registry: RunningRegistry;
let objects: RegistryReader;
const closers: AsyncDisposable[] = [];

beforeEach(async () => {
  clock = createFakeClock();
  const store = createMemoryStore({ clock });
  const pass = (): Promise<void> => Promise.resolve();
  registry = await createRegistry({
    store,
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
    admission: { admit: pass, validate: pass },
    definitions: resourceDefinitions,
  });
  closers.push(registry, store);
  objects = createRegistryReader(() => registry);
  await mend();
});

afterEach(async () => {
  for (const closer of closers.splice(0)) await closer[Symbol.asyncDispose]();
});

async function mend(): Promise<void> {
  const names = async (ref: ResourceRef): Promise<string[]> =>
    (await objects.list(ref)).map(({ metadata }) => metadata["name"] as string);
  await mendFlowObjects(registry, objects, await names(LEVELS), await names(SCHEMAS), clock.now());
}

const get = async (ref: ResourceRef, name: string): Promise<ApiObject> => (await objects.get(ref, "", name))!;
async function change(ref: ResourceRef, name: string, how: (draft: Draft) => void): Promise<void> {
  const draft = structuredClone(await get(ref, name)) as unknown as Draft;
  how(draft);
  await objects.update(ref, "", name, draft);
}
const spec = (object: ApiObject): Record<string, unknown> => object["spec"] as Record<string, unknown>;
const annotate = (value: string) => (draft: Draft) => {
  (draft["metadata"] as Draft)["annotations"] = { [AUTO]: value };
};

describe("the objects that every cluster has", () => {
  it("are made, and left alone when they are as they ought to be", async () => {
    const versions = async (): Promise<unknown[]> =>
      [...(await objects.list(SCHEMAS)), ...(await objects.list(LEVELS))].map((one) => one.metadata["resourceVersion"]);
    const before = await versions();
    expect(before).toHaveLength(readFlowControl(0).length);
    await mend();
    expect(await versions()).toEqual(before);
  });

  it("come back to what they were, where the server keeps them", async () => {
    await change(SCHEMAS, "service-accounts", (draft) => {
      (draft["spec"] as Draft)["matchingPrecedence"] = 77;
    });
    await mend();
    expect(spec(await get(SCHEMAS, "service-accounts"))["matchingPrecedence"]).toBe(9000);
  });

  it("stay as somebody wants them who says so", async () => {
    await change(SCHEMAS, "service-accounts", (draft) => {
      (draft["spec"] as Draft)["matchingPrecedence"] = 77;
      annotate("false")(draft);
    });
    await mend();
    expect(spec(await get(SCHEMAS, "service-accounts"))["matchingPrecedence"]).toBe(77);
  });

  it("that must be there are kept whatever is said, but for the seats of the exempt level", async () => {
    await change(SCHEMAS, "catch-all", annotate("false"));
    await change(LEVELS, "exempt", (draft) => {
      (draft["spec"] as Draft)["exempt"] = { nominalConcurrencyShares: 9, lendablePercent: 50 };
    });
    await mend();
    expect((await get(SCHEMAS, "catch-all")).metadata["annotations"]).toEqual({ [AUTO]: "true" });
    expect(spec(await get(LEVELS, "exempt"))["exempt"]).toEqual({ nominalConcurrencyShares: 9, lendablePercent: 50 });
  });

  it("of another version go, unless somebody took them over", async () => {
    const schema = (name: string, annotations: object): Draft =>
      ({
        metadata: { name, annotations },
        spec: { priorityLevelConfiguration: { name: "system" }, matchingPrecedence: 4, rules: [] },
      }) as unknown as Draft;
    await objects.create(SCHEMAS, "", schema("old", { [AUTO]: "true" }));
    await objects.create(SCHEMAS, "", schema("taken", { [AUTO]: "false" }));
    await objects.create(SCHEMAS, "", schema("own", {}));
    await mend();
    const names = (await objects.list(SCHEMAS)).map(({ metadata }) => metadata["name"]);
    expect(names).not.toContain("old");
    expect(names).toEqual(expect.arrayContaining(["taken", "own"]));
  });
});
