import {
  badRequest,
  forbiddenField,
  invalid,
  invalidValue,
  isObject,
  notSupported,
  required,
  statusError,
  unsupportedMediaType,
} from "@coracle/apimachinery";
import type {
  DeleteQuery,
  FieldValidation,
  ListQuery,
  PatchKind,
  WatchQuery,
  WriteQuery,
} from "../registry/registry.ts";
import type { ApiRequest } from "./api-request.ts";

const META = "meta.k8s.io";

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^[+-]?\d+$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  return text !== "false" && text !== "0";
}

const text = (query: URLSearchParams, name: string): string | undefined => {
  const value = query.get(name);
  return value === null || value === "" ? undefined : value;
};

/** `dryRun` may only be `All`. */
function dryRunOf(query: URLSearchParams, kind: string): boolean {
  const values = query.getAll("dryRun");
  if (values.some((value) => value !== "All")) {
    throw invalid({ group: META, kind }, "", [notSupported("dryRun", values, ["All"])]);
  }
  return values.length > 0;
}

const FIELD_MANAGER_MAX = 128;

/** The writer's name as managed fields record it: what it says, else the start of its user agent. */
function fieldManagerOf(request: ApiRequest, kind: string): string {
  const asked = text(request.query, "fieldManager");
  if (asked !== undefined) {
    if (asked.length > FIELD_MANAGER_MAX) {
      throw invalid({ group: META, kind }, "", [
        {
          type: "FieldValueTooLong",
          field: "fieldManager",
          message: `Too long: may not be more than ${FIELD_MANAGER_MAX} bytes`,
        },
      ]);
    }
    return asked;
  }
  const agent = request.userAgent.split("/", 1)[0] ?? "";
  return agent.slice(0, FIELD_MANAGER_MAX);
}

const FIELD_VALIDATIONS: readonly string[] = ["", "Ignore", "Strict", "Warn"];

/** Options of creates, updates and patches. */
export function writeQuery(request: ApiRequest, kind: string): WriteQuery {
  const fieldValidation = text(request.query, "fieldValidation") ?? "Warn";
  if (!FIELD_VALIDATIONS.includes(fieldValidation)) {
    throw invalid({ group: META, kind }, "", [notSupported("fieldValidation", fieldValidation, FIELD_VALIDATIONS)]);
  }
  return {
    dryRun: dryRunOf(request.query, kind),
    fieldManager: fieldManagerOf(request, kind),
    fieldValidation: fieldValidation as FieldValidation,
  };
}

/** Options of lists. A name in the URL becomes a field selector. */
export function listQuery(request: ApiRequest): ListQuery {
  const { query } = request;
  let fieldSelector = text(query, "fieldSelector");
  if (request.info.isNamed) {
    const own = `metadata.name=${request.info.name}`;
    fieldSelector = fieldSelector === undefined ? own : `${own},${fieldSelector}`;
  }
  return {
    labelSelector: text(query, "labelSelector"),
    fieldSelector,
    limit: integer(query, "limit"),
    continue: text(query, "continue"),
    sendInitialEvents: flag(query, "sendInitialEvents"),
    resourceVersion: text(query, "resourceVersion"),
    resourceVersionMatch: text(query, "resourceVersionMatch"),
  };
}

/** Options of watches. */
export function watchQuery(request: ApiRequest): WatchQuery & { readonly timeoutSeconds: number | undefined } {
  const { query } = request;
  return {
    ...listQuery(request),
    allowWatchBookmarks: flag(query, "allowWatchBookmarks") ?? false,
    timeoutSeconds: integer(query, "timeoutSeconds"),
  };
}

const PROPAGATION_POLICIES: readonly string[] = ["Foreground", "Background", "Orphan", "nil"];

function checkDeleteOptions({ dryRun, propagationPolicy, orphanDependents }: DeleteQuery["options"]): void {
  const errors = [];
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    errors.push(
      invalidValue(
        "propagationPolicy",
        propagationPolicy,
        "orphanDependents and deletionPropagation cannot be both set",
      ),
    );
  }
  if (propagationPolicy !== undefined && !PROPAGATION_POLICIES.slice(0, -1).includes(propagationPolicy)) {
    errors.push(notSupported("propagationPolicy", propagationPolicy, PROPAGATION_POLICIES));
  }
  if (dryRun?.some((value) => value !== "All") === true) errors.push(notSupported("dryRun", dryRun, ["All"]));
  if (errors.length > 0) throw invalid({ group: META, kind: "DeleteOptions" }, "", errors);
}

/** Options of deletes: the body's when there is one, else the URL's. */
export function deleteQuery(request: ApiRequest, body: unknown): DeleteQuery {
  const options = body === undefined ? deleteOptionsOfUrl(request.query) : deleteOptionsOfBody(body);
  checkDeleteOptions(options);
  return { options };
}

function deleteOptionsOfUrl(query: URLSearchParams): DeleteQuery["options"] {
  const dryRun = query.getAll("dryRun");
  return {
    gracePeriodSeconds: integer(query, "gracePeriodSeconds"),
    propagationPolicy: text(query, "propagationPolicy"),
    orphanDependents: flag(query, "orphanDependents"),
    dryRun: dryRun.length === 0 ? undefined : dryRun,
  };
}

function deleteOptionsOfBody(body: unknown): DeleteQuery["options"] {
  if (!isObject(body)) throw badRequest("the body of a delete must be DeleteOptions");
  const kind = body["kind"];
  if (kind !== undefined && kind !== "" && kind !== "DeleteOptions") {
    throw badRequest(`DeleteOptions expected, got ${JSON.stringify(kind)}`);
  }
  const { gracePeriodSeconds, propagationPolicy, orphanDependents, preconditions, dryRun } =
    body as DeleteQuery["options"];
  if (gracePeriodSeconds !== undefined && gracePeriodSeconds !== null && typeof gracePeriodSeconds !== "number") {
    throw badRequest("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64");
  }
  return {
    gracePeriodSeconds: gracePeriodSeconds ?? undefined,
    propagationPolicy: propagationPolicy ?? undefined,
    orphanDependents: orphanDependents ?? undefined,
    preconditions: preconditions ?? undefined,
    dryRun: dryRun ?? undefined,
  };
}

const PATCH_KINDS: Readonly<Record<string, PatchKind>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
};

/** How a patch is to be understood, from its content type. Throws 415. */
export function patchKindOf(contentType: string | undefined, isCustom: boolean): PatchKind {
  const type = (contentType ?? "").split(";", 1)[0]!.trim().toLowerCase();
  const kind = PATCH_KINDS[type];
  if (kind === undefined || (kind === "strategic" && isCustom)) {
    if (kind === undefined) throw statusError("UnsupportedMediaType", "415: Unsupported Media Type", {});
    throw unsupportedMediaType(
      Object.keys(PATCH_KINDS).filter((accepted) => accepted !== "application/strategic-merge-patch+json"),
    );
  }
  return kind;
}

/** The patch's `force` flag. An apply must name its manager; nothing else can be forced. */
export function forceOf(request: ApiRequest, patch: PatchKind): boolean {
  const force = flag(request.query, "force");
  const errors = [];
  if (patch !== "apply" && force !== undefined) {
    errors.push(forbiddenField("force", "may not be specified for non-apply patch"));
  }
  if (patch === "apply" && text(request.query, "fieldManager") === undefined) {
    errors.push(required("fieldManager", "is required for apply patch"));
  }
  if (errors.length > 0) throw invalid({ group: META, kind: "PatchOptions" }, "", errors);
  return force ?? false;
}
