import type { StoredVersion } from "./stored-version.ts";

/** The place of one key; the version in it changes, the place stays. Without a version: deleted, about to be swept. */
export interface Entry {
  readonly key: string;
  version: StoredVersion | undefined;
}

const byKey = (a: Entry, b: Entry): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

/**
 * Entries by key and in key order. Changes cost O(1); the order is mended when somebody lists, by sorting the few new
 * entries and merging them in.
 */
export class SortedEntries {
  readonly #byKey = new Map<string, Entry>();
  #sorted: Entry[] = [];
  #added: Entry[] = [];
  #deleted = 0;

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): StoredVersion | undefined {
    return this.#byKey.get(key)?.version;
  }

  /** Returns the entry that now holds the version. */
  put(version: StoredVersion): Entry {
    const known = this.#byKey.get(version.key);
    if (known !== undefined) {
      known.version = version;
      return known;
    }
    const entry: Entry = { key: version.key, version };
    this.#byKey.set(entry.key, entry);
    this.#added.push(entry);
    return entry;
  }

  delete(key: string): Entry | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    this.#byKey.delete(key);
    entry.version = undefined;
    this.#deleted++;
    return entry;
  }

  /** All entries in key order. Valid until the next change. */
  sorted(): readonly Entry[] {
    if (this.#deleted > 0) {
      this.#sorted = this.#sorted.filter((entry) => entry.version !== undefined);
      this.#added = this.#added.filter((entry) => entry.version !== undefined);
      this.#deleted = 0;
    }
    if (this.#added.length > 0) {
      this.#added.sort(byKey);
      this.#sorted = merge(this.#sorted, this.#added);
      this.#added = [];
    }
    return this.#sorted;
  }

  /** Position of the first entry whose key is not below `key`. */
  firstAtOrAfter(key: string): number {
    const sorted = this.sorted();
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sorted[middle] as Entry).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function merge(left: Entry[], right: Entry[]): Entry[] {
  const last = left.at(-1);
  const first = right[0];
  if (last === undefined || first === undefined || last.key < first.key) return left.concat(right);
  const out: Entry[] = [];
  let i = 0;
  for (const entry of right) {
    while (i < left.length && (left[i] as Entry).key < entry.key) out.push(left[i++] as Entry);
    out.push(entry);
  }
  while (i < left.length) out.push(left[i++] as Entry);
  return out;
}
