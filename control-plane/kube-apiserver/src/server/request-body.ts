import { isUtf8 } from "node:buffer";
import {
  badRequest,
  isObject,
  isStatusError,
  duplicateFields,
  strictFields,
  unsupportedMediaType,
  type Draft,
  type StatusError,
} from "@coracle/apimachinery";
import { LONGEST_RARE_YAML, yamlDuplicates } from "@coracle/api";
import type { PatchKind } from "../registry/registry.ts";
import type { ApiRequest } from "./api-request.ts";
import { bodyMediaType, CONTENT_TYPES, type MediaType } from "./negotiation.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** Longest request body, in bytes. */
export const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

const QUOTED_BYTES = 30;

/** The start of a body as refusals quote it: objects as they are, anything else in hexadecimal. */
function quoted(body: Buffer): string {
  if (body.length === 0) return "<empty>";
  const text = body.subarray(0, QUOTED_BYTES).toString(body[0] === 0x7b ? "utf8" : "hex");
  return body.length > QUOTED_BYTES ? `${text} ...` : text;
}

/** What a parser says of malformed JSON, in the words that clients of this API know. */
export function jsonFault(error: unknown, text: string): string {
  const message = (error as Error).message;
  const position = Number(/at position (\d+)/.exec(message)?.[1] ?? NaN);
  if (/unexpected end|unterminated string/i.test(message) || position >= text.trimEnd().length)
    return "unexpected end of JSON input";
  const place = PLACES.find(([pattern]) => pattern.test(message))?.[1] ?? "looking for beginning of value";
  const character = Number.isNaN(position) ? /Unexpected token '(.)'/u.exec(message)?.[1] : text[position];
  return `invalid character ${inSingleQuotes(character ?? text[0] ?? "")} ${place}`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "'": "\\'",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};

/** A character as messages show it. */
function inSingleQuotes(character: string): string {
  const code = character.charCodeAt(0);
  const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const shown = SHORT_ESCAPES[character] ?? (isControl ? `\\u${code.toString(16).padStart(4, "0")}` : character);
  return `'${shown}'`;
}

const PLACES: readonly (readonly [RegExp, string])[] = [
  [/non-whitespace character after JSON/, "after top-level value"],
  [/Bad escaped character/, "in string escape code"],
  [/Bad control character/, "in string literal"],
  [/property name/, "looking for beginning of object key string"],
  [/',' or '}'/, "after object key:value pair"],
  [/',' or ']'/, "after array element"],
  [/':' after/, "after object key"],
];

const unrecognized = (kind: string, why: string, body: Buffer): StatusError =>
  badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why} (${quoted(body)})`);

/** Escapes that may stand for half a character. */
const LONE_SURROGATE = /\\u[dD][89a-fA-F]/;

/** The value without halves of characters, which no other encoding can hold. */
function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return Buffer.from(value, "utf8").toString("utf8");
  if (Array.isArray(value)) return value.map(wellFormed);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, wellFormed(member)]));
}

/** What handles objects calls itself for each level: one that is nested deeper might not be handled to its end. */
const DEEPEST = 1_000;

/** The bracket that goes one level too deep; only long texts can have one. */
function tooDeepAt(body: Buffer): string | undefined {
  if (body.length < 2 * DEEPEST) return undefined;
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    if (isInString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) isInString = false;
    } else if (byte === 0x22) isInString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > DEEPEST) return byte === 0x5b ? "[" : "{";
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return undefined;
}

/** How a number that is too large is written. */
const LARGE_EXPONENT = /-?\d+(?:\.\d+)?[eE]\+?\d{3,}/g;

/** The first number of the text that is too large for one; few texts have what looks like it. */
function overflowIn(text: string, value: unknown): string | undefined {
  if (!/[eE]\+?\d{3}/.test(text) || isFinite(value)) return undefined;
  return text.match(LARGE_EXPONENT)?.find((number) => !Number.isFinite(Number(number)));
}

/** Whether all numbers in the value are. */
function isFinite(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isFinite);
}

/** Parses JSON text; failures are 400. `kind`: what was expected, for the message. */
export function parseJsonBody(body: Buffer, kind: string): unknown {
  const bracket = tooDeepAt(body);
  if (bracket !== undefined) {
    const why = `couldn't get version/kind; json parse error: invalid character '${bracket}' exceeded max depth`;
    throw unrecognized(kind, why, body);
  }
  try {
    const text = body.toString("utf8");
    const value: unknown = JSON.parse(text);
    // Looking for an escape at all is much quicker than looking for these.
    return text.includes("\\u") && LONE_SURROGATE.test(text) ? wellFormed(value) : value;
  } catch (error) {
    const detail = jsonFault(error, body.toString("utf8"));
    throw unrecognized(kind, `couldn't get version/kind; json parse error: ${detail}`, body);
  }
}

