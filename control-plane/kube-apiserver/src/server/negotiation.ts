import { notAcceptable, statusError } from "@coracle/apimachinery";

export type MediaType = "json" | "yaml" | "protobuf";

/** In which form a client wants the answer. */
export interface Format {
  readonly media: MediaType;
  /** Another kind in place of the object: a table, or its metadata alone. */
  readonly as: "" | "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList";
  /** `v1` or `v1beta1` of meta.k8s.io, of the kind above. */
  readonly asVersion: string;
}

export const CONTENT_TYPES: Readonly<Record<MediaType, string>> = {
  json: "application/json",
  yaml: "application/yaml",
  protobuf: "application/vnd.kubernetes.protobuf",
};

const MEDIA: Readonly<Record<string, MediaType>> = {
  "application/json": "json",
  "application/yaml": "yaml",
  "application/vnd.kubernetes.protobuf": "protobuf",
  "*/*": "json",
};

export const JSON_FORMAT: Format = { media: "json", as: "", asVersion: "" };

interface Clause {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly quality: number;
}

/** Splits an Accept header into its clauses, best first. */
export function parseAccept(header: string): Clause[] {
  return header
    .split(",")
    .map((text): Clause => {
      const [type = "", ...rest] = text.split(";").map((part) => part.trim());
      const parameters: Record<string, string> = {};
      for (const part of rest) {
        const mark = part.indexOf("=");
        if (mark > 0) parameters[part.slice(0, mark).toLowerCase()] = part.slice(mark + 1).replace(/^"(.*)"$/, "$1");
      }
      const quality = Number(parameters["q"] ?? "1");
      return { type: type.toLowerCase(), parameters, quality: Number.isNaN(quality) ? 1 : quality };
    })
    .filter((clause) => clause.type !== "" && clause.quality > 0)
    .toSorted((a, b) => b.quality - a.quality);
}

function transformOf(parameters: Readonly<Record<string, string>>): Pick<Format, "as" | "asVersion"> | undefined {
  const { as, g, v } = parameters;
  if (as === undefined) return { as: "", asVersion: "" };
  if (g !== "meta.k8s.io" || (v !== "v1" && v !== "v1beta1")) return undefined;
  if (as === "Table" || as === "PartialObjectMetadata" || as === "PartialObjectMetadataList")
    return { as, asVersion: v };
  return undefined;
}

/** What a server can write for the resource at hand. */
export interface Offer {
  readonly protobuf: boolean;
  /** Tables and metadata are offered for objects and lists, not for Status, reviews or discovery. */
  readonly transforms: boolean;
  /** Watches are offered where there are lists. */
  readonly streams?: boolean;
}

const acceptedTypes = (offer: Offer): string[] =>
  (["json", "yaml", ...(offer.protobuf ? (["protobuf"] as const) : [])] as MediaType[]).map(
    (media) => CONTENT_TYPES[media],
  );

function choose(header: string, offer: Offer): Format | undefined {
  for (const clause of parseAccept(header)) {
    const media = MEDIA[clause.type];
    if (media === undefined || (media === "protobuf" && !offer.protobuf)) continue;
    const transform = transformOf(clause.parameters);
    if (
      transform === undefined ||
      (transform.as !== "" && (!offer.transforms || (media === "protobuf" && transform.as === "Table")))
    )
      continue;
    return { media, ...transform };
  }
  return undefined;
}

/** Types that are not known at all are refused before anyone looks at their parameters. */
function refusal(header: string, offer: Offer): Error {
  const types = acceptedTypes(offer);
  const isKnown = parseAccept(header).some(({ type }) => {
    const media = MEDIA[type];
    return media !== undefined && (media !== "protobuf" || offer.protobuf);
  });
  if (isKnown) return notAcceptable(types);
  const streams = offer.streams === true ? types.filter((type) => type !== CONTENT_TYPES.yaml) : [];
  return noRepresentation([...types, ...streams.map((type) => `${type};stream=watch`)]);
}

/** 406 of the layer that knows content types only. */
export function noRepresentation(types: readonly string[]): Error {
  return statusError("NotAcceptable", `406: Not Acceptable\n\nAvailable representations: ${types.join(", ")}`, {});
}

/** Refuses a client that wants none of the types that a document comes in. */
export function refuseUnlessAccepted(header: string | undefined, types: readonly string[]): void {
  if (header === undefined || header === "") return;
  const isWanted = parseAccept(header).some(({ type }) => type === "*/*" || types.includes(type));
  if (!isWanted) throw noRepresentation(types);
}

const MAX_KEPT = 512;
/** Longer ones are nobody's habit. */
const MAX_KEPT_LENGTH = 512;
const kept = new Map<string, Format>();

/** Picks the first form a client accepts that the server has. Throws 406. */
export function negotiate(header: string | undefined, offer: Offer): Format {
  if (header === undefined || header === "" || header === "application/json" || header === "*/*") return JSON_FORMAT;
  const key = `${offer.protobuf ? "p" : ""}${offer.transforms ? "t" : ""} ${header}`;
  let format = kept.get(key);
  if (format !== undefined) return format;
  format = choose(header, offer);
  if (format === undefined) throw refusal(header, offer);
  if (kept.size >= MAX_KEPT) kept.clear();
  if (key.length <= MAX_KEPT_LENGTH) kept.set(key, format);
  return format;
}

/** The media type of a request's body; undefined when it is none of ours. No content type means JSON. */
export function bodyMediaType(contentType: string | undefined): MediaType | undefined {
  if (contentType === undefined || contentType === "") return "json";
  const end = contentType.indexOf(";");
  const type = (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  return type.includes("*") ? undefined : MEDIA[type];
}

/** Human-readable JSON was asked for: by `pretty`, or by being a browser or curl. */
export function wantsPretty(query: URLSearchParams, userAgent: string): boolean {
  const asked = query.get("pretty");
  if (asked !== null) return asked !== "false" && asked !== "0";
  return userAgent.startsWith("curl") || userAgent.startsWith("Wget") || userAgent.startsWith("Mozilla/5.0");
}
