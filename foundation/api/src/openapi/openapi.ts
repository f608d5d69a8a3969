import { createHash } from "node:crypto";
import { openLineTable, type LineTable } from "../tables.ts";
import { allParts, buildDocument, documentPaths, indexTypeNames, partsAt, type DocumentParts } from "./document.ts";
import { encodeOpenApiV2 } from "./v2-protobuf.ts";
import { builtInOpenApiResources, type OpenApiResource } from "./openapi-resource.ts";

/** One document, ready to be sent. */
export interface OpenApiDocument {
  readonly bytes: Buffer;
  /** For the ETag; changes when the document does. */
  readonly hash: string;
}

/** The documents under `/openapi`, built when they are first asked for and kept as bytes. */
export interface OpenApi {
  /** `/openapi/v2`, as JSON. */
  v2(): OpenApiDocument;
  /** The same as protobuf, the form that kubectl asks for. */
  v2Protobuf(): OpenApiDocument;
  /** `/openapi/v3`: which documents there are. Their `hash` parameters change when the resources do. */
  v3Index(): OpenApiDocument;
  /** `/openapi/v3/PATH` for `api/v1`, `apis/apps/v1`, `version` …; undefined for a path that the index does not have. */
  v3(path: string): OpenApiDocument | undefined;
  /** The hash of a document, without building it; undefined where there is none. */
  v3Hash(path: string): string | undefined;
  /** To be called when the custom resources have changed: drops what was built of them. */
  refresh(): void;
}

/** Documents of the built-in resources and of those that `custom` lists at the time. */
export function createOpenApi(
  options: {
    readonly resources?: readonly OpenApiResource[];
    readonly custom?: () => readonly OpenApiResource[];
  } = {},
): OpenApi {
  let builtIn = options.resources;
  const documents = new Map<string, OpenApiDocument>();
  const hashes = new Map<string, string>();
  let v2: OpenApiDocument | undefined;
  let v2Protobuf: OpenApiDocument | undefined;
  let index: OpenApiDocument | undefined;

  const all = (): readonly OpenApiResource[] => [
    ...(builtIn ??= builtInOpenApiResources()),
    ...(options.custom?.() ?? []),
  ];
  // The table's text is not kept between documents: they are asked for rarely.
  const build = (form: "v2" | "v3", parts: DocumentParts): Buffer => {
    const schema: LineTable = openLineTable("schema");
    return Buffer.from(JSON.stringify(buildDocument(form, parts, schema, indexTypeNames(schema, all()))));
  };
  // The hash is of what the document is made from, so that the index does not build every document.
  const sourceHash = (path: string): string => {
    let hash = hashes.get(path);
    if (hash === undefined) {
      hash = hashOf(JSON.stringify([SOURCE, path, partsAt(path, all())]));
      hashes.set(path, hash);
    }
    return hash;
  };
  const v3 = (path: string): OpenApiDocument | undefined => {
    let document = documents.get(path);
    if (document === undefined) {
      const parts = partsAt(path, all());
      if (parts === undefined) return undefined;
      document = { bytes: build("v3", parts), hash: sourceHash(path) };
      documents.set(path, document);
    }
    return document;
  };
  const wholeV2 = (): OpenApiDocument => {
    if (v2 !== undefined) return v2;
    const bytes = build("v2", allParts(all()));
    return (v2 = { bytes, hash: hashOf(bytes) });
  };

  return {
    v2: wholeV2,
    v2Protobuf() {
      if (v2Protobuf === undefined) {
        const { bytes } = wholeV2();
        const encoded = encodeOpenApiV2(JSON.parse(bytes.toString("utf8")) as Readonly<Record<string, unknown>>);
        v2Protobuf = { bytes: encoded, hash: hashOf(encoded) };
      }
      return v2Protobuf;
    },
    v3,
    v3Hash: (path) => (documents.has(path) || partsAt(path, all()) !== undefined ? sourceHash(path) : undefined),
    v3Index() {
      if (index !== undefined) return index;
      const paths: Record<string, { readonly serverRelativeURL: string }> = {};
      for (const path of documentPaths(all()))
        paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${sourceHash(path)}` };
      const bytes = Buffer.from(JSON.stringify({ paths }));
      return (index = { bytes, hash: hashOf(bytes) });
    },
    refresh() {
      v2 = undefined;
      v2Protobuf = undefined;
      index = undefined;
      // Built-in resources do not change: what is told of them stays.
      const builtInPaths = new Set(documentPaths(builtIn ?? []));
      for (const path of documents.keys()) if (!builtInPaths.has(path)) documents.delete(path);
      for (const path of hashes.keys()) if (!builtInPaths.has(path)) hashes.delete(path);
    },
  };
}

/** Raised when the same resources are described in another way. */
const SOURCE = "1.35.0/2";

function hashOf(data: string | Buffer): string {
  return createHash("sha512").update(data).digest("hex").toUpperCase();
}
