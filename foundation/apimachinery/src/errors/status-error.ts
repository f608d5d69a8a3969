import type { Status, StatusCause } from "@coracle/api/meta/v1";

/** Reasons of a failed request, as in `Status.reason`, with the HTTP code that each goes with. */
export const STATUS_REASONS = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  StoreReadError: 500,
  InternalError: 500,
  ServerTimeout: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const satisfies Readonly<Record<string, number>>;

export type StatusReason = keyof typeof STATUS_REASONS;

/** Names the resource an error speaks of. */
export interface ResourceName {
  readonly group: string;
  /** Plural. */
  readonly resource: string;
}

const BRAND = Symbol.for("coracle.StatusError");

/** The one error that crosses components: a Kubernetes `Status` with `status: "Failure"`. */
export class StatusError extends Error {
  readonly [BRAND] = true;
  readonly status: Status;

  constructor(status: Status, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? "unknown error", options);
    this.name = "StatusError";
    this.status = status;
  }

  get code(): number {
    return this.status.code ?? 500;
  }

  get reason(): string {
    return this.status.reason ?? "";
  }

  /** Any thrown value as a StatusError; what is not one becomes an InternalError. */
  static from(error: unknown): StatusError {
    if (isStatusError(error)) return error;
    return internalError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** True for StatusErrors, also those of another copy of this module. With `reason`: of that reason. */
export function isStatusError(error: unknown, ...reasons: readonly StatusReason[]): error is StatusError {
  if (typeof error !== "object" || error === null || !(BRAND in error)) return false;
  return reasons.length === 0 || (reasons as readonly string[]).includes((error as StatusError).reason);
}

export const isNotFound = (error: unknown): boolean => isStatusError(error, "NotFound");
export const isConflict = (error: unknown): boolean => isStatusError(error, "Conflict");
export const isAlreadyExists = (error: unknown): boolean => isStatusError(error, "AlreadyExists");
/** The watch or list must start over. */
export const isExpired = (error: unknown): boolean => isStatusError(error, "Expired", "Gone");

interface Extra {
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly kind?: string | undefined;
  readonly uid?: string | undefined;
  readonly causes?: readonly StatusCause[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** A failure with the code that belongs to `reason`, unless `code` says another. */
export function statusError(
  reason: StatusReason | "",
  message: string,
  details?: Extra,
  options?: ErrorOptions & { readonly code?: number },
): StatusError {
  const code = options?.code ?? (reason === "" ? 500 : STATUS_REASONS[reason]);
  const status: Status = {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    ...(reason === "" ? {} : { reason }),
    ...(details === undefined ? {} : { details: stripUndefined(details) }),
    code,
  };
  return new StatusError(status, options);
}

function stripUndefined(details: Extra): Extra {
  return Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined && value !== ""));
}

/** `deployments.apps`, `pods`: how messages name a resource. */
export function qualifiedResource(resource: ResourceName): string {
  return resource.group === "" ? resource.resource : `${resource.resource}.${resource.group}`;
}

const detailsOf = (resource: ResourceName, name: string): Extra => ({
  name,
  group: resource.group,
  kind: resource.resource,
});

export function notFound(resource: ResourceName, name: string): StatusError {
  return statusError("NotFound", `${qualifiedResource(resource)} "${name}" not found`, detailsOf(resource, name));
}

export function alreadyExists(resource: ResourceName, name: string): StatusError {
  return statusError(
    "AlreadyExists",
    `${qualifiedResource(resource)} "${name}" already exists`,
    detailsOf(resource, name),
  );
}

const MODIFIED = "the object has been modified; please apply your changes to the latest version and try again";

export function conflict(resource: ResourceName, name: string, why = MODIFIED): StatusError {
  return statusError(
    "Conflict",
    `Operation cannot be fulfilled on ${qualifiedResource(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  );
}

export function forbidden(resource: ResourceName, name: string, why: string): StatusError {
  const subject =
    resource.resource === ""
      ? "forbidden"
      : `${qualifiedResource(resource)}${name === "" ? "" : ` "${name}"`} is forbidden`;
  return statusError("Forbidden", `${subject}: ${why}`, detailsOf(resource, name));
}

export function unauthorized(message = "Unauthorized"): StatusError {
  return statusError("Unauthorized", message);
}

export function badRequest(message: string): StatusError {
  return statusError("BadRequest", message);
}

/** 422 with one cause per field error; made by `invalid` in field-error.ts for lists of FieldError. */
export function invalidWithCauses(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  message: string,
  causes: readonly StatusCause[],
): StatusError {
  const qualified = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return statusError("Invalid", `${qualified} "${name}" is invalid${message === "" ? "" : `: ${message}`}`, {
    name,
    group: kind.group,
    kind: kind.kind,
    causes,
  });
}

export function methodNotAllowed(resource: ResourceName, verb: string): StatusError {
  return statusError(
    "MethodNotAllowed",
    `${verb} is not supported on resources of kind "${qualifiedResource(resource)}"`,
    {
      group: resource.group,
      kind: resource.resource,
    },
  );
}

export function notAcceptable(accepted: readonly string[]): StatusError {
  return statusError("NotAcceptable", `only the following media types are accepted: ${accepted.join(", ")}`);
}

export function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return statusError(
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  );
}

export function requestEntityTooLarge(limitBytes: number): StatusError {
  return statusError("RequestEntityTooLarge", `Request entity too large: limit is ${limitBytes}`);
}

export function expired(message: string): StatusError {
  return statusError("Expired", message);
}

export function internalError(message: string, options?: ErrorOptions): StatusError {
  return statusError("InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] }, options);
}

export function serviceUnavailable(message: string, options?: ErrorOptions): StatusError {
  return statusError("ServiceUnavailable", message, undefined, options);
}

export function timeout(message: string, retryAfterSeconds?: number): StatusError {
  return statusError("Timeout", `Timeout: ${message}`, { retryAfterSeconds });
}

export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return statusError("TooManyRequests", message, { retryAfterSeconds });
}
