import {
  badRequest,
  isStatusError,
  notFound,
  statusError,
  type StatusError,
  type Draft,
  type Json,
  type JsonObject,
} from "@coracle/apimachinery";
import type { Clock, Random } from "@coracle/base";
import type { Catalog, CatalogGroup, CatalogResource } from "../discovery/catalog.ts";
import type {
  AdmissionAttributes,
  AdmissionChain,
  Answer,
  Registry,
  ResourceHandler,
  SubresourceHandler,
  PatchKind,
} from "../registry/registry.ts";
import type { TypeName } from "../registry/resource-catalog.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import { family } from "../metrics/metric-text.ts";
import type { ApiRequest } from "./api-request.ts";
import { warnOfDeprecation } from "./deprecations.ts";
import { listComputed, notWatched } from "./computed-list.ts";
import { sendList } from "./list-writer.ts";
import { CONTENT_TYPES, negotiate, wantsPretty, type Format } from "./negotiation.ts";
import { encodeObject, encodeStored, type EncodeOptions } from "./object-encoder.ts";
import { OpenWatches } from "./open-watches.ts";
import { readDeleteOptions, readObject, readPatch, settleRepeatedFields } from "./request-body.ts";
import { deleteQuery, includeObjectOf, listQuery, patchKindOf, patchQuery, writeQuery } from "./request-options.ts";
import { sendBytes, sendNotFoundPage } from "./responder.ts";
import type { RequestInfo } from "./request-info.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** Kinds that are answered, not stored: reviews, token requests. Keyed `GROUP/RESOURCE[/SUBRESOURCE]`. */
export type VirtualResources = ReadonlyMap<string, VirtualResource>;
/** Answers a create with the object that the client gets back. */
export type VirtualResource = (
  request: ApiRequest,
  body: Draft,
  where: { readonly namespace: string; readonly name: string; readonly dryRun: boolean },
) => Promise<JsonObject>;

/** Kinds whose objects are made when they are read. Keyed `GROUP/RESOURCE`. */
export type ComputedResources = ReadonlyMap<string, () => Promise<readonly JsonObject[]>>;

/** Takes requests that are passed on to a kubelet or a pod. */
export type Connector = (request: ApiRequest, resource: CatalogResource) => Promise<void>;

export interface ResourceRoutesOptions {
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly codecs: WireCodecs;
  readonly clock: Clock;
  readonly random: Random;
  readonly virtual: VirtualResources;
  readonly computed: ComputedResources;
  /** What virtual resources pass; stored ones pass it in the registry. */
  readonly admission: AdmissionChain;
  /** By `RESOURCE/SUBRESOURCE` of the core group. */
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly minRequestTimeoutMs: number;
}

/** Serves everything under a group and version. */
export interface ResourceRoutes {
  serve(request: ApiRequest): Promise<void>;
  /** Ends all watches, properly. */
  closeWatches(): void;
  /** What was sent to watchers, and which kinds on their way out were asked for. */
  metrics(): string;
}

const typeOf = ({ group, version, kind }: TypeName): Draft => ({
  apiVersion: group === "" ? version : `${group}/${version}`,
  kind,
});

function notAllowed(): StatusError {
  return statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
}

/** A group and version that is served has no such path. */
const unknownPath = (): StatusError => statusError("NotFound", "the server could not find the requested resource", {});

const METHOD_VERBS: Readonly<Record<string, string>> = {
  get: "get",
  list: "list",
  watch: "watch",
  create: "create",
  update: "update",
  patch: "patch",
  delete: "delete",
  deletecollection: "deletecollection",
};

/** Metadata of one object was asked for where a list is, or the other way round. */
function wrongShape({ as }: Format, what: string): StatusError {
  return statusError("NotAcceptable", `you requested ${as}, but the requested object is ${what}`);
}

/** How messages name a type: by its family. */
function goName({ group, isCustom }: CatalogResource, kind: string): string {
  if (isCustom) return `unstructured.Unstructured${kind.endsWith("List") ? "List" : ""}`;
  return `${group === "" || group === "events.k8s.io" ? "core" : group.replace(/\..*$/, "")}.${kind}`;
}

/** A namespace's own URL reads like one of something in it. */
const namespaceOf = (resource: CatalogResource, info: RequestInfo): string =>
  resource.namespaced ? info.namespace : "";

