import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Draft, Json } from "@coracle/apimachinery";
import { resourceDefinitions } from "../resources/index.ts";
import type { Answer } from "./registry.ts";
import { admin, metaOf, openRegistryFixture } from "./registry-fixture.ts";

interface Seed {
  readonly seed: string;
  readonly path: string;
  readonly object: Draft;
  readonly answer?: { readonly metadata: Draft };
}
const answers = new URL("../../testdata/answers/seeds.json.gz", import.meta.url);
const seeds = (JSON.parse(gunzipSync(readFileSync(answers)).toString()) as readonly Seed[]).filter(
  (seed) => seed.answer !== undefined,
);

const withoutTime = (entries: unknown): unknown[] =>
  ((entries ?? []) as Draft[]).map(({ time: _, ...entry }) => entry).filter((entry) => entry.manager === "observe");

describe("who owns what of a created object", async () => {
  const fixture = await openRegistryFixture({ definitions: resourceDefinitions });
  it.each(seeds.map((seed) => [seed.seed, seed] as const))("%s", async (_, { path, object, answer }) => {
    const [, root, ...rest] = path.split("/");
    const plural = rest.at(-1) as string;
    const resource = root === "api" ? plural : `${rest[0]}/${rest[1]}/${plural}`;
    const namespace = rest.at(-3) === "namespaces" ? (rest.at(-2) as string) : "";
    const query = { dryRun: true, fieldManager: "observe", fieldValidation: "Strict" } as const;
    const created = await fixture.handler(resource).create(admin, namespace, structuredClone(object), query);
    expect(withoutTime(metaOf(created).managedFields)).toEqual(withoutTime(answer?.metadata.managedFields));
  });
});

describe("who owns what of a changed object", async () => {
  const fixture = await openRegistryFixture({ definitions: resourceDefinitions });
  const maps = fixture.handler("configmaps");
  const write = { dryRun: false, fieldManager: "writer", fieldValidation: "Strict", force: false } as const;
  const create = (name: string) => maps.create(admin, "default", { metadata: { name }, data: { a: "1" } }, write);
  const patch = (name: string, body: Json, manager = "patcher") =>
    maps.patch(admin, "default", name, "merge", body, { ...write, fieldManager: manager });
  const managers = (answer: Answer): unknown[] =>
    ((metaOf(answer).managedFields ?? []) as Draft[]).map(({ manager }) => manager);

  it("a write that changes nothing is none, whoever asks and whenever", async () => {
    const before = metaOf(await create("same")).resourceVersion;
    await fixture.clock.advance(60_000);
    const after = await patch("same", { data: { a: "1" } });
    expect([metaOf(after).resourceVersion, managers(after)]).toEqual([before, ["writer"]]);
  });

  it.each([
    ["an empty entry", [{}]],
    ["an empty list", []],
  ])("%s gives up all ownership, and what follows is not tracked until an apply", async (name, managedFields) => {
    const id = name.replaceAll(" ", "-");
    await create(id);
    expect(managers(await patch(id, { metadata: { managedFields } }))).toEqual([]);
    expect(managers(await patch(id, { data: { b: "1" } }))).toEqual([]);
    const config = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: id }, data: { c: "1" } };
    const applied = await maps.patch(admin, "default", id, "apply", config, { ...write, fieldManager: "applier" });
    expect(managers(applied)).toEqual(["applier", "before-first-apply"]);
  });

  it("what cannot be read as owners changes none", async () => {
    await create("odd");
    const odd = { metadata: { managedFields: [{ manager: "x", operation: "Odd" }] }, data: { b: "1" } };
    expect(managers(await patch("odd", odd))).toEqual(["patcher", "writer"]);
  });

  it("a status and what is wished for have owners of their own", async () => {
    const pods = fixture.handler("pods");
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };
    await pods.create(admin, "default", pod, write);
    const status = { spec: { nodeName: "n" }, status: { phase: "Running" } };
    const query = { ...write, fieldManager: "kubelet" };
    const answer = await pods.subresource("status")?.patch?.(admin, "default", "p", "strategic", status, query);
    if (answer === undefined) throw new Error("no status");
    expect((metaOf(answer).managedFields as Draft[]).find(({ manager }) => manager === "kubelet")).toMatchObject({
      subresource: "status",
      fieldsV1: { "f:status": { "f:phase": {} } },
    });
  });
});
