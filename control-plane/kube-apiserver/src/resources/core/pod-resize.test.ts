import { readFileSync } from "node:fs";
import { cloneJson, isStatusError, type Draft, type Json } from "@coracle/apimachinery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  admin,
  objectOf,
  openRegistryFixture,
  strictWrite,
  type RegistryFixture,
} from "../../registry/registry-fixture.ts";
import type { PatchKind } from "../../registry/registry.ts";
import { resourceDefinitions } from "../index.ts";

interface Observed {
  readonly title: string;
  readonly spec: Json;
  readonly status?: Json;
  readonly patch: Json;
  readonly type: string;
  /** What upstream's server answered. */
  readonly observed: {
    readonly code: number;
    readonly message?: string;
    readonly resources?: Json;
    readonly generation?: number;
    readonly labels?: Json;
    readonly image?: string;
  };
}

const observed = JSON.parse(
  readFileSync(new URL("./testdata/observed-resizes.json", import.meta.url), "utf8"),
) as readonly Observed[];
const KINDS: Readonly<Record<string, PatchKind>> = {
  "application/strategic-merge-patch+json": "strategic",
  "application/json-patch+json": "json",
};

describe("pods/resize answers as upstream's", () => {
  let fixture: RegistryFixture;
  beforeAll(async () => {
    fixture = await openRegistryFixture({ definitions: resourceDefinitions });
  });
  afterAll(async () => fixture[Symbol.asyncDispose]());

  it.each(observed.map((each, i) => [each.title, each, `p${i}`] as const))("%s", async (_, each, name) => {
    const pods = fixture.handler("pods");
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name }, spec: cloneJson(each.spec) } as unknown as Draft;
    await pods.create(admin, "default", body, strictWrite);
    if (each.status !== undefined) {
      const patch = { status: each.status };
      await pods.subresource("status")!.patch!(admin, "default", name, "merge", patch, {
        ...strictWrite,
        force: false,
      });
    }
    const { code, message, ...rest } = each.observed;
    try {
      const answer = await pods.subresource("resize")!.patch!(admin, "default", name, KINDS[each.type]!, each.patch, {
        ...strictWrite,
        force: false,
      });
      const pod = objectOf(answer) as unknown as {
        readonly metadata: { readonly generation?: number; readonly labels?: Json };
        readonly spec: { readonly containers: readonly Draft[]; readonly initContainers?: readonly Draft[] };
      };
      expect(code).toBe(200);
      const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
      expect({
        resources: all.map((container) => container["resources"] ?? {}),
        generation: pod.metadata.generation,
        labels: pod.metadata.labels ?? null,
        image: pod.spec.containers[0]!["image"],
      }).toEqual(rest);
    } catch (error) {
      if (!isStatusError(error)) throw error;
      expect({ code: error.code, message: error.message.replaceAll(`"${name}"`, '"p"') }).toEqual({ code, message });
    }
  });
});
