import type { Draft, Json } from "@coracle/apimachinery";
import type { StorageListResult, StoredObject, StorageWatcher } from "../storage/object-storage.ts";
import type { ApiDraft, ApiObject, ResourceDefinition } from "./resource-definition.ts";
import type { TypeName } from "./resource-catalog.ts";
import type { SchemaPort } from "./schema-port.ts";

/** Members that the text of a request's body names more than once. */
export interface RepeatedFields {
  /** `duplicate field "spec.x"`. */
  readonly texts: readonly string[];
  /** The same among unknown fields, in the order of the text. */
  among(unknown: readonly string[]): readonly string[];
}

/** Who asks, and what the request as a whole carries. Made by the HTTP layer once a request. */
export interface RequestContext {
  readonly user: {
    readonly name: string;
    readonly uid?: string;
    readonly groups: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
  readonly signal: AbortSignal;
  /** Sent as Warning headers, in order, each once. */
  readonly warnings: string[];
  readonly userAgent: string;
  /** Absent: none, or nobody wants to know. */
  readonly repeatedFields?: RepeatedFields | undefined;
  /** The request's query, for options that are passed on as they were given. */
  readonly query?: URLSearchParams;
  /** Adds an annotation to the request's audit event, if that is of `level` at least. Absent: nobody listens. */
  readonly annotate?:
    | ((key: string, value: string, level?: "Metadata" | "Request" | "RequestResponse") => void)
    | undefined;
  /** Told of the object that was sent, with its defaults, before anything else changes it. Absent: nobody listens. */
  readonly noteObject?: ((object: ApiDraft) => void) | undefined;
  /** Asked before an update or patch creates what is not there. Throws 403. Absent: whoever may update may create. */
  readonly authorizeCreate?: () => Promise<void>;
  /** Told of time that others took: it is not the server's own. Absent: nobody listens. */
  readonly noteWait?: (ms: number) => void;
}

export type AdmissionOperation = "CREATE" | "UPDATE" | "DELETE" | "CONNECT";

/** What admission plugins see. */
export interface AdmissionAttributes {
  readonly operation: AdmissionOperation;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Absent for DELETE. Mutating plugins change it in place. */
  readonly object: ApiDraft | undefined;
  /** The request names no object: the server made the name up, or deletes many. */
  readonly isUnnamed?: boolean;
  readonly oldObject: ApiObject | undefined;
  readonly options: Json | undefined;
  readonly isDryRun: boolean;
  readonly context: RequestContext;
  /** How objects of the resource are read and completed: for what replaces `object` from outside. */
  readonly reading?: AdmissionReading;
  /** Whether plugins that mutate run once more because one of them changed the object. Set by the chain. */
  readonly reinvocation?: Reinvocation;
}

/** What of a resource is needed to read its objects. */
export interface AdmissionReading {
  readonly entry: TypeName;
  readonly schema: SchemaPort;
  readonly definition: ResourceDefinition;
  /** Other versions of the resource. Absent: those that the API tables know. */
  readonly versions?: AdmissionVersions | undefined;
}

/** A resource as it is served in one version, and the kind of what is sent to it. */
export interface ServedVersion {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: TypeName;
}

/** The versions in which a resource is served, for what asks to see its objects in another. */
export interface AdmissionVersions {
  /** All of them, also the one of the request, in upstream's order. */
  equivalents(group: string, resource: string, subresource: string): readonly ServedVersion[];
  /** Does not change `object`, whose `apiVersion` says where it comes from. */
  convert(group: string, resource: string, object: Draft, to: TypeName): Draft | Promise<Draft>;
}

/** Shared by all plugins of one request. */
export interface Reinvocation {
  /** True in the second round. */
  isSecond: boolean;
  /** Set by a plugin that changed the object: all plugins that mutate run a second time, and no more. */
  isWanted: boolean;
  /** What plugins remember from the first round, by plugin name; undefined: nothing yet. */
  memory: Map<string, unknown> | undefined;
}

/** The admission chain, handed to the registry by the composition of the server. */
export interface AdmissionChain {
  /** Mutates in place; throws StatusError to refuse. */
  admit(attributes: AdmissionAttributes): void | Promise<void>;
  validate(attributes: AdmissionAttributes): void | Promise<void>;
}

export type FieldValidation = "Strict" | "Warn" | "Ignore";

export interface WriteQuery {
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
}

export interface ReadQuery {
  readonly resourceVersion?: string | undefined;
}

export interface ListQuery extends ReadQuery {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersionMatch?: string | undefined;
  /** Of watches only; a list that has it is refused. */
  readonly sendInitialEvents?: boolean | undefined;
}

export interface WatchQuery extends ListQuery {
  readonly allowWatchBookmarks: boolean;
}

export interface DeleteQuery {
  /** Parsed DeleteOptions (body and query together); structure already checked. */
  readonly options: {
    readonly gracePeriodSeconds?: number | undefined;
    readonly propagationPolicy?: string | undefined;
    readonly orphanDependents?: boolean | undefined;
    readonly preconditions?:
      | { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined }
      | undefined;
    readonly dryRun?: readonly string[] | undefined;
  };
}

export type PatchKind = "json" | "merge" | "strategic" | "apply";

/** What a write answers: an object that was stored (its bytes exist), or one that was not (dry run, Status, Scale, review). */
export type Answer =
  | { readonly type: "stored"; readonly stored: StoredObject; readonly created: boolean }
  | { readonly type: "object"; readonly object: Json | ApiObject; readonly created: boolean; readonly code?: number };

export interface ListAnswer extends StorageListResult {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
}

/** All verbs on one resource. Failures are StatusErrors. The HTTP layer has authenticated, authorised and parsed. */
export interface ResourceHandler {
  readonly definition: ResourceDefinition;
  /** How many objects there are, all namespaces together; costs nothing. */
  readonly count?: number;
  /** An object as the cache has it; costs nothing. Absent: others write to the store too, and the cache must learn of it first. */
  peek?(namespace: string, name: string): ApiObject | undefined;
  get(context: RequestContext, namespace: string, name: string, query: ReadQuery): Promise<Answer>;
  list(context: RequestContext, namespace: string | undefined, query: ListQuery): Promise<ListAnswer>;
  /** Synchronous delivery to `watcher`; dispose to stop. */
  watch(context: RequestContext, namespace: string | undefined, query: WatchQuery, watcher: StorageWatcher): Disposable;
  /** `body`: the request's JSON value, not yet checked. `name` is set for named creates of subresources only. */
  create(context: RequestContext, namespace: string, body: Draft, query: WriteQuery): Promise<Answer>;
  update(context: RequestContext, namespace: string, name: string, body: Draft, query: WriteQuery): Promise<Answer>;
  patch(
    context: RequestContext,
    namespace: string,
    name: string,
    kind: PatchKind,
    body: Json,
    query: WriteQuery & { readonly force: boolean },
  ): Promise<Answer>;
  delete(context: RequestContext, namespace: string, name: string, query: DeleteQuery): Promise<Answer>;
  deleteCollection(
    context: RequestContext,
    namespace: string | undefined,
    list: ListQuery,
    query: DeleteQuery,
  ): Promise<Answer>;
  /** Subresources that read and write through the registry: status, scale, binding, eviction, resize, approval, finalize, token … */
  subresource(name: string): SubresourceHandler | undefined;
}

export interface SubresourceHandler {
  get?(context: RequestContext, namespace: string, name: string, query: ReadQuery): Promise<Answer>;
  update?(context: RequestContext, namespace: string, name: string, body: Draft, query: WriteQuery): Promise<Answer>;
  patch?(
    context: RequestContext,
    namespace: string,
    name: string,
    kind: PatchKind,
    body: Json,
    query: WriteQuery & { readonly force: boolean },
  ): Promise<Answer>;
  create?(context: RequestContext, namespace: string, name: string, body: Draft, query: WriteQuery): Promise<Answer>;
}

/** Every resource the server has, by group, version and plural. */
export interface Registry {
  resource(group: string, version: string, plural: string): ResourceHandler | undefined;
}