async function parseYamlBody(body: Buffer, codecs: WireCodecs, kind?: string): Promise<unknown> {
  const yaml = await codecs.yaml();
  try {
    return await yaml.parse(body.toString("utf8"));
  } catch (error) {
    const why = `yaml: ${(error as Error).message.replace(/^error converting YAML to JSON: (yaml: )?/, "")}`;
    if (kind !== undefined) throw unrecognized(kind, why, body);
    throw badRequest(`error decoding YAML: error converting YAML to JSON: ${why}`);
  }
}

/** Notes the members that the text names more than once, unless the request ignores them. */
async function noteRepeatedFields(request: ApiRequest, media: MediaType, body: Buffer, value: unknown): Promise<void> {
  if (media === "protobuf" || request.query.get("fieldValidation") === "Ignore") return;
  const text = body.toString("utf8");
  if (media === "yaml") {
    const problem = await yamlDuplicates(text, { longestRare: LONGEST_RARE_YAML });
    if (problem !== undefined) request.repeatedFields = { texts: [problem], among: (unknown) => [problem, ...unknown] };
    return;
  }
  const texts = duplicateFields(text, value);
  if (texts.length === 0) return;
  request.repeatedFields = { texts, among: (unknown) => strictFields(text, unknown) };
}

/** For what is answered at once: repeated members are refused, or warned of. */
export function settleRepeatedFields(request: ApiRequest, kind: string): void {
  const texts = request.repeatedFields?.texts ?? [];
  if (texts.length === 0) return;
  if (request.query.get("fieldValidation") !== "Strict") request.warnings.push(...texts);
  else {
    throw badRequest(
      `${kind} in version ${JSON.stringify(request.info.version)} cannot be handled as a ${kind}: strict decoding error: ${texts.join(", ")}`,
    );
  }
}

async function parseBody(media: MediaType, body: Buffer, kind: string, codecs: WireCodecs): Promise<unknown> {
  if (media === "json") return parseJsonBody(body, kind);
  if (media === "yaml") return parseYamlBody(body, codecs, kind);
  if (body.length === 0) throw unrecognized(kind, "empty data", body);
  try {
    return codecs.protobuf!.decode(body);
  } catch (error) {
    throw unrecognized(kind, (error as Error).message, body);
  }
}

const TYPED_VALUE =
  'value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

const jsonTypeOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;

/** The body, once it is its turn to be worked on. Throws 413, 429. */
async function readWhole(request: ApiRequest): Promise<Buffer> {
  const body = await request.exchange.readBody(BODY_LIMIT_BYTES);
  request.bodyBytes = body.length;
  const turn = request.longBodies?.enter(request.user.name, body.length);
  if (turn !== undefined) request.onFinish.push(await turn);
  return body;
}

