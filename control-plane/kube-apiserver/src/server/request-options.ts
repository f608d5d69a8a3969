import {
  badRequest,
  forbiddenField,
  invalid,
  invalidValue,
  isObject,
  notSupported,
  required,
  statusError,
  tooLong,
  unsupportedMediaType,
  type FieldError,
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
import type { IncludeObject } from "./table/table.ts";

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
function dryRunFaults(values: readonly string[]): FieldError[] {
  return values.some((value) => value !== "All") ? [notSupported("dryRun", values, ["All"])] : [];
}

const FIELD_MANAGER_MAX = 128;

function fieldManagerFaults(asked: string | undefined): FieldError[] {
  if (asked === undefined) return [];
  const errors: FieldError[] = [];
  if (Buffer.byteLength(asked) > FIELD_MANAGER_MAX) errors.push(tooLong("fieldManager", FIELD_MANAGER_MAX));
  let position = 0;
  for (const character of asked) {
    if (!PRINTABLE.test(character)) {
      const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
      const why = `invalid character U+${code} (at position ${position})`;
      errors.push({
        type: "FieldValueInvalid",
        field: "fieldManager",
        message: `Invalid value: ${goQuoted(asked)}: ${why}`,
      });
    }
    position += Buffer.byteLength(character);
  }
  return errors;
}

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

const GO_ESCAPES: Readonly<Record<string, string>> = { "\u0007": "\\a", "\b": "\\b", "\u000b": "\\v" };

/** Text in quotes as Go writes it: some control characters have a letter, the others two digits. */
function goQuoted(value: string): string {
  // oxlint-disable-next-line no-control-regex
  const plain = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f]/g, controlText);
  return `"${plain(value.replaceAll("\\", "\\\\").replaceAll('"', '\\"'))}"`;
}

function controlText(character: string): string {
  const short = GO_ESCAPES[character] ?? { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f" }[character];
  return short ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** The writer's name as managed fields record it: what it says, else the start of its user agent. */
function fieldManagerOf(request: ApiRequest): string {
  const asked = text(request.query, "fieldManager");
  if (asked !== undefined) return asked;
  const agent = request.userAgent.split("/", 1)[0] ?? "";
  return agent === "" ? "unknown" : agent.slice(0, FIELD_MANAGER_MAX);
}

const FIELD_VALIDATIONS: readonly string[] = ["", "Ignore", "Strict", "Warn"];

/** Options of creates, updates and patches. `faults`: what is wrong with the others of the request's options. */
export function writeQuery(request: ApiRequest, kind: string, faults: readonly FieldError[] = []): WriteQuery {
  const fieldValidation = text(request.query, "fieldValidation") ?? "Warn";
  const dryRun = request.query.getAll("dryRun");
  const errors = [
    ...faults,
    ...fieldManagerFaults(text(request.query, "fieldManager")),
    ...dryRunFaults(dryRun),
    ...(FIELD_VALIDATIONS.includes(fieldValidation)
      ? []
      : [notSupported("fieldValidation", fieldValidation, FIELD_VALIDATIONS)]),
  ];
  if (errors.length > 0) throw invalid({ group: META, kind }, "", errors);
  return {
    dryRun: dryRun.length > 0,
    fieldManager: fieldManagerOf(request),
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
  integer(query, "timeoutSeconds");
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

/** Options of patches. An apply must name its manager; nothing else can be forced. */
export function patchQuery(request: ApiRequest, patch: PatchKind): WriteQuery & { readonly force: boolean } {
  const force = flag(request.query, "force");
  const errors = [];
  if (patch !== "apply" && force !== undefined) {
    errors.push(forbiddenField("force", "may not be specified for non-apply patch"));
  }
  if (patch === "apply" && text(request.query, "fieldManager") === undefined) {
    errors.push(required("fieldManager", "is required for apply patch"));
  }
  return { ...writeQuery(request, "PatchOptions", errors), force: force ?? false };
}

/** How much of the object a table's rows carry. */
export function includeObjectOf(request: ApiRequest): IncludeObject {
  const asked = request.query.get("includeObject") ?? "";
  if (asked === "None" || asked === "Object" || asked === "Metadata") return asked;
  if (asked === "") return "Metadata";
  const why = `must be 'Metadata', 'Object', 'None', or empty`;
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(asked)}: ${why}`,
  );
}
