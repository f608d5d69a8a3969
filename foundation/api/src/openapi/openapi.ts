import { createHash } from "node:crypto";
import { openLineTable, type LineTable } from "../tables.ts";
import { allParts, buildDocument, documentPaths, indexTypeNames, partsAt, type DocumentParts } from "./document.ts";
import { encodeOpenApiV2 } from "./v2-protobuf.ts";
import { builtInOpenApiResources, type BuiltInOpenApiResource, type OpenApiResource } from "./openapi-resource.ts";

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
    /** Which built-in resources are served; absent: those that are by default. */
    readonly isServed?: (resource: BuiltInOpenApiResource) => boolean;
  } = {},
): OpenApi {
  let builtIn = options.resources;
  const documents = new Map<string, OpenApiDocument>();
  const hashes = new Map<string, string>();
  /** What each hash was made from. */
  const sources = new Map<string, readonly OpenApiResource[]>();
  let v2: OpenApiDocument | undefined;
  let v2Protobuf: OpenApiDocument | undefined;
  let index: OpenApiDocument | undefined;

  const builtInResources = (): readonly OpenApiResource[] => (builtIn ??= builtInOpenApiResources(options.isServed));
  const all = (): readonly OpenApiResource[] => [...builtInResources(), ...(options.custom?.() ?? [])];
  // The table's text is not kept between documents: they are asked for rarely.
  const json = (form: "v2" | "v3", parts: DocumentParts): JsonMap => {
    const schema: LineTable = openLineTable("schema");
    return buildDocument(form, parts, schema, indexTypeNames(schema, all()));
  };
  // The hash is of what the document is made from, so that the index does not build every document.
  const sourceHash = (path: string): string => {
    let hash = hashes.get(path);
    if (hash === undefined) {
      const parts = partsAt(path, all());
      hash = hashOf(JSON.stringify([SOURCE, path, parts]));
      hashes.set(path, hash);
      sources.set(path, parts?.resources ?? []);
    }
    return hash;
  };
  const v3 = (path: string): OpenApiDocument | undefined => {
    let document = documents.get(path);
    if (document === undefined) {
      const parts = partsAt(path, all());
      if (parts === undefined) return undefined;
      document = { bytes: Buffer.from(JSON.stringify(json("v3", parts))), hash: sourceHash(path) };
      documents.set(path, document);
    }
    return document;
  };
  // What is built in is written once; custom resources are joined to it.
  let standing: StandingV2 | undefined;
  const builtInV2 = (): StandingV2 => (standing ??= standingV2(json("v2", allParts(builtInResources()))));
  const customV2 = (): V2Pieces => {
    const custom = options.custom?.() ?? [];
    if (custom.length === 0) return NOTHING;
    const { paths, definitions } = json("v2", { resources: custom, versions: [], server: [] }) as unknown as V2Pieces;
    const { names } = builtInV2();
    const own = Object.entries(definitions).filter(([name]) => !names.has(name));
    return { paths, definitions: Object.fromEntries(own) };
  };
  const wholeV2 = (): OpenApiDocument => {
    if (v2 !== undefined) return v2;
    const bytes = joinV2(builtInV2(), customV2());
    return (v2 = { bytes, hash: hashOf(bytes) });
  };

  return {
    v2: wholeV2,
    v2Protobuf() {
      if (v2Protobuf === undefined) {
        // Messages that follow each other are read as one.
        const pieces = builtInV2();
        pieces.protobuf ??= encodeOpenApiV2(JSON.parse(joinV2(pieces, NOTHING).toString("utf8")) as JsonMap);
        const encoded = Buffer.concat([pieces.protobuf, encodeOpenApiV2({ ...customV2() })]);
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
      // What is made of the same resources as before stays.
      for (const [path, known] of sources) {
        const now = partsAt(path, all())?.resources ?? [];
        if (now.length === known.length && now.every((resource, i) => resource === known[i])) continue;
        documents.delete(path);
        hashes.delete(path);
        sources.delete(path);
      }
    },
  };
}

type JsonMap = Readonly<Record<string, unknown>>;

interface V2Pieces {
  readonly paths: JsonMap;
  readonly definitions: JsonMap;
}

const NOTHING: V2Pieces = { paths: {}, definitions: {} };

/** The second version's document without custom resources, as text that others can be put into. */
interface StandingV2 {
  readonly head: string;
  readonly paths: string;
  readonly definitions: string;
  readonly names: ReadonlySet<string>;
  protobuf?: Buffer;
}

/** A JSON object without its braces. */
const membersOf = (value: object): string => JSON.stringify(value).slice(1, -1);

function standingV2(document: JsonMap): StandingV2 {
  const { paths, definitions, ...rest } = document as unknown as V2Pieces;
  return {
    head: membersOf(rest),
    paths: membersOf(paths),
    definitions: membersOf(definitions),
    names: new Set(Object.keys(definitions)),
  };
}

function joinV2(standing: StandingV2, more: V2Pieces): Buffer {
  const join = (text: string, object: object): string => {
    const members = membersOf(object);
    return members === "" ? text : `${text},${members}`;
  };
  const paths = join(standing.paths, more.paths);
  const definitions = join(standing.definitions, more.definitions);
  return Buffer.from(`{${standing.head},"paths":{${paths}},"definitions":{${definitions}}}`);
}

/** Raised when the same resources are described in another way. */
const SOURCE = "1.35.0/2";

function hashOf(data: string | Buffer): string {
  return createHash("sha512").update(data).digest("hex").toUpperCase();
}