/** Reads and parses the object in a request's body. Throws 400, 413, 415. */
export async function readObject(request: ApiRequest, kind: string, codecs: WireCodecs): Promise<Draft> {
  const contentType = request.exchange.header("content-type");
  const media = bodyMediaType(contentType);
  if (media === undefined || (media === "protobuf" && codecs.protobuf === undefined)) {
    throw unsupportedMediaType(acceptedBodies(codecs));
  }
  const body = await readWhole(request);
  const value = await parseBody(media, body, kind, codecs);
  await noteRepeatedFields(request, media, body, value);
  // Nothing at all is an object without members.
  if (value === null || value === undefined) return {};
  const cannot = (what: string, where: string): StatusError =>
    unrecognized(
      kind,
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${what} into Go ${where}`,
      body,
    );
  if (!isObject(value)) throw cannot(Array.isArray(value) ? "array" : typeof value, TYPED_VALUE);
  for (const [member, given] of Object.entries(value)) {
    if (
      (member === "kind" || member === "apiVersion") &&
      given !== undefined &&
      given !== null &&
      typeof given !== "string"
    )
      throw cannot(jsonTypeOf(given), `struct field .${member} of type string`);
  }
  const { apiVersion } = value;
  if (typeof apiVersion === "string" && apiVersion.split("/").length > 2)
    throw unrecognized(kind, `unexpected GroupVersion string: ${apiVersion}`, body);
  return value;
}

/** The optional DeleteOptions of a delete. */
export async function readDeleteOptions(request: ApiRequest, codecs: WireCodecs): Promise<unknown> {
  const body = await readWhole(request);
  if (body.length === 0) return undefined;
  const media = bodyMediaType(request.exchange.header("content-type"));
  if (media === undefined || (media === "protobuf" && codecs.protobuf === undefined)) {
    throw unsupportedMediaType(acceptedBodies(codecs));
  }
  let options: unknown;
  try {
    options = await parseBody(media, body, "DeleteOptions", codecs);
  } catch (error) {
    throw withoutTheKind(error);
  }
  if (options === null) return undefined;
  checkDeleteOptionsType(options);
  return options;
}

/** Options are said to be faulty without what was expected and what was sent. */
function withoutTheKind(error: unknown): unknown {
  if (!isStatusError(error, "BadRequest")) return error;
  return badRequest(
    error.message
      .replace(/^the object provided is unrecognized \(must be of type \w+\): /, "")
      .replace(/ \([^()]*\)$/, ""),
  );
}

function checkDeleteOptionsType(options: unknown): void {
  const cannot = (what: string, where: string): StatusError =>
    badRequest(`couldn't get version/kind; json parse error: json: cannot unmarshal ${what} into Go ${where}`);
  if (!isObject(options)) throw cannot(jsonTypeOf(options), TYPED_VALUE);
  for (const member of ["kind", "apiVersion"] as const) {
    const given = options[member];
    if (given !== undefined && given !== null && typeof given !== "string")
      throw cannot(jsonTypeOf(given), `struct field .${member} of type string`);
  }
  const { kind, apiVersion } = options;
  if (typeof kind === "string" && kind !== "" && kind !== "DeleteOptions") {
    const version = typeof apiVersion === "string" && apiVersion !== "" ? apiVersion : "meta.k8s.io/v1";
    throw badRequest(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "pkg/runtime/scheme.go:111"`,
    );
  }
}

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const NOT_IN_YAML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff]/;
/** An escape for half a character, its backslash not escaped itself. */
const HALF_ESCAPED = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/;

/** YAML, also where it looks like JSON, is text of whole and visible characters. */
function checkYamlText(body: Buffer): void {
  const text = body.toString("utf8");
  const why = !isUtf8(body)
    ? "invalid leading UTF-8 octet"
    : NOT_IN_YAML.test(text)
      ? "control characters are not allowed"
      : text.includes("\\u") && HALF_ESCAPED.test(text)
        ? "found invalid Unicode character escape code"
        : undefined;
  if (why !== undefined) throw badRequest(`error decoding YAML: error converting YAML to JSON: yaml: ${why}`);
}

/** A patch's body: JSON, or YAML for apply. */
export async function readPatch(request: ApiRequest, kind: PatchKind, codecs: WireCodecs): Promise<unknown> {
  const isYaml = kind === "apply";
  const body = await readWhole(request);
  if (isYaml) checkYamlText(body);
  // Apply bodies are mostly JSON, which is YAML too: try the cheap parser first.
  if (isYaml && body[0] !== 0x7b) return readApply(request, body, codecs);
  const bracket = tooDeepAt(body);
  if (bracket !== undefined)
    throw badRequest(`error decoding patch: invalid character '${bracket}' exceeded max depth`);
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (error) {
    if (isYaml) return readApply(request, body, codecs);
    const fault = jsonFault(error, body.toString("utf8"));
    throw badRequest(kind === "strategic" ? fault : `error decoding patch: ${fault}`);
  }
  const overflow = isYaml ? undefined : overflowIn(body.toString("utf8"), value);
  if (overflow !== undefined) {
    const fault = `json: cannot unmarshal number ${overflow} into Go value of type float64`;
    throw badRequest(kind === "strategic" ? fault : `error decoding patch: ${fault}`);
  }
  await notePatchedTwice(request, kind, body, { value });
  return value;
}

async function readApply(request: ApiRequest, body: Buffer, codecs: WireCodecs): Promise<unknown> {
  const value = await parseYamlBody(body, codecs);
  await notePatchedTwice(request, "apply", body);
  return value;
}

/** Members that a patch names more than once. `json`: what the body says, read as JSON, which patches of all kinds may be. */
async function notePatchedTwice(
  request: ApiRequest,
  kind: PatchKind,
  body: Buffer,
  json?: { readonly value: unknown },
): Promise<void> {
  const wish = request.query.get("fieldValidation");
  if (wish === "Ignore") return;
  const text = body.toString("utf8");
  const repeated = json === undefined ? undefined : duplicateFields(text, json.value);
  if (kind !== "apply") {
    const isJsonPatch = request.exchange.header("content-type")?.startsWith("application/json-patch+json") === true;
    const texts = (repeated ?? []).map((field) => (isJsonPatch ? `json patch ${field}` : field));
    if (texts.length > 0) request.repeatedFields = { texts, among: (unknown) => [...texts, ...unknown] };
    return;
  }
  const problem = repeated?.length === 0 ? undefined : await yamlDuplicates(text, { longestRare: LONGEST_RARE_YAML });
  if (problem === undefined) return;
  const why = `error converting YAML to JSON: ${problem}`;
  if (wish === "Strict") throw badRequest(`error strict decoding YAML: ${why}`);
  request.warnings.push(why);
}

function acceptedBodies(codecs: WireCodecs): string[] {
  const media: MediaType[] = ["json", "yaml"];
  if (codecs.protobuf !== undefined) media.push("protobuf");
  return media.map((name) => CONTENT_TYPES[name]);
}
