import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Draft } from "@coracle/apimachinery";
import { resourceDefinitions } from "../resources/index.ts";
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
