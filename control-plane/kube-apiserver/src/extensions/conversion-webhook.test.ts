import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@coracle/base";
import { openClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openExtensionsFixture, type ExtensionsFixture } from "./extensions-fixture.ts";

const DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ports.net.example.com";
const V1 = "/apis/net.example.com/v1/namespaces/default/ports";
const V2 = "/apis/net.example.com/v2/namespaces/default/ports";

type Item = Record<string, unknown> & { apiVersion: string; metadata: Record<string, unknown> };
interface Review {
  readonly request: { readonly uid: string; readonly desiredAPIVersion: string; readonly objects: readonly Item[] };
}

/** v1 has `hostPort: "host:port"`, v2 has `host` and `port`. */
function convert(object: Item, apiVersion: string): Item {
  const { hostPort, host, port, ...rest } = object as Item & { hostPort?: string; host?: string; port?: string };
  if (apiVersion.endsWith("/v2")) {
    const [h = "", p = ""] = (hostPort ?? "").split(":");
    return { ...rest, apiVersion, host: h, port: p } as unknown as Item;
  }
  return { ...rest, apiVersion, hostPort: `${host}:${port}` } as unknown as Item;
}

describe("a conversion webhook", () => {
  let api: ExtensionsFixture;
  let dir: string;
  let webhook: Server;
  const reviews: Review["request"][] = [];
  /** What the webhook does to its answers. */
  let spoil: (response: Record<string, unknown>) => unknown = (response) => response;

  beforeAll(async () => {
    api = await openExtensionsFixture();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } });
    dir = mkdtempSync(join(tmpdir(), "cor-conversion-"));
    const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: systemClock.now() });
    webhook = createServer({ cert: pki.apiServer.cert, key: pki.apiServer.key }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { request: asked } = JSON.parse(Buffer.concat(chunks).toString()) as Review;
        reviews.push(asked);
        const answer = {
          uid: asked.uid,
          result: { status: "Success" },
          convertedObjects: asked.objects.map((object) => convert(object, asked.desiredAPIVersion)),
        };
        response.setHeader("content-type", "application/json");
        const review = { apiVersion: "apiextensions.k8s.io/v1", kind: "ConversionReview", response: spoil(answer) };
        response.end(JSON.stringify(review));
      });
    });
    await new Promise<void>((resolve) => webhook.listen(0, "127.0.0.1", resolve));
    const { port } = webhook.address() as AddressInfo;
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    await api.establish({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "ports.net.example.com" },
      spec: {
        group: "net.example.com",
        scope: "Namespaced",
        names: { plural: "ports", singular: "port", kind: "Port" },
        versions: [
          { name: "v1", served: true, storage: true, schema },
          { name: "v2", served: true, storage: false, schema },
        ],
        conversion: {
          strategy: "Webhook",
          webhook: {
            conversionReviewVersions: ["v1", "v1beta1"],
            clientConfig: {
              url: `https://127.0.0.1:${port}/convert`,
              caBundle: Buffer.from(pki.ca.cert).toString("base64"),
            },
          },
        },
      },
    });
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
    webhook.closeAllConnections();
    await new Promise((resolve) => webhook.close(resolve));
    rmSync(dir, { recursive: true });
  });

  const port = (name: string, part: object): object => ({ metadata: { name }, kind: "Port", ...part });

  it("shows an object in the version that was asked for", async () => {
    await api.call("POST", V1, port("one", { apiVersion: "net.example.com/v1", hostPort: "a:1" }));
    const two = await api.call("GET", `${V2}/one`);
    expect(two.json).toMatchObject({ apiVersion: "net.example.com/v2", host: "a", port: "1" });
    expect(two.json["hostPort"]).toBeUndefined();
  });

  it("stores what is written in another version, in one version", async () => {
    const made = await api.call("POST", V2, port("two", { apiVersion: "net.example.com/v2", host: "b", port: "2" }));
    expect(made.json).toMatchObject({ apiVersion: "net.example.com/v2", host: "b", port: "2" });
    const [kv] = (await api.store.range({ key: "/registry/net.example.com/ports/default/two" })).kvs;
    expect(JSON.parse(kv?.value.toString() ?? "")).toMatchObject({ apiVersion: "net.example.com/v1", hostPort: "b:2" });
    const patched = await api.call("PATCH", `${V2}/two`, { port: "3" });
    expect(patched.json).toMatchObject({ host: "b", port: "3", metadata: { generation: 2 } });
    expect((await api.call("GET", `${V1}/two`)).json).toMatchObject({ hostPort: "b:3" });
  });

  it("lists objects of both versions in either, with one call for all that must be converted", async () => {
    for (const list of [await api.call("GET", V1), await api.call("GET", V2)]) {
      const items = list.json["items"] as readonly Item[];
      const versions = new Set(items.map(({ apiVersion }) => apiVersion));
      expect(items).toHaveLength(2);
      expect(versions.size).toBe(1);
    }
    expect(reviews.every(({ objects }) => objects.length >= 1)).toBe(true);
  });

  it("converts what a watch delivers", async () => {
    using watch = await api.watch(`${V2}?watch=true`);
    await api.until("the present state", () => watch.events.length === 2);
    await api.call("PATCH", `${V1}/one`, { hostPort: "c:4" });
    await api.until("the change", () => watch.events.length === 3);
    expect(watch.events[2]).toMatchObject({ type: "MODIFIED", object: { host: "c", port: "4" } });
  });

  it.each<[string, (response: Record<string, unknown>) => unknown, string]>([
    ["fails", () => ({ uid: "", result: {} }), 'expected response.uid="'],
    [
      "says why not",
      (response) => ({ ...response, result: { status: "Failed", message: "no such luck" } }),
      "failed: no such luck",
    ],
    ["leaves objects out", (response) => ({ ...response, convertedObjects: [] }), "returned 0 objects, expected 1"],
    [
      "renames",
      ({ convertedObjects, ...response }) => ({
        ...response,
        convertedObjects: (convertedObjects as Item[]).map((one) => ({
          ...one,
          metadata: { ...one.metadata, name: "x" },
        })),
      }),
      "must have the same name: one != x",
    ],
  ])("that %s is told of with a 500", async (_what, how, message) => {
    spoil = how;
    await api.call("PATCH", `${V1}/one`, { touched: message });
    const answer = await api.call("GET", `${V2}/one`);
    expect(answer.status).toBe(500);
    expect(answer.json["message"]).toContain("conversion webhook for net.example.com/v1, Kind=Port");
    expect(answer.json["message"]).toContain(message);
    spoil = (response) => response;
    expect((await api.call("GET", `${V2}/one`)).json).toMatchObject({ touched: message });
  });

  it("changes labels and annotations of the metadata, and nothing else of it", async () => {
    spoil = ({ convertedObjects, ...response }) => ({
      ...response,
      convertedObjects: (convertedObjects as Item[]).map((one) => ({
        ...one,
        metadata: { ...one.metadata, labels: { by: "webhook" }, finalizers: ["x.example.com/y"] },
      })),
    });
    await api.call("PATCH", `${V1}/one`, { touched: "again" });
    const { metadata } = (await api.call("GET", `${V2}/one`)).json as unknown as Item;
    expect(metadata).toMatchObject({ labels: { by: "webhook" } });
    expect(metadata["finalizers"]).toBeUndefined();
    spoil = (response) => response;
  });

  it("is not needed to delete everything", async () => {
    spoil = () => ({ result: {} });
    await api.call("DELETE", DEFINITION);
    await api.until("it is gone", async () => (await api.call("GET", DEFINITION)).status === 404);
  });
});
