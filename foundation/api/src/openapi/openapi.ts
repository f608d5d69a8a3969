import { createHash } from "node:crypto";
import { openLineTable, type LineTable } from "../tables.ts";
import { buildDocument, indexTypeNames } from "./document.ts";
import { encodeOpenApiV2 } from "./v2-protobuf.ts";
import { builtInOpenApiResources, type OpenApiResource } from "./openapi-resource.ts";

/** One document, ready to be sent. */
export interface OpenApiDocument {
  readonly bytes: Buffer;
  /** For the ETag; changes when the document does. The index's `hash` parameters are others: see `v3Index`. */
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
  /** `/openapi/v3/PATH` for `api/v1`, `apis/apps/v1` …; undefined for a group and version without resources. */
  v3(path: string): OpenApiDocument | undefined;
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
  let v2: OpenApiDocument | undefined;
  let v2Protobuf: OpenApiDocument | undefined;
  let index: OpenApiDocument | undefined;

  const all = (): readonly OpenApiResource[] => [
    ...(builtIn ??= builtInOpenApiResources()),
    ...(options.custom?.() ?? []),
  ];
  // The table's text is not kept between documents: they are asked for rarely.
  const build = (form: "v2" | "v3", resources: readonly OpenApiResource[]): OpenApiDocument => {
    const schema: LineTable = openLineTable("schema");
    return finish(buildDocument(form, resources, schema, indexTypeNames(schema, resources)));
  };
  const v3 = (path: string): OpenApiDocument | undefined => {
    let document = documents.get(path);
    if (document === undefined) {
      const resources = all().filter((resource) => pathOf(resource) === path);
      if (resources.length === 0) return undefined;
      document = build("v3", resources);
      documents.set(path, document);
    }
    return document;
  };

  return {
    v2: () => (v2 ??= build("v2", all())),
    v2Protobuf() {
      if (v2Protobuf === undefined) {
        const { bytes } = (v2 ??= build("v2", all()));
        const encoded = encodeOpenApiV2(JSON.parse(bytes.toString("utf8")) as Readonly<Record<string, unknown>>);
        v2Protobuf = { bytes: encoded, hash: hashOf(encoded) };
      }
      return v2Protobuf;
    },
    v3,
    v3Index() {
      if (index !== undefined) return index;
      const paths: Record<string, { readonly serverRelativeURL: string }> = {};
      const byPath = new Map<string, OpenApiResource[]>();
      for (const resource of all()) {
        const path = pathOf(resource);
        const list = byPath.get(path);
        if (list === undefined) byPath.set(path, [resource]);
        else list.push(resource);
      }
      for (const [path, resources] of [...byPath].sort(([a], [b]) => (a < b ? -1 : 1))) {
        // The hash is of what the document is made from, so that the index does not build every document.
        paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hashOf(JSON.stringify(resources))}` };
      }
      return (index = finish({ paths }));
    },
    refresh() {
      v2 = undefined;
      v2Protobuf = undefined;
      index = undefined;
      const builtInPaths = new Set((builtIn ?? []).map(pathOf));
      for (const path of documents.keys()) if (!builtInPaths.has(path)) documents.delete(path);
    },
  };
}

function pathOf({ group, version }: OpenApiResource): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

function finish(document: object): OpenApiDocument {
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, hash: hashOf(bytes) };
}

function hashOf(data: string | Buffer): string {
  return createHash("sha512").update(data).digest("hex").toUpperCase();
}
