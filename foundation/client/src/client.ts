import { apiVersionOf, resourcePath, type KubeObject, type ResourceType } from "@coracle/api";
import type { Status } from "@coracle/api/meta/v1";
import { isStatusError, serviceUnavailable, StatusError, STATUS_REASONS, statusError } from "@coracle/apimachinery";
import { isAbort, sleep, systemClock, systemRandom, type Clock, type Random } from "@coracle/base";
import type {
  ApiClient,
  ListOptions,
  ListResult,
  PatchType,
  ReadOptions,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./api-client.ts";
import type { Transport, TransportResponse } from "./transport/transport.ts";
import { REFUSED } from "./transport/http-exchange.ts";
import { metadataText } from "./transport/json-text.ts";
import { lines } from "./transport/lines.ts";
import { withoutManagedFields } from "./transport/managed-fields.ts";

export interface ApiClientOptions {
  readonly transport: Transport;
  /** Sent as `User-Agent`; the default manager of fields written. */
  readonly userAgent?: string | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Leave `managedFields` out of what is answered and watched, before it is parsed. */
  readonly withoutManagedFields?: boolean | undefined;
}

/** A client that owns its transport. */
export interface OwnedApiClient extends ApiClient, AsyncDisposable {}

const JSON_TYPE = "application/json";
const METADATA_TYPE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST_TYPE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const PATCH_TYPES: Readonly<Record<PatchType, string>> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};
const MAX_RETRIES = 10;
const MAX_CONNECT_RETRIES = 4;
const CONNECT_BACKOFF_MS = 50;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly accept?: string | undefined;
  readonly contentType?: string | undefined;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Nothing but the metadata of what is answered is wanted. */
  readonly metadataOnly?: boolean | undefined;
  /** Watches are retried by who follows them. */
  readonly retryConnect?: boolean | undefined;
}

/** Requests over `transport`, with the retries that are always safe: told to by the server, or never sent. */
export function createApiClient(options: ApiClientOptions): OwnedApiClient {
  const { transport, clock = systemClock, random = systemRandom, userAgent = "coracle" } = options;
  const strip = options.withoutManagedFields === true ? withoutManagedFields : same;

  async function exchange(call: Call): Promise<TransportResponse> {
    const headers: Record<string, string> = { accept: call.accept ?? JSON_TYPE, "user-agent": userAgent };
    let body: Buffer | undefined;
    if (call.body !== undefined) {
      headers["content-type"] = call.contentType ?? JSON_TYPE;
      body = Buffer.isBuffer(call.body) ? call.body : Buffer.from(JSON.stringify(call.body));
      headers["content-length"] = String(body.length);
    }
    const { method, path, signal } = call;
    for (let attempt = 0, connects = 0; ;) {
      let response: TransportResponse;
      try {
        response = await transport.request({ method, path, headers, body, signal });
      } catch (error) {
        if (isAbort(error, signal)) throw error;
        const mayRetry = call.retryConnect !== false && (wasNeverSent(error) || method === "GET");
        if (!mayRetry || connects >= MAX_CONNECT_RETRIES) throw unreachable(method, path, error);
        await sleep(clock, CONNECT_BACKOFF_MS * 2 ** connects++ * (1 + random.next()), signal);
        continue;
      }
      if (response.status < 400) return response;
      const retryAfterSeconds = Number(response.headers["retry-after"]);
      const failure = await failureOf(response, method, path);
      const told = (response.status === 429 || response.status >= 500) && retryAfterSeconds > 0;
      if (!told || attempt >= MAX_RETRIES) throw failure;
      attempt++;
      await sleep(clock, retryAfterSeconds * 1000, signal);
    }
  }

  async function json<R>(call: Call): Promise<R> {
    const response = await exchange(call);
    try {
      const text = strip((await collect(response.body)).toString("utf8"));
      return JSON.parse(call.metadataOnly === true ? metadataText(text) : text) as R;
    } catch (error) {
      if (isAbort(error, call.signal)) throw error;
      throw unreachable(call.method, call.path, error);
    }
  }

  /** For answers that nobody reads: a deletion tells the whole object, that of a collection all of them. */
  async function unread(call: Call): Promise<void> {
    const response = await exchange(call);
    try {
      for await (const _ of response.body);
    } catch (error) {
      if (isAbort(error, call.signal)) throw error;
      throw unreachable(call.method, call.path, error);
    }
  }

  return {
    get: (type, key, opts) =>
      json({
        method: "GET",
        path: resourcePath(type, key) + query({ resourceVersion: opts?.resourceVersion }),
        accept: opts?.metadataOnly === true ? METADATA_TYPE : undefined,
        signal: opts?.signal,
      }),

    async list<T extends KubeObject>(type: ResourceType<T>, opts: ListOptions = {}): Promise<ListResult<T>> {
      const answer = await json<{ items?: T[] | null; metadata?: ListResult<T>["metadata"] }>({
        method: "GET",
        path: resourcePath(type, { namespace: opts.namespace }) + query(listQuery(opts)),
        accept: opts.metadataOnly === true ? METADATA_LIST_TYPE : undefined,
        signal: opts.signal,
      });
      return { items: answer.items ?? [], metadata: answer.metadata ?? {} };
    },

    create<T extends KubeObject>(type: ResourceType<T>, object: T, opts?: WriteOptions): Promise<T> {
      const { namespace, name } = object.metadata;
      const where =
        opts?.subresource === undefined ? { namespace } : { namespace, name, subresource: opts.subresource };
      return json({
        method: "POST",
        path: resourcePath(type, where) + query(writeQuery(opts)),
        body: withType(type, object),
        metadataOnly: opts?.metadataOnly,
        signal: opts?.signal,
      });
    },

    post: (type, key, subresource, body, opts) =>
      json({
        method: "POST",
        path: resourcePath(type, { ...key, subresource }) + query(writeQuery(opts)),
        body,
        signal: opts?.signal,
      }),

    update<T extends KubeObject>(type: ResourceType<T>, object: T, opts?: WriteOptions): Promise<T> {
      const { namespace, name } = object.metadata;
      return json({
        method: "PUT",
        path: resourcePath(type, { namespace, name, subresource: opts?.subresource }) + query(writeQuery(opts)),
        body: withType(type, object),
        metadataOnly: opts?.metadataOnly,
        signal: opts?.signal,
      });
    },

    patch: (type, key, patchType, body, opts) =>
      json({
        method: "PATCH",
        path:
          resourcePath(type, { ...key, subresource: opts?.subresource }) +
          query({ ...writeQuery(opts), force: opts?.force === undefined ? undefined : String(opts.force) }),
        contentType: PATCH_TYPES[patchType],
        body,
        metadataOnly: opts?.metadataOnly,
        signal: opts?.signal,
      }),

    async delete(type, key, opts = {}) {
      const { signal, ...deleteOptions } = opts;
      await unread({
        method: "DELETE",
        path: resourcePath(type, key),
        body: Object.keys(deleteOptions).length === 0 ? undefined : deleteBody(deleteOptions),
        signal,
      });
    },

    async deleteCollection(type, opts = {}) {
      await unread({
        method: "DELETE",
        path: resourcePath(type, { namespace: opts.namespace }) + query(listQuery(opts)),
        body: opts.deleteOptions === undefined ? undefined : deleteBody(opts.deleteOptions),
        signal: opts.signal,
      });
    },

    async *watch<T extends KubeObject>(type: ResourceType<T>, opts: WatchOptions = {}): AsyncGenerator<WatchEvent<T>> {
      const path =
        resourcePath(type, { namespace: opts.namespace }) +
        query({
          ...listQuery(opts),
          watch: "true",
          allowWatchBookmarks: "true",
          sendInitialEvents: opts.sendInitialEvents === true ? "true" : undefined,
          resourceVersionMatch: opts.sendInitialEvents === true ? "NotOlderThan" : opts.resourceVersionMatch,
          timeoutSeconds: opts.timeoutSeconds === undefined ? undefined : String(opts.timeoutSeconds),
        });
      const accept = opts.metadataOnly === true ? METADATA_TYPE : undefined;
      const response = await exchange({ method: "GET", path, accept, signal: opts.signal, retryConnect: false });
      try {
        for await (const line of lines(response.body)) yield watchEvent<T>(JSON.parse(strip(line)) as RawWatchEvent<T>);
      } catch (error) {
        if (isAbort(error, opts.signal) || isStatusError(error)) throw error;
        throw unreachable("GET", path, error);
      }
    },

    async raw(method, path, body, opts) {
      const response = await exchange({ method, path, body, ...opts });
      const text = (await collect(response.body)).toString("utf8");
      return String(response.headers["content-type"] ?? "").includes("json") ? (JSON.parse(text) as unknown) : text;
    },

    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  };
}

