import { readFileSync } from "node:fs";

/** The tables of this package, by file name. */
export type TableName =
  | "apf-bootstrap"
  | "cri"
  | "csi"
  | "etcd"
  | "feature-gates"
  | "go-names"
  | "go-zero"
  | "kubelet-grpc"
  | "printers"
  | "protobuf"
  | "rbac-bootstrap"
  | "resources"
  | "schema"
  | "schema-extra";

// In a checkout the tables are one folder up; beside a bundle they are in the bundle's folder or one up from it.
const FOLDERS = ["../tables/", "./tables/", "../../tables/"];

/** The text of one table. Not kept: who needs a table repeatedly keeps what it made of it. */
export function readTable(name: TableName): string {
  let failure: unknown;
  for (const folder of FOLDERS) {
    try {
      return readFileSync(new URL(`${folder}${name}.json`, import.meta.url), "latin1");
    } catch (error) {
      failure ??= error;
    }
  }
  throw new Error(`the API table ${name}.json is missing`, { cause: failure });
}

/** Parses one whole table. For the large ones prefer `openLineTable`. */
export function parseTable(name: TableName): unknown {
  return JSON.parse(Buffer.from(readTable(name), "latin1").toString("utf8"));
}

/**
 * A large table read entry by entry. The tables hold one entry a line, so an entry is found without parsing the
 * others: a process pays only for the kinds it meets.
 */
export interface LineTable {
  /** Names of a section's entries, in file order. */
  names(section: string): Iterable<string>;
  has(section: string, name: string): boolean;
  /** The parsed entry, made anew on each call; undefined when there is none. */
  entry(section: string, name: string): unknown;
  /** The entry's JSON text. */
  text(section: string, name: string): string | undefined;
}

/** Opens a table whose sections (`definitions`, `messages` …) are objects with one member a line. */
export function openLineTable(name: TableName): LineTable {
  const text = readTable(name);
  const sections = new Map<string, Map<string, readonly [number, number]>>();
  let current: Map<string, readonly [number, number]> | undefined;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    if (text.charCodeAt(start) === 0x22) {
      const quote = text.indexOf('":', start + 1);
      const key = text.slice(start + 1, quote);
      if (end === quote + 3 && text.charCodeAt(quote + 2) === 0x7b) sections.set(key, (current = new Map()));
      else current?.set(key, [quote + 2, text.charCodeAt(end - 1) === 0x2c ? end - 1 : end]);
    } else if (text.charCodeAt(start) === 0x7d) {
      current = undefined;
    }
    start = end + 1;
  }
  const textOf = (section: string, entry: string): string | undefined => {
    const range = sections.get(section)?.get(entry);
    return range === undefined ? undefined : text.slice(range[0], range[1]);
  };
  return {
    names: (section) => sections.get(section)?.keys() ?? [],
    has: (section, entry) => sections.get(section)?.has(entry) ?? false,
    text: textOf,
    entry(section, entry) {
      const found = textOf(section, entry);
      return found === undefined ? undefined : (JSON.parse(found) as unknown);
    },
  };
}
