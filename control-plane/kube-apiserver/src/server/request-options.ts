import {
  badRequest,
  forbiddenField,
  invalid,
  invalidValue,
  isObject,
  notSupported,
  required,
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
  if (text === null || text === "") return undefined;
  if (!/^-?\d+$/.test(text)) {
    throw badRequest(`unable to decode query: strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
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
  const values = query.getAll("dryRun").filter((value) => value !== "");
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

const FIELD_VALIDATIONS: readonly string[] = ["Ignore", "Warn", "Strict"];

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
    resourceVersion: text(query, "resourceVersion"),
    resourceVersionMatch: text(query, "resourceVersionMatch"),
  };
}

/** Options of watches. */
export function watchQuery(request: ApiRequest): WatchQuery & { readonly timeoutSeconds: number | undefined } {
  const { query } = request;
  const sendInitialEvents = flag(query, "sendInitialEvents");
  return {
    ...listQuery(request),
    allowWatchBookmarks: flag(query, "allowWatchBookmarks") ?? false,
    sendInitialEvents,
    timeoutSeconds: integer(query, "timeoutSeconds"),
  };
}

/** Options of deletes: from the body when there is one, else from the URL. */
export function deleteQuery(request: ApiRequest, body: unknown): DeleteQuery {
  const { query } = request;
  if (body !== undefined && !isObject(body)) throw badRequest("the body of a delete must be DeleteOptions");
  const fromQuery = {
    gracePeriodSeconds: integer(query, "gracePeriodSeconds"),
    propagationPolicy: text(query, "propagationPolicy"),
    orphanDependents: flag(query, "orphanDependents"),
    dryRun: dryRunOf(query, "DeleteOptions") ? ["All"] : undefined,
  };
  if (body === undefined) return { options: fromQuery };
  const kind = body["kind"];
  if (kind !== undefined && kind !== "" && kind !== "DeleteOptions") {
    throw badRequest(`DeleteOptions expected, got ${JSON.stringify(kind)}`);
  }
  const options = body as DeleteQuery["options"];
  const errors = [];
  const { dryRun, gracePeriodSeconds, propagationPolicy, orphanDependents } = options;
  if (dryRun !== undefined && dryRun.some((value) => value !== "All"))
    errors.push(notSupported("dryRun", dryRun, ["All"]));
  if (propagationPolicy !== undefined && !["Orphan", "Background", "Foreground"].includes(propagationPolicy)) {
    errors.push(notSupported("propagationPolicy", propagationPolicy, ["Background", "Foreground", "Orphan"]));
  }
  if (propagationPolicy !== undefined && orphanDependents !== undefined && orphanDependents !== null) {
    errors.push(
      invalidValue(
        "propagationPolicy",
        propagationPolicy,
        "orphanDependents and deletionPropagation cannot be both set",
      ),
    );
  }
  if (gracePeriodSeconds !== undefined && gracePeriodSeconds !== null && typeof gracePeriodSeconds !== "number") {
    throw badRequest("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64");
  }
  if (errors.length > 0) throw invalid({ group: META, kind: "DeleteOptions" }, "", errors);
  return {
    options: {
      gracePeriodSeconds: gracePeriodSeconds ?? fromQuery.gracePeriodSeconds,
      propagationPolicy:
        propagationPolicy ?? (orphanDependents === undefined ? fromQuery.propagationPolicy : undefined),
      orphanDependents: orphanDependents ?? fromQuery.orphanDependents,
      preconditions: options.preconditions,
      dryRun: dryRun ?? fromQuery.dryRun,
    },
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
    throw unsupportedMediaType(
      Object.keys(PATCH_KINDS).filter((accepted) => !isCustom || accepted !== "application/strategic-merge-patch+json"),
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
