import type * as Yaml from "yaml";
import { DEEPEST, MalformedYaml, readQuickYaml, type QuickDocument, type RepeatedMember } from "./quick-yaml.ts";

/** Text that is no YAML, or YAML that JSON cannot hold. */
export class YamlError extends Error {
  override readonly name = "YamlError";
}

let library: Promise<typeof Yaml> | undefined;

/** Longest text with YAML's rare parts that a stranger may send, in characters: others wait while it is read. */
export const LONGEST_RARE_YAML = 8 * 1024;

/** How a text may be read. */
export interface YamlOptions {
  /**
   * Longest text, in characters, of those that need YAML's rare parts (anchors, tags, merges, `?`): these are read a
   * hundred times slower than others, and nothing else happens meanwhile. Without it there is none.
   */
  readonly longestRare?: number;
}

const cannotRead = (why: string): YamlError => new YamlError(`error converting YAML to JSON: yaml: ${why}`);

function checkRare(text: string, { longestRare = Number.POSITIVE_INFINITY }: YamlOptions): void {
  if (text.length > longestRare) {
    throw cannotRead(
      `either malformed, or with anchors, tags, merges or complex names, which a text of more than ${longestRare} characters cannot have here`,
    );
  }
}

function readQuick(text: string): QuickDocument | undefined {
  try {
    return readQuickYaml(text);
  } catch (error) {
    if (error instanceof MalformedYaml) throw cannotRead(error.message);
    throw error;
  }
}

/**
 * Parses the documents of a YAML text as kubectl does: YAML 1.1 booleans and numbers (`yes`, `017`, `0o17`, `1_000`),
 * times and sexagesimals stay text, names become text (`y:` is `"true"`), the last of duplicate members counts. Empty
 * documents are left out. The parser of the rare parts is loaded when they are first met. Throws
 * YamlError.
 */
export async function parseYaml(text: string, options: YamlOptions = {}): Promise<unknown[]> {
  const quick = readQuick(text);
  if (quick !== undefined) return quick.value === null ? [] : [quick.value];
  checkRare(text, options);
  const yaml = await (library ??= import("yaml"));
  const documents = yaml.parseAllDocuments(text, {
    version: "1.1",
    uniqueKeys: false,
    intAsBigInt: true,
    strict: false,
    merge: true,
    customTags: (tags) => kubectlTags(tags),
  });
  if (!Array.isArray(documents)) return [];
  const values: unknown[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) throw cannotRead(error.message);
    let value: unknown;
    try {
      value = document.toJS({ mapAsMap: true, maxAliasCount: 1000 });
    } catch (failure) {
      const why = failure instanceof RangeError ? "anchor value contains itself" : (failure as Error).message;
      throw new YamlError(`error converting YAML to JSON: yaml: ${why}`, { cause: failure });
    }
    if (value !== null && value !== undefined) values.push(toJson(value));
  }
  return values;
}

/** Parses a text that must hold exactly one document; undefined for none. Throws YamlError. */
export async function parseYamlDocument(text: string, options?: YamlOptions): Promise<unknown> {
  const documents = await parseYaml(text, options);
  if (documents.length > 1) throw new YamlError("error converting YAML to JSON: more than one document");
  return documents[0];
}

/**
 * Names the members that occur twice in one map of a YAML text, as kubectl's parser does: `yaml: unmarshal errors:` and
 * a line for each. Undefined: there are none, or the text is no YAML.
 */
export async function yamlDuplicates(text: string, options: YamlOptions = {}): Promise<string | undefined> {
  const quick = readQuick(text);
  if (quick !== undefined) return repeatedText(quick.repeated);
  if (text.length > (options.longestRare ?? Number.POSITIVE_INFINITY)) return undefined;
  const yaml = await (library ??= import("yaml"));
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, { version: "1.1", uniqueKeys: false, strict: false, lineCounter: lines });
  if (document.errors.length > 0) return undefined;
  const found: RepeatedMember[] = [];
  yaml.visit(document, {
    Map(_key, map) {
      const names = new Set<string>();
      for (const { key } of map.items) {
        if (!yaml.isScalar(key)) continue;
        const name = String(key.value);
        if (names.has(name)) found.push({ line: lines.linePos(key.range?.[0] ?? 0).line, key: name });
        names.add(name);
      }
    },
  });
  return repeatedText(found);
}

function repeatedText(found: readonly RepeatedMember[]): string | undefined {
  if (found.length === 0) return undefined;
  const list = found.map(({ line, key }) => `\n  line ${line}: key ${JSON.stringify(key)} already set in map`);
  return `yaml: unmarshal errors:${list.join("")}`;
}

const newOctal: Yaml.ScalarTag = {
  identify: (value) => typeof value === "bigint",
  default: true,
  tag: "tag:yaml.org,2002:int",
  format: "OCT",
  test: /^[-+]?0o[0-7_]+$/,
  resolve(text) {
    const digits = text.replace(/^[-+]?0o/, "").replaceAll("_", "");
    const value = BigInt(`0o${digits}`);
    return text.startsWith("-") ? -value : value;
  },
};

/** The YAML 1.1 tags without times and base-60 numbers, with `0o17`. */
function kubectlTags(tags: Yaml.Tags): Yaml.Tags {
  const kept = tags.filter((tag) => {
    if (typeof tag === "string") return tag !== "timestamp" && tag !== "intTime" && tag !== "floatTime";
    const { tag: name, format } = tag as { readonly tag: string; readonly format?: string };
    return name !== "tag:yaml.org,2002:timestamp" && format !== "TIME";
  });
  return [newOctal, ...kept];
}

function toJson(value: unknown, depth = 0): unknown {
  if (typeof value === "bigint") return Number(value);
  if (depth > DEEPEST) throw cannotRead(`exceeded max depth of ${DEEPEST}`);
  if (Array.isArray(value)) return value.map((item) => toJson(item, depth + 1));
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  if (value instanceof Map) {
    const out: Record<string, unknown> = {};
    for (const [key, member] of value as Map<unknown, unknown>) setMember(out, nameOf(key), toJson(member, depth + 1));
    return out;
  }
  if (value instanceof Set) {
    const out: Record<string, unknown> = {};
    for (const key of value as Set<unknown>) setMember(out, nameOf(key), null);
    return out;
  }
  if (typeof value === "number" && !Number.isFinite(value)) throw new YamlError(`json: unsupported value: ${value}`);
  return value;
}

function nameOf(key: unknown): string {
  if (typeof key === "object" && key !== null) {
    throw new YamlError("error converting YAML to JSON: a map or list cannot be the name of a member");
  }
  return String(key);
}

function setMember(out: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(out, name, { value, enumerable: true, configurable: true, writable: true });
  } else out[name] = value;
}
