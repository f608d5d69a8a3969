import type { Status } from "@coracle/api/meta/v1";
import type { AuditLevel, AuditStage } from "./policy.ts";

/** Somebody, as events name him. */
export interface AuditUser {
  readonly username?: string | undefined;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What a request is about. */
export interface AuditObjectReference {
  resource?: string | undefined;
  namespace?: string | undefined;
  name?: string | undefined;
  uid?: string | undefined;
  apiGroup?: string | undefined;
  apiVersion?: string | undefined;
  resourceVersion?: string | undefined;
  subresource?: string | undefined;
}

/** JSON text that is put into an event as it is. */
export type JsonText = string & { readonly __json?: never };

/** An event of `audit.k8s.io/v1`, in the order of upstream's fields. */
export interface AuditEvent {
  readonly level: AuditLevel;
  readonly auditID: string;
  readonly stage: AuditStage;
  readonly requestURI: string;
  readonly verb: string;
  readonly user: AuditUser;
  readonly impersonatedUser?: AuditUser | undefined;
  readonly sourceIPs?: readonly string[] | undefined;
  readonly userAgent?: string | undefined;
  readonly objectRef?: AuditObjectReference | undefined;
  readonly responseStatus?: (Partial<Omit<Status, "metadata">> & { readonly metadata: object }) | undefined;
  readonly requestObject?: JsonText | undefined;
  readonly responseObject?: JsonText | undefined;
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The event as JSON, without its type: as an item of a list. */
function fieldsOf(event: AuditEvent): string {
  const { requestObject, responseObject, requestReceivedTimestamp, stageTimestamp, annotations, ...head } = event;
  const start = JSON.stringify(head).slice(1, -1);
  const request = requestObject === undefined ? "" : `,"requestObject":${requestObject}`;
  const response = responseObject === undefined ? "" : `,"responseObject":${responseObject}`;
  const end = JSON.stringify({ requestReceivedTimestamp, stageTimestamp, annotations }).slice(1);
  return `${start}${request}${response},${end}`;
}

/** The event as JSON. */
export const encodeEvent = (event: AuditEvent): JsonText =>
  `{"kind":"Event","apiVersion":"audit.k8s.io/v1",${fieldsOf(event)}`;

/** Events as one object of JSON. */
export const encodeEventList = (events: readonly AuditEvent[]): JsonText =>
  `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${events.map((event) => `{${fieldsOf(event)}`).join(",")}]}`;

const quote = (text: string): string => JSON.stringify(text);
const quoteAll = (texts: readonly string[]): string => texts.map(quote).join(",");

/** The event as one line of text, in the form that came before JSON. */
export function legacyLine(event: AuditEvent): string {
  const { user, impersonatedUser: as, objectRef, responseStatus } = event;
  const hasUser = (user.username ?? "") !== "";
  const groups = hasUser && (user.groups?.length ?? 0) > 0 ? quoteAll(user.groups ?? []) : "<none>";
  const asGroups = as?.groups === undefined ? "<lookup>" : quoteAll(as.groups);
  const time = event.requestReceivedTimestamp.replace(/\.?0+Z$/, "Z");
  const parts: readonly (readonly [string, string])[] = [
    ["id", quote(event.auditID)],
    ["stage", quote(event.stage)],
    ["ip", quote(event.sourceIPs?.[0] ?? "<unknown>")],
    ["method", quote(event.verb)],
    ["user", quote(hasUser ? (user.username ?? "") : "<none>")],
    ["groups", quote(groups)],
    ["as", quote(as?.username ?? "<self>")],
    ["asgroups", quote(asGroups)],
    ["user-agent", quote(event.userAgent ?? "")],
    ["namespace", quote(objectRef?.namespace ?? "<none>")],
    ["uri", quote(event.requestURI)],
    ["response", `"${responseStatus === undefined ? "<deferred>" : String(responseStatus.code ?? 0)}"`],
  ];
  return `${time} AUDIT: ${parts.map(([name, text]) => `${name}=${text}`).join(" ")}`;
}
