import { createHash } from "node:crypto";
import type { Clock } from "@coracle/base";
import { encodeOpenApiV2 } from "@coracle/api";
import { notAcceptable, type JsonObject } from "@coracle/apimachinery";
import { ApiRequest } from "../server/api-request.ts";
import type { PathRoutes } from "../server/dispatch.ts";
import { createMemoryTransport } from "../server/memory-exchange.ts";
import { baseHeaders, sendBytes } from "../server/responder.ts";
import { sortedGroups, type RemoteService } from "./api-service.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";
import { asVersion3, mergeSpecification, underPrefix, type Specification, type SpecValue } from "./openapi-merge.ts";
import type { RemoteCaller } from "./remote-caller.ts";

const MAX_AGE_MS = 60_000;
const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
const V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const AGGREGATOR = { name: "system:aggregator", groups: ["system:masters"] };

interface V3Index {
  readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>;
}

interface Kept {
  readonly v2: Specification | undefined;
  readonly v2Etag: string | undefined;
  readonly v3: V3Index | undefined;
  /** Made from v2 for servers that publish no v3. */
  readonly converted: Buffer | undefined;
  readonly readAt: number;
  /** resourceVersion of the APIService it was read for. */
  readonly version: unknown;
}

export interface RemoteOpenApiOptions {
  readonly index: ApiServiceIndex;
  readonly caller: RemoteCaller;
  readonly clock: Clock;
  /** Sends a request on to another server. */
  readonly pass: (request: ApiRequest, remote: RemoteService) => Promise<void>;
}

const hashOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex").toUpperCase();

/**
 * Puts what other servers publish beside this server's own documents. They are read when somebody asks, at most once a
 * minute; one that cannot be read is left out.
 */
