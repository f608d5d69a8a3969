import type { ResourceEntry } from "./resource-catalog.ts";

/** Says which resources of the tables are served. */
export type IsServed = (entry: Pick<ResourceEntry, "group" | "version" | "plural" | "enabledByDefault">) => boolean;

const STAGES: Readonly<Record<string, RegExp>> = {
  "api/all": /./,
  "api/ga": /^v\d+$/,
  "api/beta": /^v\d+beta\d+$/,
  "api/alpha": /^v\d+alpha\d+$/,
};

/** `v1`, `GROUP/VERSION`: how the flag names a version. */
const versionOf = ({ group, version }: Pick<ResourceEntry, "group" | "version">): string =>
  group === "" ? `api/${version}` : `${group}/${version}`;

/**
 * Reads `--runtime-config`: `GROUP/VERSION[/RESOURCE]=true|false` and, for stages, `api/all`, `api/ga`, `api/beta`,
 * `api/alpha`. What is more exact wins. Throws an Error for anything else.
 */
export function parseRuntimeConfig(items: readonly string[]): IsServed {
  const wanted = new Map<string, boolean>();
  for (const item of items) {
    const [name = "", value = "true"] = item.split("=");
    if (value !== "true" && value !== "false" && value !== "") {
      throw new Error(`runtime-config invalid key "${name}", invalid value "${value}"`);
    }
    const key = name === "v1" ? "api/v1" : name;
    if (!(key in STAGES) && !/^[a-z0-9.-]+\/[a-z0-9]+(?:\/[a-z0-9]+)?$/.test(key)) {
      throw new Error(`unknown api groups ${name}`);
    }
    wanted.set(key, value !== "false");
  }
  return (entry) => {
    const own = versionOf(entry);
    const exact = wanted.get(`${own}/${entry.plural}`) ?? wanted.get(own);
    if (exact !== undefined) return exact;
    for (const stage of ["api/ga", "api/beta", "api/alpha", "api/all"]) {
      const value = wanted.get(stage);
      if (value !== undefined && STAGES[stage]!.test(entry.version)) return value;
    }
    return entry.enabledByDefault;
  };
}
