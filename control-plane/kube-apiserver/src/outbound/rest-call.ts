import { isObject, StatusError, statusError, type JsonObject, type StatusReason } from "@coracle/apimachinery";
import { readAnswer } from "./json-answer.ts";
import type { OutboundAnswer, OutboundClient } from "./outbound-client.ts";
import type { OutboundTarget } from "./target.ts";

/** What a peer that answers objects is asked. */
export interface ObjectCall {
  readonly body: unknown;
  /** Told to the peer in whole seconds; the call ends then. Absent: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call without being told to the peer. */
  readonly silentTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** An answer that is a success is not read. */
  readonly ignoresAnswer?: boolean | undefined;
}

const MAX_ERROR_TEXT = 2048;

/** What a status code says by itself: reason, and words. `text`: the answer's own, if it was text. */
const WORDS: Readonly<Record<number, readonly [StatusReason | "", string | undefined]>> = {
  400: ["BadRequest", "the server rejected our request for an unknown reason"],
  401: ["Unauthorized", "the server has asked for the client to provide credentials"],
  403: ["Forbidden", undefined],
  404: ["NotFound", "the server could not find the requested resource"],
  405: ["MethodNotAllowed", "the server does not allow this method on the requested resource"],
  406: ["NotAcceptable", "the server was unable to respond with a content type that the client supports"],
  409: ["AlreadyExists", "the server reported a conflict"],
  415: ["UnsupportedMediaType", undefined],
  422: ["Invalid", "the server rejected our request due to an error in our request"],
  429: ["TooManyRequests", "the server has received too many requests and has asked us to try again later"],
  503: ["ServiceUnavailable", "the server is currently unable to handle the request"],
  504: [
    "Timeout",
    "the server was unable to return a response in the time allotted, but may still be processing the request",
  ],
};

const headerOf = ({ headers }: OutboundAnswer, name: string): string => {
  const value = headers[name];
  return typeof value === "string" ? value : (value?.[0] ?? "");
};

/** The error that a status code stands for when the answer has no Status of its own. */
function genericError(answer: OutboundAnswer): StatusError {
  const type = headerOf(answer, "content-type");
  const isText = type === "" || type.startsWith("text/");
  const body = answer.body.subarray(0, MAX_ERROR_TEXT).toString("utf8");
  const text = isText ? body.trim() : "unknown";
  const { status } = answer;
  const known = WORDS[status];
  const retry = Number(headerOf(answer, "retry-after"));
  const retryAfterSeconds = Number.isInteger(retry) && retry > 0 ? retry : undefined;
  const causes = [{ reason: "UnexpectedServerResponse", message: text }];
  const options = { code: status };
  if (known !== undefined) {
    const [reason, words] = known;
    return statusError(reason, words ?? text, { causes, retryAfterSeconds }, options);
  }
  if (status >= 500) {
    const words = `an error on the server (${JSON.stringify(text)}) has prevented the request from succeeding`;
    return statusError("InternalError", words, { causes, retryAfterSeconds }, options);
  }
  const words = `the server responded with the status code ${status} but did not return more information`;
  return statusError("", words, { causes }, options);
}

/** A Status object in an answer that is no success. */
function statusOf(answer: OutboundAnswer): StatusError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(answer.body.toString("utf8"));
  } catch {
    return undefined;
  }
  if (!isObject(value) || value.kind !== "Status" || value.apiVersion !== "v1" || value.status === "Success") {
    return undefined;
  }
  const code = typeof value.code === "number" && value.code !== 0 ? value.code : answer.status;
  return new StatusError({ ...(value as unknown as StatusError["status"]), code });
}

/** `10s`, `1m30s`, as a query tells how long the caller waits; seconds rounded up. */
export function durationText(ms: number): string {
  const total = Math.ceil(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60), total % 60];
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}

/**
 * Posts an object and reads the one that comes back. Throws an OutboundError when there is no answer, a StatusError
 * for an answer that is no success, and an Error for one that is no object.
 */
export async function postObject(
  client: OutboundClient,
  target: OutboundTarget,
  call: ObjectCall,
): Promise<JsonObject> {
  const query = call.timeoutMs === undefined ? "" : `?timeout=${durationText(call.timeoutMs)}`;
  const answer = await client.call(target, {
    method: "POST",
    path: target.path === "" ? `/${query}` : query,
    headers: { accept: "application/json, */*", "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(call.body)),
    timeoutMs: call.timeoutMs ?? call.silentTimeoutMs,
    signal: call.signal,
  });
  if (answer.status < 200 || answer.status > 206) throw statusOf(answer) ?? genericError(answer);
  if (call.ignoresAnswer === true) return {};
  const type = headerOf(answer, "content-type");
  const media = type.split(";", 1)[0]!.trim().toLowerCase();
  if (media !== "" && !media.includes("/")) throw new Error("mime: no media type");
  if (answer.body.length === 0) {
    throw new Error(
      `0-length response with status code: ${answer.status} and content type: ${type === "" ? "application/json" : type}`,
    );
  }
  return (await readAnswer(answer.body.toString("utf8"))) as JsonObject;
}
