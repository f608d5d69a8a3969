import { isObject, statusError, StatusError } from "@coracle/apimachinery";
import { checkMembers } from "../../outbound/json-answer.ts";

/** What a webhook said, checked. */
export interface AdmissionVerdict {
  readonly isAllowed: boolean;
  /** Bytes of a JSON patch; undefined: none. */
  readonly patch: Buffer | undefined;
  readonly patchType: string;
  readonly result: Record<string, unknown> | undefined;
  readonly warnings: readonly string[];
  readonly auditAnnotations: readonly (readonly [string, string])[];
}

const typeText = (review: Record<string, unknown>): string => {
  const apiVersion = typeof review.apiVersion === "string" ? review.apiVersion : "";
  const kind = typeof review.kind === "string" ? review.kind : "";
  return `${apiVersion.includes("/") ? apiVersion : `/${apiVersion}`}, Kind=${kind}`.replace(/^\/(.+), /, "/$1, ");
};

const GROUP = "admission.k8s.io";

/** Reads the review that came back. Throws an Error that says what is wrong with it, in upstream's words. */
export function readReview(answer: Record<string, unknown>, version: "v1" | "v1beta1"): Record<string, unknown> {
  const { apiVersion, kind } = answer;
  const expected = `${GROUP}/${version}`;
  const isUntyped = apiVersion === undefined || kind === undefined || apiVersion === "" || kind === "";
  if (isUntyped || (apiVersion === expected && kind === "AdmissionReview")) {
    checkForm(answer);
    return answer;
  }
  const other = version === "v1" ? "v1beta1" : "v1";
  if (apiVersion === `${GROUP}/${other}` && kind === "AdmissionReview") {
    throw new Error(`converting (${other}.AdmissionReview) to (${version}.AdmissionReview): unknown conversion`);
  }
  throw new Error(
    `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
  );
}

/** Throws an Error for members of other forms than a review has. */
function checkForm(review: Record<string, unknown>): void {
  checkMembers(review, { response: ["object", "v1.AdmissionResponse"] }, "AdmissionReview", "");
  const { response } = review;
  if (!isObject(response)) return;
  checkMembers(response, RESPONSE, "AdmissionResponse", "response.");
  if (isObject(response.status)) checkMembers(response.status, STATUS, "Status", "response.status.");
}

const RESPONSE = {
  uid: ["string", "types.UID"],
  allowed: "bool",
  status: ["object", "v1.Status"],
  patch: "bytes",
  patchType: ["string", "v1.PatchType"],
  auditAnnotations: "stringMap",
  warnings: "strings",
} as const;

const STATUS = { message: "string", reason: ["string", "v1.StatusReason"], code: "int32", status: "string" } as const;

/** Checks a review's response. Throws an Error with upstream's text. */
export function verifyResponse(
  review: Record<string, unknown>,
  uid: string,
  version: "v1" | "v1beta1",
  isMutating: boolean,
): AdmissionVerdict {
  const { response } = review;
  if (!isObject(response)) throw new Error("webhook response was absent");
  const patchText = typeof response.patch === "string" ? response.patch : "";
  const patch = patchText === "" ? undefined : Buffer.from(patchText, "base64");
  const { patchType } = response;
  if (version === "v1") {
    if (response.uid !== uid) {
      const got = typeof response.uid === "string" ? response.uid : "";
      throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(got)}`);
    }
    const expected = `${GROUP}/v1, Kind=AdmissionReview`;
    if (typeText(review) !== expected) {
      throw new Error(`expected webhook response of ${expected}, got ${typeText(review)}`);
    }
    checkPatch(patch, patchType, isMutating);
  }
  const annotations = isObject(response.auditAnnotations) ? Object.entries(response.auditAnnotations) : [];
  return {
    isAllowed: response.allowed === true,
    patch: isMutating ? patch : undefined,
    patchType: version === "v1beta1" ? "JSONPatch" : typeof patchType === "string" ? patchType : "",
    result: isObject(response.status) ? response.status : undefined,
    warnings: Array.isArray(response.warnings) ? response.warnings.filter((one) => typeof one === "string") : [],
    auditAnnotations: annotations.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  };
}

function checkPatch(patch: Buffer | undefined, patchType: unknown, isMutating: boolean): void {
  const hasType = patchType !== undefined && patchType !== null;
  if (!isMutating) {
    if (patch !== undefined) throw new Error("validating webhook may not return response.patch");
    if (hasType) throw new Error("validating webhook may not return response.patchType");
    return;
  }
  if (patch !== undefined && !hasType) {
    throw new Error("webhook returned response.patch but not response.patchType");
  }
  if (patch === undefined && hasType) {
    throw new Error("webhook returned response.patchType but not response.patch");
  }
  if (patchType === "") throw new Error('webhook returned invalid response.patchType of ""');
}

const BAD_REQUEST = 400;

/** The refusal that the client gets: the webhook's own code, reason and details, its message after whose it is. */
export function denial(webhook: string, result: Record<string, unknown> | undefined): StatusError {
  const deniedBy = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const { message, reason, code, status, details, metadata } = result ?? {};
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const why = text(message) === "" ? text(reason) : text(message);
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: isObject(metadata) ? metadata : {},
    status: text(status) === "" || status === "Success" ? "Failure" : text(status),
    message: why === "" ? `${deniedBy} without explanation` : `${deniedBy}: ${why}`,
    ...(text(reason) === "" ? {} : { reason: text(reason) }),
    ...(isObject(details) ? { details } : {}),
    code: typeof code === "number" && code >= BAD_REQUEST ? code : BAD_REQUEST,
  } as unknown as StatusError["status"]);
}

/** A dry run meets a webhook that would have side effects. */
export const dryRunUnsupported = (webhook: string): StatusError =>
  statusError("BadRequest", `admission webhook ${JSON.stringify(webhook)} does not support dry run`);