export function withRemoteOpenApi(own: PathRoutes, options: RemoteOpenApiOptions): PathRoutes {
  const { index, caller, clock } = options;
  const kept = new Map<string, Kept>();
  let merged: { readonly of: string; readonly bytes: Buffer; readonly hash: string; protobuf?: Buffer } | undefined;
  const inside = createMemoryTransport((exchange) => void own(new ApiRequest(exchange, clock.monotonicMs())), {});

  async function ownDocument(path: string): Promise<Buffer> {
    const answer = await inside.request({
      method: "GET",
      path,
      headers: { accept: "application/json" },
      body: undefined,
    });
    const parts: Buffer[] = [];
    for await (const part of answer.body) parts.push(part as Buffer);
    return Buffer.concat(parts);
  }

  async function read(remote: RemoteService, known: Kept | undefined): Promise<Kept> {
    const at = await caller.locate(remote);
    const ask = (path: string, headers: Record<string, string> = {}): ReturnType<RemoteCaller["ask"]> =>
      caller.ask(remote, at, { path, headers, user: AGGREGATOR, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
    const etag = known?.v2Etag;
    const [v2, v3] = await Promise.all([
      ask("/openapi/v2", etag === undefined ? {} : { "if-none-match": etag }),
      ask("/openapi/v3"),
    ]);
    const prefix = `/apis/${remote.group}/${remote.version}/`;
    const isKept = v2.status === 304 && known !== undefined;
    const parse = (body: Buffer): SpecValue => JSON.parse(body.toString("utf8")) as SpecValue;
    const specification = isKept ? known.v2 : v2.status === 200 ? underPrefix(parse(v2.body), prefix) : undefined;
    const found = v3.status === 200 ? (parse(v3.body) as unknown as V3Index) : undefined;
    return {
      v2: specification,
      v2Etag: v2.status === 200 ? (v2.headers["etag"] as string | undefined) : isKept ? etag : undefined,
      v3: found?.paths === undefined ? undefined : found,
      converted:
        found !== undefined || specification === undefined
          ? undefined
          : Buffer.from(JSON.stringify(asVersion3(specification))),
      readAt: clock.monotonicMs(),
      version: remote.object.metadata["resourceVersion"],
    };
  }

  /** Documents of all servers that can be read, those with the highest priority first. */
  async function all(): Promise<(readonly [RemoteService, Kept])[]> {
    for (const name of kept.keys()) if (!index.remotes.has(name)) kept.delete(name);
    const remotes = sortedGroups(index.remotes.values()).flat();
    const read1 = async (remote: RemoteService): Promise<readonly [RemoteService, Kept] | undefined> => {
      const known = kept.get(remote.name);
      const isFresh = known !== undefined && clock.monotonicMs() - known.readAt < MAX_AGE_MS;
      if (isFresh && known.version === remote.object.metadata["resourceVersion"]) return [remote, known];
      if (!remote.isAvailable) return known === undefined ? undefined : [remote, known];
      try {
        const found = await read(remote, known);
        kept.set(remote.name, found);
        return [remote, found];
      } catch {
        return known === undefined ? undefined : [remote, known];
      }
    };
    return (await Promise.all(remotes.map(read1))).filter((one) => one !== undefined);
  }

  async function sendV2(request: ApiRequest): Promise<void> {
    const remotes = await all();
    const document = await ownDocument("/openapi/v2");
    const of = [
      hashOf(document),
      ...remotes.map(([{ name }, { v2 }]) => `${name} ${JSON.stringify(v2?.paths).length}`),
    ];
    const key = `${of.join(" ")} ${remotes.map(([, { readAt }]) => readAt).join(" ")}`;
    if (merged?.of !== key) {
      let specification = JSON.parse(document.toString("utf8")) as Specification;
      for (const [, { v2 }] of remotes) {
        if (v2 !== undefined) specification = mergeSpecification(specification, v2);
      }
      const bytes = Buffer.from(JSON.stringify(specification));
      merged = { of: key, bytes, hash: hashOf(bytes) };
    }
    const isProtobuf = (request.exchange.header("accept") ?? "").includes("proto-openapi.spec.v2");
    const etag = `"${isProtobuf ? "P" : ""}${merged.hash}"`;
    const type = isProtobuf ? V2_PROTOBUF : "application/json";
    if (request.exchange.header("if-none-match") === etag) {
      request.exchange.send(304, { ...baseHeaders(request, type), etag }, undefined);
      return;
    }
    if (!isProtobuf) return sendBytes(request, 200, type, merged.bytes, { etag });
    merged.protobuf ??= encodeOpenApiV2(JSON.parse(merged.bytes.toString("utf8")) as JsonObject);
    return sendBytes(request, 200, type, merged.protobuf, { etag });
  }

  async function sendV3Index(request: ApiRequest): Promise<void> {
    const document = JSON.parse((await ownDocument("/openapi/v3")).toString("utf8")) as V3Index;
    const paths: Record<string, { readonly serverRelativeURL: string }> = {};
    for (const [{ group, version }, { v3, converted }] of await all()) {
      const key = `apis/${group}/${version}`;
      if (converted !== undefined) paths[key] = { serverRelativeURL: `/openapi/v3/${key}?hash=${hashOf(converted)}` };
      else Object.assign(paths, v3?.paths);
    }
    // What this server says of itself nobody else overrules.
    const bytes = Buffer.from(JSON.stringify({ paths: { ...paths, ...document.paths } }));
    const etag = `"${hashOf(bytes)}"`;
    if (request.exchange.header("if-none-match") === etag) {
      request.exchange.send(304, { ...baseHeaders(request, "application/json"), etag }, undefined);
      return;
    }
    return sendBytes(request, 200, "application/json", bytes, { etag });
  }

  async function sendV3(request: ApiRequest, key: string): Promise<void> {
    const own3 = JSON.parse((await ownDocument("/openapi/v3")).toString("utf8")) as V3Index;
    if (!Object.hasOwn(own3.paths, key)) {
      for (const [remote, { v3, converted }] of await all()) {
        if (converted !== undefined && key === `apis/${remote.group}/${remote.version}`) {
          const accept = request.exchange.header("accept") ?? "";
          if (accept !== "" && !/json|\*/.test(accept)) throw notAcceptable(["application/json"]);
          return sendBytes(request, 200, "application/json", converted, { etag: `"${hashOf(converted)}"` });
        }
        if (v3 !== undefined && Object.hasOwn(v3.paths, key)) return options.pass(request, remote);
      }
    }
    return own(request);
  }

  return (request) => {
    const path = request.info.path.replace(/\/$/, "");
    if (index.remotes.size === 0 || !path.startsWith("/openapi/")) return own(request);
    if (path === "/openapi/v2") return sendV2(request);
    if (path === "/openapi/v3") return sendV3Index(request);
    return sendV3(request, path.slice("/openapi/v3/".length));
  };
}
