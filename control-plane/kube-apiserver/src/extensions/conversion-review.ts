import type { WebhookConversion } from "@coracle/api/apiextensions/v1";
import {
  cloneJson,
  isObject,
  statusError,
  validateAnnotations,
  validateLabels,
  type Draft,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";

/** Calls a conversion webhook: posts the review, answers the parsed JSON that came back. Throws why it could not. */
export type ConversionCaller = (
  definition: string,
  config: NonNullable<WebhookConversion["clientConfig"]>,
  review: Draft,
) => Promise<unknown>;

const REVIEW_GROUP = "apiextensions.k8s.io";
const KNOWN_VERSIONS = ["v1beta1", "v1"];

/** How objects of one definition are converted. */
export interface ConverterOptions {
  readonly definition: string;
  readonly webhook: WebhookConversion;
  readonly call: ConversionCaller;
  readonly newUid: () => string;
}

/** Objects in another version; in their order. Throws a StatusError of code 500 with upstream's text. */
export type Converter = (objects: readonly ApiObject[], apiVersion: string) => Promise<readonly ApiDraft[]>;

/** One failure of a conversion, as the API tells it. */
const failure = (message: string): Error => statusError("", message);

/** Converts by the definition's webhook; objects that are of the version already are copied. */
export function createConverter({ definition, webhook, call, newUid }: ConverterOptions): Converter {
  const version = webhook.conversionReviewVersions.find((one) => KNOWN_VERSIONS.includes(one));
  return async (objects, apiVersion) => {
    const others = objects.filter((object) => object["apiVersion"] !== apiVersion);
    const [first] = others;
    if (first === undefined) return objects.map((object) => cloneJson(object) as ApiDraft);
    if (version === undefined) throw failure("no supported conversion review versions");
    const isList = objects.length > 1;
    const subject = `conversion webhook for ${textOf(first["apiVersion"])}, Kind=${textOf(first["kind"])}${isList ? "List" : ""}`;
    const uid = newUid();
    const request = { uid, desiredAPIVersion: apiVersion, objects: others };
    const review = { kind: "ConversionReview", apiVersion: `${REVIEW_GROUP}/${version}`, request };
    let converted: readonly unknown[];
    try {
      const config = webhook.clientConfig;
      if (config === undefined) throw new Error("no client configuration");
      converted = convertedObjects(await call(definition, config, review), version, uid);
    } catch (error) {
      throw failure(`${subject} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (converted.length !== others.length) {
      throw failure(`${subject} returned ${converted.length} objects, expected ${others.length}`);
    }
    let at = 0;
    return objects.map((object) => {
      if (object["apiVersion"] === apiVersion) return cloneJson(object) as ApiDraft;
      const index = at++;
      return checkConverted(object, converted[index], apiVersion, (isMeta) =>
        isList
          ? `${subject} returned invalid ${isMeta ? "metadata in" : "converted"} object at index ${index}`
          : `${subject} returned invalid ${isMeta ? "metadata" : "object"}`,
      );
    });
  };
}

/** The objects in a webhook's answer. */
function convertedObjects(answer: unknown, version: string, uid: string): readonly unknown[] {
  const { kind, apiVersion, response } = isObject(answer) ? answer : {};
  if (version === "v1" && (kind !== "ConversionReview" || apiVersion !== `${REVIEW_GROUP}/v1`)) {
    const got = `${typeof apiVersion === "string" && apiVersion.includes("/") ? apiVersion : `/${textOf(apiVersion)}`}, Kind=${textOf(kind)}`;
    throw new Error(`expected webhook response of ${REVIEW_GROUP}/v1, Kind=ConversionReview, got ${got}`);
  }
  if (!isObject(response)) throw new Error("no response provided");
  if (version === "v1" && response.uid !== uid) {
    throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(textOf(response.uid))}`);
  }
  const result = isObject(response.result) ? response.result : {};
  if (result.status !== "Success") {
    const message = textOf(result.message);
    throw new Error(message === "" ? `response.result.status was '${textOf(result.status)}', not 'Success'` : message);
  }
  return Array.isArray(response.convertedObjects) ? (response.convertedObjects as unknown[]) : [];
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const groupVersion = (object: Draft): string => textOf(object.apiVersion);

/** What a webhook returned for an object, with the object's own metadata but for labels and annotations. */
function checkConverted(
  original: ApiObject,
  converted: unknown,
  apiVersion: string,
  head: (isMeta: boolean) => string,
): ApiDraft {
  const refuse = (why: string, isMeta = false): never => {
    throw failure(`${head(isMeta)}: ${why}`);
  };
  if (!isObject(converted)) return refuse("Object 'Kind' is missing");
  if (groupVersion(converted) !== apiVersion) {
    refuse(`invalid groupVersion (expected ${apiVersion}, received ${groupVersion(converted)})`);
  }
  if (converted.kind !== original["kind"]) {
    refuse(`invalid kind (expected ${textOf(original["kind"])}, received ${textOf(converted.kind)})`);
  }
  const metadata = isObject(converted.metadata) ? converted.metadata : {};
  const same = (what: string, a: unknown, b: unknown): void => {
    if (textOf(a) !== textOf(b)) refuse(`must have the same ${what}: ${textOf(a)} != ${textOf(b)}`);
  };
  same("name", original.metadata["name"], metadata.name);
  same("namespace", original.metadata["namespace"], metadata.namespace);
  same("UID", original.metadata["uid"], metadata.uid);
  if (converted.metadata === undefined) refuse("missing metadata in converted object", true);
  const own = cloneJson(original.metadata) as Draft;
  for (const field of ["labels", "annotations"] as const) {
    const given = metadata[field];
    if (given === undefined || given === null) {
      delete own[field];
      continue;
    }
    if (!isObject(given)) {
      refuse(`invalid metadata.${field} of type ${typeof given} in converted object`, true);
      continue;
    }
    for (const [key, value] of Object.entries(given)) {
      if (typeof value === "string") continue;
      refuse(`metadata.${field}[${key}] must be a string, but is ${typeof value} in converted object`, true);
    }
    const values = given as Record<string, string>;
    const errors =
      field === "labels"
        ? validateLabels(values, "metadata.labels")
        : validateAnnotations(values, "metadata.annotation");
    if (errors.length > 0) {
      const texts = errors.map((error) => `${error.field}: ${error.message}`);
      refuse(texts.length === 1 ? texts.join() : `[${texts.join(", ")}]`, true);
    }
    own[field] = given;
  }
  return { ...converted, metadata: own };
}
