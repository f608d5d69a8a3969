import { createHash } from "node:crypto";
import { statusError, type JsonObject } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";
import { CONTENT_TYPES, negotiate, parseAccept } from "../server/negotiation.ts";
import { baseHeaders, jsonBytes, sendBytes, sendNotFoundPage } from "../server/responder.ts";
import type { WireCodecs } from "../server/wire-codec.ts";
import type { Catalog } from "./catalog.ts";
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions } from "./documents.ts";

interface Document {
  readonly body: Buffer;
  readonly contentType: string;
  readonly etag?: string;
}

/** Version of the aggregated form that the client prefers over the old one; undefined: the old one. */
function aggregatedVersion(accept: string | undefined): string | undefined {
  if (accept === undefined) return undefined;
  for (const { type, parameters } of parseAccept(accept)) {
    const isAggregated = parameters["g"] === "apidiscovery.k8s.io" && parameters["as"] === "APIGroupDiscoveryList";
    const version = parameters["v"] ?? "";
    if (type === "application/json" && isAggregated && version === "v2") return version;
    if (type === "application/json" && parameters["as"] === undefined) return undefined;
    if (type === "*/*") return undefined;
  }
  return undefined;
}

/** Serves what is above groups and versions. Documents are made once for each state of the catalog. */
export function createDiscoveryRoutes(
  catalog: Catalog,
  serverAddress: () => string,
  codecs: WireCodecs,
): (request: ApiRequest) => Promise<void> | undefined {
  const kept = new Map<string, Document>();
  let revision = catalog.revision;

  function document(key: string, request: ApiRequest, make: () => JsonObject | undefined): Document | undefined {
    if (catalog.revision !== revision) {
      kept.clear();
      revision = catalog.revision;
    }
    let found = kept.get(key);
    if (found === undefined) {
      const value = make();
      if (value === undefined) return undefined;
      found = { body: jsonBytes(request, value), contentType: "application/json" };
      if (key.length < 256 && request.query.size === 0) kept.set(key, found);
    }
    return found;
  }

  async function sendAggregated(request: ApiRequest, isCore: boolean, version: string): Promise<void> {
    const found = document(`${isCore ? "api" : "apis"} ${version}`, request, () =>
      aggregatedDiscovery(catalog, isCore, version),
    )!;
    const etag = `"${createHash("sha256").update(found.body).digest("hex").toUpperCase()}"`;
    const contentType = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    if (request.exchange.header("if-none-match") === etag) {
      request.exchange.send(304, { ...baseHeaders(request, contentType), etag }, undefined);
      return;
    }
    // ETags are for the plain bytes: small enough to go uncompressed.
    const headers = { ...baseHeaders(request, contentType), "cache-control": "public", etag, vary: "Accept" };
    request.exchange.send(200, headers, found.body);
  }

  /** The document in another encoding than JSON: rarely asked for, and made each time. */
  async function encoded(media: "yaml" | "protobuf", value: JsonObject | undefined): Promise<Document | undefined> {
    if (value === undefined) return undefined;
    const contentType = CONTENT_TYPES[media];
    if (media === "yaml") return { body: Buffer.from((await codecs.yaml()).print(value)), contentType };
    const { kind } = value;
    if (typeof kind !== "string") return undefined;
    const type = { apiVersion: "v1", kind };
    if (codecs.protobuf?.supports(type) !== true) return undefined;
    const message = codecs.protobuf.encodeMessage({ ...value, ...type });
    return { body: codecs.protobuf.wrap(type, message), contentType };
  }

  async function send(request: ApiRequest, key: string, make: () => JsonObject | undefined): Promise<void> {
    const { media } = negotiate(request.exchange.header("accept"), { protobuf: true, transforms: false });
    const found = media === "json" ? document(key, request, make) : await encoded(media, make());
    if (found === undefined) {
      // A version that a known group does not have is told in the API's own form.
      const [, root, group = ""] = request.info.path.split("/");
      const isKnown =
        root === "api" ||
        catalog.groups.some(
          ({ name, versions }) => name === group && versions.some((v) => catalog.hasGroupVersion(name, v)),
        );
      if (isKnown) throw statusError("NotFound", "the server could not find the requested resource", {});
      sendNotFoundPage(request);
    } else await sendBytes(request, 200, found.contentType, found.body);
  }

  return (request) => {
    const parts = request.info.path.replace(/\/$/, "").split("/").slice(1);
    const [root, first, second] = parts;
    if (root !== "api" && root !== "apis") return undefined;
    const accept = request.exchange.header("accept");
    const version = parts.length === 1 ? aggregatedVersion(accept) : undefined;
    // What is said in JSON only must be taken as JSON, or not at all.
    if (version === undefined) negotiate(accept, { protobuf: true, transforms: false });
    if (parts.length === 1) {
      if (version !== undefined) return sendAggregated(request, root === "api", version);
      return send(request, root, () => (root === "api" ? apiVersions(serverAddress()) : apiGroupList(catalog)));
    }
    if (root === "api" && parts.length === 2) {
      return send(request, `api/${first}`, () => apiResourceList(catalog, "", first!));
    }
    if (root === "apis" && parts.length === 2) return send(request, `apis/${first}`, () => apiGroup(catalog, first!));
    if (root === "apis" && parts.length === 3) {
      return send(request, `apis/${first}/${second}`, () => apiResourceList(catalog, first!, second!));
    }
    return undefined;
  };
}
