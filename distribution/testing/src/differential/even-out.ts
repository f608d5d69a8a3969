import { decodeKubernetes, decodeWatchFrame, isKubernetesProtobuf } from "@coracle/api";
import { gunzipSync } from "node:zlib";
import type { Reply } from "./connection.ts";

/** An answer in the form in which two servers' are compared. */
export interface EvenAnswer {
  readonly code: number;
  readonly type: string;
  /** How the body came: `gzip`, or absent. */
  readonly encoding?: string;
  readonly warnings: readonly string[];
  readonly body: unknown;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z|( \+0000 UTC))?( m=\+[\d.]+)?/g;
const AGE = /^(<invalid>|(\d+[dhms])+)$/;
const NEAR_MS = 3 * 3_600_000;

/** Text without what no two servers share. */
function evenText(text: string): string {
  return (
    text
      .replaceAll(UUID, "<uid>")
      .replaceAll(TIME, (time) =>
        Math.abs(Date.parse(time.replace(" ", "T").replace(/ .*$/, "Z")) - Date.now()) < NEAR_MS ? "<time>" : time,
      )
      .replaceAll(/(resource version: )\d+/gi, "$1<version>")
      .replaceAll(/(current: )\d+/g, "$1<version>")
      .replaceAll(/(match the ResourceVersion in record \()\d+/g, "$1<version>")
      .replaceAll(/(ResourceVersion in object meta: )\d+/g, "$1<version>")
      .replaceAll(/\b(192\.0\.2\.1|127\.0\.0\.1):\d+/g, "$1:<port>")
      .replaceAll(/X509SHA256=[0-9a-f]{64}/g, "X509SHA256=<hash>")
      // What changed, as Go prints its own structures.
      .replaceAll(/(may not change fields other than [^\n{]*?|are forbidden)(?:\n[\s\S]*|\])$/g, "$1")
      .replaceAll(/(?:\n[ +\-@][^\n]*)+\n(?=, |\]|$)/g, "")
      .replaceAll(/\b(\d+):3[0-2]\d\d\d\/(TCP|UDP|SCTP)/g, "$1:<port>/$2")
      .replaceAll(/((?:nodePort|healthCheckNodePort): )3[0-2]\d\d\d\b/g, "$1<port>")
      .replaceAll(/kube-api-access-[a-z0-9]{5}/g, "kube-api-access-<suffix>")
      .replaceAll(/\b10\.96\.\d+\.\d+\b/g, "<cluster ip>")
      .replaceAll(/\bdiff-generated-[a-z0-9]{5}\b/g, "diff-generated-<suffix>")
      .replaceAll(/"resourceVersion": ?"\d+"/g, '"resourceVersion":"<version>"')
  );
}

/** What tells one build of a server from another. */
const BUILD_MEMBERS: readonly string[] = [
  "buildDate",
  "compiler",
  "gitCommit",
  "gitTreeState",
  "gitVersion",
  "goVersion",
  "platform",
];

/**
 * Objects in messages: upstream prints some in Go's own form, with members that are empty and names that no API has. They are
 * compared by what they say.
 */
function evenQuoted(text: string): string {
  return text
    .replaceAll(/Invalid value: ("\{(?:[^"\\]|\\.)*")/g, (whole, quoted: string) => {
      try {
        return `Invalid value: ${JSON.stringify(even(JSON.parse(JSON.parse(quoted) as string)))}`;
      } catch {
        return whole;
      }
    })
    .replaceAll(
      /(Invalid value|Unsupported value): (\{.*?\}|\[.*?\]|null)(?=: )/g,
      (whole, what: string, dump: string) => {
        try {
          return `${what}: ${JSON.stringify(substance(JSON.parse(dump)) ?? {})}`;
        } catch {
          return whole;
        }
      },
    );
}

const isMembers = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a value says, whatever its members are called in upper or lower case; undefined for nothing. */
function substance(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => substance(item) ?? {});
    return items.length === 0 ? undefined : items;
  }
  if (value === null || value === "" || value === 0 || value === false) return undefined;
  if (typeof value !== "object") return value;
  // The metadata of a template stands among its members in Go's form.
  const { metadata, ...others } = value as { readonly metadata?: unknown };
  const all = isMembers(metadata) ? { ...metadata, ...others } : value;
  const members = Object.entries(all)
    .map(([key, member]) => [key.toLowerCase(), substance(member)] as const)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

