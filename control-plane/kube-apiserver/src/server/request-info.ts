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
  /** What follows the subresource, for proxies: `/metrics/cadvisor`; `""` when nothing. */
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

function decode(part: string): string {
  if (!part.includes("%")) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
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
  const parts = rawPath.split("/").filter((part) => part !== "");
  const plain = (): RequestInfo => ({
    isResource: false,
    verb: method.toLowerCase(),
    path: decode(rawPath),
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
    namespace = decode(parts[at + 1]!);
    if (parts.length > at + 2 && !NAMESPACE_SUBRESOURCES.has(parts[at + 2]!)) at += 2;
  }
  const resource = parts[at] ?? "";
  let name = decode(parts[at + 1] ?? "");
  const subresource = parts[at + 2] ?? "";
  const tail = parts.slice(at + 3);
  const rest = tail.length === 0 ? "" : `/${tail.join("/")}${rawPath.endsWith("/") ? "/" : ""}`;
  const isNamed = name !== "";
  if (verb === "get" && !isNamed) verb = isTrue(query.get("watch")) ? "watch" : "list";
  // An object is watched by its own URL too; the list verb never carries a name in the path.
  else if (verb === "get" && subresource === "" && isTrue(query.get("watch"))) verb = "watch";
  else if (verb === "delete" && !isNamed) verb = "deletecollection";
  if (!isNamed && (verb === "list" || verb === "watch" || verb === "deletecollection")) {
    const selector = query.get("fieldSelector");
    if (selector !== null) name = nameFromFieldSelector(selector);
  }
  return {
    isResource: true,
    verb,
    path: decode(rawPath),
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
