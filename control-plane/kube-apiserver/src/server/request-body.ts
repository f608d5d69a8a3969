import { badRequest, isObject, parseJsonStrict, unsupportedMediaType, type Draft } from "@coracle/apimachinery";
import type { ApiRequest } from "./api-request.ts";
import { bodyMediaType, CONTENT_TYPES, type MediaType } from "./negotiation.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** Longest request body, in bytes. */
export const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

/** The start of a body as refusals quote it. */
function quoted(body: Buffer): string {
  const text = body.subarray(0, 1024).toString("utf8");
  return JSON.stringify(text.length < body.length ? `${text} ...` : text);
}

/** Parses JSON text; failures are 400. `kind`: what was expected, for the message. */
export function parseJsonBody(body: Buffer, kind: string): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    const detail = body.length === 0 ? "unexpected end of JSON input" : (error as Error).message;
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${detail} (${body.length === 0 ? "<empty>" : `${body.subarray(0, 10).toString("hex")}${body.length > 10 ? " ..." : ""}`})`,
    );
  }
}

async function parseYamlBody(body: Buffer, codecs: WireCodecs): Promise<unknown> {
  const yaml = await codecs.yaml();
  try {
    return await yaml.parse(body.toString("utf8"));
  } catch (error) {
    throw badRequest(`error converting YAML to JSON: yaml: ${(error as Error).message}`);
  }
}

/** Members that occur twice in the text are warned of, or refused, as the request wishes. */
function checkDuplicates(request: ApiRequest, body: Buffer, kind: string): void {
  const wish = request.query.get("fieldValidation");
  if (wish === "Ignore") return;
  const { duplicateFields } = parseJsonStrict(body.toString("utf8"));
  if (duplicateFields.length === 0) return;
  if (wish !== "Strict") request.warnings.push(...duplicateFields);
  else {
    throw badRequest(
      `${kind} in version ${JSON.stringify(request.info.version)} cannot be handled as a ${kind}: strict decoding error: ${duplicateFields.join(", ")}`,
    );
  }
}

async function parseBody(media: MediaType, body: Buffer, kind: string, codecs: WireCodecs): Promise<unknown> {
  if (media === "json") return parseJsonBody(body, kind);
  if (media === "yaml") return parseYamlBody(body, codecs);
  try {
    return codecs.protobuf!.decode(body);
  } catch (error) {
    throw badRequest(`the body of the request could not be decoded: ${(error as Error).message}`);
  }
}

/** Reads and parses the object in a request's body. Throws 400, 413, 415. */
export async function readObject(request: ApiRequest, kind: string, codecs: WireCodecs): Promise<Draft> {
  const contentType = request.exchange.header("content-type");
  const media = bodyMediaType(contentType);
  if (media === undefined || (media === "protobuf" && codecs.protobuf === undefined)) {
    throw unsupportedMediaType(acceptedBodies(codecs));
  }
  const body = await request.exchange.readBody(BODY_LIMIT_BYTES);
  const value = await parseBody(media, body, kind, codecs);
  if (media === "json") checkDuplicates(request, body, kind);
  if (!isObject(value)) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: json: cannot unmarshal ${Array.isArray(value) ? "array" : typeof value} into Go value of type struct { APIVersion string; Kind string } (${quoted(body)})`,
    );
  }
  return value;
}

/** The optional DeleteOptions of a delete. */
export async function readDeleteOptions(request: ApiRequest, codecs: WireCodecs): Promise<unknown> {
  const body = await request.exchange.readBody(BODY_LIMIT_BYTES);
  if (body.length === 0) return undefined;
  const media = bodyMediaType(request.exchange.header("content-type"));
  if (media === undefined || (media === "protobuf" && codecs.protobuf === undefined)) {
    throw unsupportedMediaType(acceptedBodies(codecs));
  }
  return parseBody(media, body, "DeleteOptions", codecs);
}

/** A patch's body: JSON, or YAML for apply. */
export async function readPatch(request: ApiRequest, isYaml: boolean, codecs: WireCodecs): Promise<unknown> {
  const body = await request.exchange.readBody(BODY_LIMIT_BYTES);
  // Apply bodies are mostly JSON, which is YAML too: try the cheap parser first.
  if (isYaml && body[0] !== 0x7b) return parseYamlBody(body, codecs);
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    if (isYaml) return parseYamlBody(body, codecs);
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}

function acceptedBodies(codecs: WireCodecs): string[] {
  const media: MediaType[] = ["json", "yaml"];
  if (codecs.protobuf !== undefined) media.push("protobuf");
  return media.map((name) => CONTENT_TYPES[name]);
}
