/** What a request is about, read from its method and URL alone. */
export interface RequestInfo {
  /** False for paths outside `/api/V/…` and `/apis/G/V/…`, and for those prefixes themselves. */
  readonly isResource: boolean;
  /** API verb (get, list, watch, create, update, patch, delete, deletecollection), or the lower-case method. */
  readonly verb: string;
  /** Decoded path without query. */
  readonly path: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  /** Plural; `""` unless `isResource`. */
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** What follows the subresource, decoded, for proxies: `/metrics/cadvisor`; `""` when nothing. */
  readonly rest: string;
  /** Whether the URL named the object (a name taken from a field selector does not count). */
  readonly isNamed: boolean;
}

const VERBS: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Parts of a namespace's own URL that are not resources in it. */
const NAMESPACE_SUBRESOURCES = new Set(["status", "finalize"]);

const ESCAPES = /(?:%[0-9A-Fa-f]{2})+/g;

/**
 * Undoes the escapes of a whole path, before anything is read from it: an escaped slash separates like any other, so
 * that no two readers of one path see two different objects.
 */
function decodePath(path: string): string {
  if (!path.includes("%")) return path;
  return path.replace(ESCAPES, (bytes) => Buffer.from(bytes.replaceAll("%", ""), "hex").toString("utf8"));
}

/** `metadata.name=NAME` as the only or one of the terms of a field selector. */
function nameFromFieldSelector(selector: string): string {
  for (const term of selector.split(",")) {
    const match = /^metadata\.name==?([^/%]+)$/.exec(term);
    if (match?.[1] !== undefined && match[1] !== "." && match[1] !== "..") return match[1];
  }
  return "";
}

const isTrue = (value: string | null): boolean => value !== null && value !== "false" && value !== "0";

/** Splits a request into what authorisation and dispatch ask for. Never throws. */
export function parseRequestInfo(method: string, rawPath: string, query: URLSearchParams): RequestInfo {
  const path = decodePath(rawPath);
  // Empty parts in between are parts: what has them is no resource that exists.
  const parts = path.replace(/^\/+|\/+$/g, "").split("/");
  const plain = (): RequestInfo => ({
    isResource: false,
    verb: method.toLowerCase(),
    path,
    group: "",
    version: "",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
    rest: "",
    isNamed: false,
  });
  let at: number;
  let group = "";
  if (parts[0] === "api" && parts.length >= 3) at = 1;
  else if (parts[0] === "apis" && parts.length >= 4) {
    group = parts[1]!;
    at = 2;
  } else return plain();
  const version = parts[at++]!;

  let verb = VERBS[method] ?? "";
  if (parts[at] === "watch" && parts.length > at + 1) {
    verb = "watch";
    at += 1;
  }
  let namespace = "";
  if (parts[at] === "namespaces" && parts.length > at + 1) {
    namespace = parts[at + 1]!;
    if (parts.length > at + 2 && !NAMESPACE_SUBRESOURCES.has(parts[at + 2]!)) at += 2;
  }
  const resource = parts[at] ?? "";
  let name = parts[at + 1] ?? "";
  const subresource = parts[at + 2] ?? "";
  const tail = parts.slice(at + 3);
  const rest = tail.length === 0 ? "" : `/${tail.join("/")}${path.endsWith("/") ? "/" : ""}`;
  const isNamed = name !== "";
  if (verb === "get" && !isNamed) verb = isTrue(query.get("watch")) ? "watch" : "list";
  else if (verb === "delete" && !isNamed) verb = "deletecollection";
  if (!isNamed && (verb === "list" || verb === "watch" || verb === "deletecollection")) {
    const selector = query.get("fieldSelector");
    if (selector !== null) name = nameFromFieldSelector(selector);
  }
  return {
    isResource: true,
    verb,
    path,
    group,
    version,
    namespace,
    resource,
    subresource,
    name,
    rest,
    isNamed,
  };
}

const LONG_RUNNING_SUBRESOURCES = new Set(["attach", "exec", "proxy", "log", "portforward"]);

const READING = new Set(["get", "list", "watch"]);

/** Whether a request changes nothing, as the counts of requests in flight see it. */
export const isReading = (info: RequestInfo): boolean => !info.isResource || READING.has(info.verb);

/** Requests without a deadline, which do not count against the in-flight limits. */
export function isLongRunning(info: RequestInfo): boolean {
  return info.isResource && (info.verb === "watch" || LONG_RUNNING_SUBRESOURCES.has(info.subresource));
}
