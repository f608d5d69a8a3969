import type { ApiObject } from "../registry/resource-definition.ts";
import type { Entry } from "./sorted-entries.ts";

/** Labels of one resource that are indexed at a time. */
const MAX_LABELS = 4;
/** Labels that were asked for lately, and are not indexed yet. */
const MAX_ASKED = 16;
/** Fewer entries are looked through faster than looked up. */
const MIN_ENTRIES = 256;
/** So many writes for each entry without a single list: the index costs more than it spares. */
const IDLE_WRITES_PER_ENTRY = 4;

/** The places of all objects that have one label, by its value. */
class Label {
  readonly #key: string;
  readonly #places = new Map<string, Set<Entry>>();
  readonly #values = new Map<Entry, string>();
  #writes = 0;

  constructor(key: string, entries: readonly Entry[]) {
    this.#key = key;
    for (const entry of entries) this.update(entry);
    this.#writes = 0;
  }

  /** More writes than lists are worth. */
  get isIdle(): boolean {
    return this.#writes > IDLE_WRITES_PER_ENTRY * Math.max(this.#values.size, MIN_ENTRIES);
  }

  find(value: string): ReadonlySet<Entry> | undefined {
    this.#writes = 0;
    return this.#places.get(value);
  }

  /** Looks at what is in the place now. */
  update(entry: Entry): void {
    this.#writes += 1;
    const { version } = entry;
    const value = version === undefined ? undefined : labelOf(version.object, this.#key);
    const known = this.#values.get(entry);
    if (known === value) return;
    if (known !== undefined) this.#remove(entry, known);
    if (value === undefined) return;
    this.#values.set(entry, value);
    const places = this.#places.get(value);
    if (places === undefined) this.#places.set(value, new Set([entry]));
    else places.add(entry);
  }

  #remove(entry: Entry, value: string): void {
    this.#values.delete(entry);
    const places = this.#places.get(value);
    places?.delete(entry);
    if (places?.size === 0) this.#places.delete(value);
  }
}

/**
 * Finds the objects that have a label. A label is indexed when it is asked for again, and for as long as it is asked for
 * now and then.
 */
export class LabelIndex {
  readonly #labels = new Map<string, Label>();
  readonly #asked = new Set<string>();

  /** The places of the objects that have the label, in no order; undefined: look through all of them. */
  find(key: string, value: string, entries: readonly Entry[]): ReadonlySet<Entry> | undefined {
    if (entries.length < MIN_ENTRIES) return undefined;
    const label = this.#labels.get(key) ?? this.#add(key, entries);
    if (label === undefined) return undefined;
    // The one that was used last is the last to go.
    this.#labels.delete(key);
    this.#labels.set(key, label);
    const found = label.find(value);
    return found !== undefined && found.size * 4 > entries.length ? undefined : (found ?? NOTHING);
  }

  #add(key: string, entries: readonly Entry[]): Label | undefined {
    if (!this.#asked.delete(key)) {
      dropOldest(this.#asked, MAX_ASKED);
      this.#asked.add(key);
      return undefined;
    }
    dropOldest(this.#labels, MAX_LABELS);
    return new Label(key, entries);
  }

  /** What is in the place has changed, or is gone. */
  update(entry: Entry): void {
    for (const [key, label] of this.#labels) {
      if (label.isIdle) this.#labels.delete(key);
      else label.update(entry);
    }
  }

  clear(): void {
    this.#labels.clear();
  }
}

const NOTHING: ReadonlySet<Entry> = new Set();

function dropOldest(
  kept: { readonly size: number; keys(): Iterator<string>; delete(key: string): unknown },
  max: number,
): void {
  while (kept.size >= max) kept.delete(kept.keys().next().value as string);
}

function labelOf({ metadata: { labels } }: ApiObject, key: string): string | undefined {
  if (typeof labels !== "object" || labels === null || !Object.hasOwn(labels, key)) return undefined;
  const value = (labels as Readonly<Record<string, unknown>>)[key];
  return typeof value === "string" ? value : undefined;
}