function withoutProse(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutProse);
  if (value === null || typeof value !== "object") return value;
  const members = Object.entries(value).filter(([key, member]) => key !== "description" || typeof member !== "string");
  return Object.fromEntries(members.map(([key, member]) => [key, withoutProse(member)]));
}

interface ManagedBy {
  readonly manager?: string;
}

/** What a server's own controllers write, at their own time. */
const OWN_CONTROLLERS = /^(api-priority-and-fairness|kube-apiserver)/;
const KINDS_WITH_CONTROLLERS: ReadonlySet<unknown> = new Set([
  "FlowSchema",
  "PriorityLevelConfiguration",
  "CustomResourceDefinition",
  "APIService",
  "ServiceCIDR",
]);

/** The object without what the server's own controllers say of it. */
function withoutOwnStatus(value: object): object {
  const { kind } = value as { kind?: unknown };
  if (typeof kind === "string" && KINDS_WITH_CONTROLLERS.has(kind)) return { ...value, status: undefined };
  if (typeof kind !== "string" || !kind.endsWith("List") || !KINDS_WITH_CONTROLLERS.has(kind.slice(0, -4)))
    return value;
  const { items } = value as { items?: readonly object[] };
  return { ...value, items: items?.map((item) => ({ ...item, status: undefined })) };
}

function evenMember(key: string, value: unknown): unknown {
  if (BUILD_MEMBERS.includes(key) || (key === "info" && typeof value === "object")) return "<build>";
  // Documentation is each project's own.
  if (key === "definitions" || key === "components") return even(withoutProse(value));
  if (key === "resourceVersion" && typeof value === "string" && /^\d+$/.test(value) && value !== "0")
    return "<version>";
  if (key === "continue" && typeof value === "string" && value !== "") return "<continue>";
  if (
    (key === "targetPort" || key === "nodePort" || key === "healthCheckNodePort") &&
    typeof value === "number" &&
    value >= 30_000
  )
    return "<port>";
  if (key === "columnDefinitions" && Array.isArray(value))
    return value.map((column: object) => even({ ...column, description: "<prose>" }));
  // Those of one second stand in no order.
  if (key === "managedFields" && Array.isArray(value))
    return value
      .filter((entry: ManagedBy) => !OWN_CONTROLLERS.test(entry.manager ?? ""))
      .map(even)
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (key === "cells" && Array.isArray(value))
    return value.map((cell) => (typeof cell === "string" && AGE.test(cell) ? "<age>" : even(cell)));
  return even(value);
}

function even(value: unknown): unknown {
  if (typeof value === "string") return evenText(/ported value|nvalid value/.test(value) ? evenQuoted(value) : value);
  if (Array.isArray(value)) return value.map(even);
  if (value === null || typeof value !== "object") return value;
  const members = Object.entries(withoutOwnStatus(value)).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [evenText(key), evenMember(key, member)]));
}

const plainText = (body: Buffer): string =>
  evenText(body.toString("utf8"))
    .replaceAll(/^( *)"\.":/gm, "$1.:")
    .replaceAll(/(resourceVersion: )"\d+"/g, '$1"<version>"');

function readFrames(body: Buffer): unknown[] {
  const frames: unknown[] = [];
  for (let at = 0; at + 4 <= body.length;) {
    const length = body.readUInt32BE(at);
    frames.push(decodeWatchFrame(body.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return frames;
}

function readBody(type: string, body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    if (type.includes("stream=watch") && type.includes("protobuf")) return even(readFrames(body));
    if (isKubernetesProtobuf(body)) return even(decodeKubernetes(body));
    if (type.startsWith("application/json") || type.startsWith("application/openapi")) {
      const text = body.toString("utf8");
      return text.includes("\n{") && text.startsWith('{"type":')
        ? text
            .trim()
            .split("\n")
            .map((line) => even(JSON.parse(line)))
        : even(JSON.parse(text));
    }
  } catch {
    // compared as text
  }
  return plainText(body);
}

/** An answer without uids, times, versions and whatever else is each server's own. */
export function evenOut({ code, headers, body }: Reply): EvenAnswer {
  const type = String(headers["content-type"] ?? "");
  const encoding = headers["content-encoding"];
  const warning = headers["warning"];
  const warnings = (Array.isArray(warning) ? warning.map(String) : warning === undefined ? [] : [String(warning)])
    .join(", ")
    .split(/, (?=299 )/)
    .filter((text) => text !== "")
    .map(evenText);
  const plain = encoding === "gzip" && body.length > 0 ? gunzipSync(body) : body;
  return { code, type, ...(encoding === undefined ? {} : { encoding }), warnings, body: readBody(type, plain) };
}