const same = (text: string): string => text;

type RawWatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly object: KubeObject }
  | { readonly type: "ERROR"; readonly object: Status };

function watchEvent<T>(raw: RawWatchEvent<T>): WatchEvent<T> {
  switch (raw.type) {
    case "ERROR":
      throw new StatusError(raw.object);
    case "BOOKMARK":
      return {
        type: "BOOKMARK",
        resourceVersion: raw.object.metadata.resourceVersion ?? "",
        initialEventsEnd: raw.object.metadata.annotations?.["k8s.io/initial-events-end"] === "true",
      };
    default:
      return raw;
  }
}

/** Socket errors after which the server cannot have seen the request. */
function wasNeverSent(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "ECONNREFUSED" || code === "ENOENT" || code === REFUSED;
}

function unreachable(method: string, path: string, error: unknown): StatusError {
  const why = error instanceof Error ? error.message : String(error);
  return serviceUnavailable(`${method} ${path.split("?")[0]}: ${why}`, { cause: error });
}

async function failureOf(response: TransportResponse, method: string, path: string): Promise<StatusError> {
  let text = "";
  try {
    text = (await collect(response.body)).toString("utf8");
    const parsed = JSON.parse(text) as Status;
    if (parsed.kind === "Status") return new StatusError({ ...parsed, code: parsed.code ?? response.status });
  } catch {
    // Not a Status (a proxy's page, a health check's text): told by its code below.
  }
  const reason = (Object.keys(STATUS_REASONS) as (keyof typeof STATUS_REASONS)[]).find(
    (name) => STATUS_REASONS[name] === response.status,
  );
  const message = text === "" ? `${method} ${path.split("?")[0]}: answered ${response.status}` : text.slice(0, 1024);
  return statusError(reason ?? "", message, undefined, { code: response.status });
}

async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

function withType<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  if (object.apiVersion !== undefined && object.kind !== undefined) return object;
  return { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
}

function deleteBody(options: object): object {
  return { apiVersion: "v1", kind: "DeleteOptions", ...options };
}

function listQuery(options: ListOptions & ReadOptions): Record<string, string | undefined> {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit === undefined ? undefined : String(options.limit),
    continue: options.continue,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
  };
}

function writeQuery(options: WriteOptions | undefined): Record<string, string | undefined> {
  return { dryRun: options?.dryRun === true ? "All" : undefined, fieldManager: options?.fieldManager };
}

function query(parameters: Readonly<Record<string, string | undefined>>): string {
  let out = "";
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || value === "") continue;
    out += `${out === "" ? "?" : "&"}${name}=${encodeURIComponent(value)}`;
  }
  return out;
}