export function createResourceRoutes(options: ResourceRoutesOptions): ResourceRoutes {
  const { catalog, registry, codecs, clock } = options;
  const watches = new OpenWatches(options);
  /** Kinds on their way out that were asked for, as labels. */
  const deprecatedAsked = new Set<string>();

  function formatOf(request: ApiRequest, resource: CatalogResource): Format {
    const accept = request.exchange.header("accept");
    const protobuf = codecs.protobuf !== undefined && !resource.isCustom;
    return negotiate(accept, { protobuf, transforms: true, streams: request.info.verb === "list" });
  }

  function encodeOptions(request: ApiRequest, resource: CatalogResource, format: Format): EncodeOptions {
    return {
      resource,
      format,
      codecs,
      includeObject: format.as === "Table" ? includeObjectOf(request) : "Metadata",
      now: format.as === "Table" ? clock.now() : 0,
      isPretty: format.media === "json" && wantsPretty(request.query, request.userAgent),
    };
  }

  async function sendAnswer(
    request: ApiRequest,
    resource: CatalogResource,
    format: Format,
    answer: Answer,
  ): Promise<void> {
    const isObject = answer.type === "stored" || (answer.object as JsonObject)["kind"] !== "Status";
    if (format.as === "PartialObjectMetadataList" && isObject)
      throw wrongShape(format, `not a list (*${goName(resource, resource.kind)})`);
    const encode = encodeOptions(request, resource, format);
    const status = answer.type === "object" && answer.code !== undefined ? answer.code : answer.created ? 201 : 200;
    const body =
      answer.type === "stored"
        ? encodeStored(answer.stored, encode)
        : encodeObject(answer.object as JsonObject, encode);
    await sendBytes(request, status, CONTENT_TYPES[format.media], body instanceof Promise ? await body : body);
  }

  /** Writes read their body first; a client that left is no failure of theirs. */
  async function write(
    request: ApiRequest,
    resource: CatalogResource,
    kind: string,
    action: (body: Draft) => Promise<Answer>,
  ): Promise<void> {
    const format = formatOf(request, resource);
    await sendAnswer(request, resource, format, await action(await readObject(request, kind, codecs)));
  }

  /** A patch is read when it is applied: of an object that is not there nobody looks at it. */
  async function readPatchOf(
    request: ApiRequest,
    resource: CatalogResource,
    target: Pick<SubresourceHandler, "get">,
    kind: PatchKind,
  ): Promise<Json> {
    try {
      return (await readPatch(request, kind, codecs)) as Json;
    } catch (error) {
      if (kind !== "apply" && isStatusError(error, "BadRequest"))
        await target.get?.(request, namespaceOf(resource, request.info), request.info.name, {
          resourceVersion: undefined,
        });
      throw error;
    }
  }

  async function patch(
    request: ApiRequest,
    resource: CatalogResource,
    target:
      | Pick<ResourceHandler, "patch" | "get">
      | (Pick<SubresourceHandler, "get"> & { patch: NonNullable<SubresourceHandler["patch"]> }),
  ): Promise<void> {
    const { info } = request;
    const format = formatOf(request, resource);
    const kind = patchKindOf(request.exchange.header("content-type"), resource.isCustom);
    const query = patchQuery(request, kind);
    const body = await readPatchOf(request, resource, target, kind);
    await sendAnswer(
      request,
      resource,
      format,
      await target.patch(request, namespaceOf(resource, info), info.name, kind, body, query),
    );
  }

  async function serveCollection(
    request: ApiRequest,
    resource: CatalogResource,
    handler: ResourceHandler,
  ): Promise<void> {
    const { info } = request;
    const namespace = resource.namespaced && info.namespace !== "" ? info.namespace : undefined;
    switch (info.verb) {
      case "list": {
        const format = formatOf(request, resource);
        if (format.as === "PartialObjectMetadata")
          throw wrongShape(format, `a list (*${goName(resource, `${resource.kind}List`)})`);
        const list = await handler.list(request, namespace, listQuery(request));
        return sendList(request, list, encodeOptions(request, resource, format));
      }
      case "create": {
        const query = writeQuery(request, "CreateOptions");
        return write(request, resource, resource.kind, (body) =>
          handler.create(request, namespaceOf(resource, info), body, query),
        );
      }
      case "deletecollection": {
        const format = formatOf(request, resource);
        const query = deleteQuery(request, await readDeleteOptions(request, codecs));
        return sendAnswer(
          request,
          resource,
          format,
          await handler.deleteCollection(request, namespace, listQuery(request), query),
        );
      }
      default:
        throw notAllowed();
    }
  }

  async function serveObject(request: ApiRequest, resource: CatalogResource, handler: ResourceHandler): Promise<void> {
    const { info } = request;
    switch (info.verb) {
      case "get": {
        const format = formatOf(request, resource);
        const resourceVersion = request.query.get("resourceVersion") ?? undefined;
        const answer = await handler.get(request, namespaceOf(resource, info), info.name, { resourceVersion });
        return sendAnswer(request, resource, format, answer);
      }
      case "update": {
        const query = writeQuery(request, "UpdateOptions");
        return write(request, resource, resource.kind, (body) =>
          handler.update(request, namespaceOf(resource, info), info.name, body, query),
        );
      }
      case "patch":
        return patch(request, resource, handler);
      case "delete": {
        const format = formatOf(request, resource);
        const query = deleteQuery(request, await readDeleteOptions(request, codecs));
        return sendAnswer(
          request,
          resource,
          format,
          await handler.delete(request, namespaceOf(resource, info), info.name, query),
        );
      }
      default:
        throw notAllowed();
    }
  }

  async function serveSubresource(
    request: ApiRequest,
    resource: CatalogResource,
    handler: ResourceHandler | undefined,
  ): Promise<void> {
    const { info } = request;
    const entry = resource.subresources.get(info.subresource);
    if (entry === undefined && resource.isCustom && info.rest === "") {
      throw notFound({ group: info.group, resource: info.resource }, info.name);
    }
    if (entry === undefined || (info.rest !== "" && info.subresource !== "proxy")) throw unknownPath();
    const connector = info.group === "" ? options.connectors.get(`${info.resource}/${info.subresource}`) : undefined;
    // What is proxied passes on methods that the API itself does not have.
    if (info.subresource !== "proxy" && !entry.verbs.includes(info.verb)) throw notAllowed();
    if (connector !== undefined) {
      if (info.subresource !== "log") await admitConnect(request, entry.kind);
      return connector(request, resource);
    }
    if (request.exchange.method === "HEAD") throw notAllowed();
    const virtual = options.virtual.get(`${info.group}/${info.resource}/${info.subresource}`);
    if (virtual !== undefined) return serveVirtual(request, resource, entry.kind, virtual);
    const target = handler?.subresource(info.subresource);
    const seen: CatalogResource = { ...resource, kind: entry.kind, group: entry.group, version: entry.version };
    switch (info.verb) {
      case "get": {
        if (target?.get === undefined) break;
        const format = formatOf(request, resource);
        const resourceVersion = request.query.get("resourceVersion") ?? undefined;
        return sendAnswer(
          request,
          resource,
          format,
          await target.get(request, namespaceOf(resource, info), info.name, { resourceVersion }),
        );
      }
      case "create": {
        const create = target?.create?.bind(target);
        if (create === undefined) break;
        const query = writeQuery(request, "CreateOptions");
        return write(request, seen, entry.kind, (body) =>
          create(request, namespaceOf(resource, info), info.name, body, query),
        );
      }
      case "update": {
        const update = target?.update?.bind(target);
        if (update === undefined) break;
        const query = writeQuery(request, "UpdateOptions");
        return write(request, resource, entry.kind, (body) =>
          update(request, namespaceOf(resource, info), info.name, body, query),
        );
      }
      case "patch":
        if (target?.patch === undefined) break;
        return patch(request, resource, {
          ...(target.get === undefined ? {} : { get: target.get.bind(target) }),
          patch: target.patch.bind(target),
        });
    }
    throw notAllowed();
  }

  /** What admission sees of a connection is the options in its query. */
  async function admitConnect(request: ApiRequest, kind: string): Promise<void> {
    const { info, query } = request;
    if (query.has("dryRun")) throw badRequest("dryRun is not supported");
    const object: Record<string, Json> = { kind, apiVersion: "v1", metadata: {} };
    for (const [name, text] of query) {
      if (name === "command") object[name] = query.getAll(name);
      else if (name === "ports") object[name] = query.getAll(name).flatMap((ports) => ports.split(",").map(Number));
      else if (name === "container") object[name] = text;
      else if (["stdin", "stdout", "stderr", "tty"].includes(name)) object[name] = text !== "false" && text !== "0";
    }
    if (info.subresource === "proxy") object["path"] = info.rest;
    const attributes: AdmissionAttributes = {
      operation: "CONNECT",
      group: info.group,
      version: info.version,
      resource: info.resource,
      kind,
      subresource: info.subresource,
      namespace: info.namespace,
      name: info.name,
      object: object as unknown as ApiDraft,
      oldObject: undefined,
      options: undefined,
      isDryRun: false,
      context: request,
    };
    await options.admission.admit(attributes);
    await options.admission.validate(attributes);
  }

  async function serveVirtual(
    request: ApiRequest,
    resource: CatalogResource,
    kind: string,
    virtual: VirtualResource,
  ): Promise<void> {
    const { info } = request;
    if (info.verb !== "create") throw notAllowed();
    // A review is an answer, not an object: it has no table and no metadata to show.
    const accept = request.exchange.header("accept");
    const format = negotiate(accept, { protobuf: codecs.protobuf !== undefined, transforms: false });
    const { dryRun } = writeQuery(request, "CreateOptions");
    const body = await readObject(request, kind, codecs);
    settleRepeatedFields(request, kind);
    const asked = { metadata: {}, ...body, ...typeOf(resource.subresources.get(info.subresource) ?? resource) };
    const before = JSON.stringify(asked);
    const attributes: AdmissionAttributes = {
      operation: "CREATE",
      group: info.group,
      version: info.version,
      resource: info.resource,
      kind,
      subresource: info.subresource,
      namespace: info.namespace,
      name: info.name,
      object: asked as ApiDraft,
      oldObject: undefined,
      options: undefined,
      isDryRun: dryRun,
      context: request,
    };
    await options.admission.admit(attributes);
    await options.admission.validate(attributes);
    // What a webhook made of the question is what is answered.
    const question = JSON.stringify(asked) === before ? body : asked;
    const object = await virtual(request, question, { namespace: info.namespace, name: info.name, dryRun });
    await sendAnswer(request, resource, { ...format, as: "" }, { type: "object", object, created: true });
  }

  async function serveComputed(
    request: ApiRequest,
    resource: CatalogResource,
    objects: readonly JsonObject[],
  ): Promise<void> {
    const { info } = request;
    const format = formatOf(request, resource);
    if (info.isNamed) {
      const object = objects.find(({ metadata }) => (metadata as JsonObject)["name"] === info.name);
      if (object === undefined) throw notFound({ group: info.group, resource: resource.kind.toLowerCase() }, info.name);
      return sendAnswer(request, resource, format, { type: "object", object, created: false });
    }
    if (format.as === "PartialObjectMetadata")
      throw wrongShape(format, `a list (*${goName(resource, `${resource.kind}List`)})`);
    const list = listComputed(objects as readonly ApiObject[], listQuery(request));
    await sendList(request, list, encodeOptions(request, resource, format));
  }

  return {
    async serve(request) {
      const { info } = request;
      const resource = catalog.find(info.group, info.version, info.resource);
      const isOwnGroup = ({ name, isCustom }: CatalogGroup): boolean => name === info.group && isCustom !== true;
      if (resource === undefined && !catalog.groups.some(isOwnGroup)) return sendNotFoundPage(request);
      if (resource === undefined) throw unknownPath();
      // The old way to watch, `/watch/…`, is one to read, and knows no subresources.
      if (info.verb === "watch" && info.subresource !== "") throw unknownPath();
      if (info.verb === "watch" && request.exchange.method !== "GET") throw notAllowed();
      // What is behind a proxy may know other methods.
      if (METHOD_VERBS[info.verb] === undefined && info.subresource !== "proxy") throw notAllowed();
      const isInNamespace = info.namespace !== "" && info.resource !== "namespaces";
      // A namespaced object has one URL; collections and cluster-scoped kinds have theirs.
      if (resource.namespaced ? !isInNamespace && (info.isNamed || info.subresource !== "") : isInNamespace) {
        throw unknownPath();
      }
      // What is created only, in a namespace, has no collection across all of them.
      if (resource.namespaced && !isInNamespace && !resource.verbs.includes("list")) throw unknownPath();
      const asked = info.subresource === "" ? resource : resource.subresources.get(info.subresource);
      if (asked?.verbs.includes(info.verb) === true) warnOfDeprecation(request, resource, deprecatedAsked);
      const handler = registry.resource(info.group, info.version, info.resource);
      if (info.subresource !== "") return serveSubresource(request, resource, handler);
      const virtual = options.virtual.get(`${info.group}/${info.resource}`);
      if (virtual !== undefined) return serveVirtual(request, resource, resource.kind, virtual);
      // Only what is proxied knows HEAD.
      const computed = options.computed.get(`${info.group}/${info.resource}`);
      if (computed !== undefined && info.verb === "watch") throw notWatched(info.resource);
      if (!(resource.answeredVerbs ?? resource.verbs).includes(info.verb) || request.exchange.method === "HEAD")
        throw notAllowed();
      if (resource.namespaced && !isInNamespace && info.verb !== "list" && info.verb !== "watch") throw notAllowed();
      if (computed !== undefined) return serveComputed(request, resource, await computed());
      if (handler === undefined) throw notFound({ group: info.group, resource: info.resource }, info.name);
      if (info.verb === "watch") return watches.serve(request, resource, handler, formatOf(request, resource));
      // Namespaces are cluster-scoped, though their URL reads like a namespace's.
      return info.isNamed ? serveObject(request, resource, handler) : serveCollection(request, resource, handler);
    },
    closeWatches() {
      watches.endAll();
    },
    metrics: () =>
      `${watches.metrics()}\n${family(
        "apiserver_requested_deprecated_apis",
        "gauge",
        [...deprecatedAsked].map((labels) => [labels, 1]),
      )}`,
  };
}
