/** Text of one label set: `{result="scheduled",profile="default-scheduler"}`; none: empty. */
function labelText(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return "";
  return `{${names.map((name, i) => `${name}=${JSON.stringify(values[i] ?? "")}`).join(",")}}`;
}

/** A number as Go writes it: a bound is found by its text. */
function numberText(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-4 && size < 1e6)) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

/** Something that can be asked for its lines in Prometheus' text format. */
export interface Instrument {
  text(): string;
}

/** How often something happened so far. */
export interface Count {
  value: number;
}

/** Counts up, by label values. */
export class Counter implements Instrument {
  readonly #head: string;
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #values = new Map<string, Count>();

  constructor(name: string, help: string, labels: readonly string[] = []) {
    this.#name = name;
    this.#head = `# HELP ${name} ${help}\n# TYPE ${name} counter\n`;
    this.#labels = labels;
    if (labels.length === 0) this.of();
  }

  add(amount: number, ...values: readonly string[]): void {
    this.of(...values).value += amount;
  }

  /** The count of these label values, for who counts often. */
  of(...values: readonly string[]): Count {
    const key = labelText(this.#labels, values);
    let count = this.#values.get(key);
    if (count === undefined) this.#values.set(key, (count = { value: 0 }));
    return count;
  }

  text(): string {
    if (this.#values.size === 0) return "";
    return this.#head + [...this.#values].map(([key, { value }]) => `${this.#name}${key} ${value}\n`).join("");
  }
}

/** Values asked for when somebody looks. */
export class Gauge implements Instrument {
  readonly #head: string;
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #read: () => Iterable<readonly [values: readonly string[], value: number]>;

  constructor(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Iterable<readonly [values: readonly string[], value: number]>,
  ) {
    this.#name = name;
    this.#head = `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
    this.#labels = labels;
    this.#read = read;
  }

  text(): string {
    const lines = [...this.#read()].map(
      ([values, value]) => `${this.#name}${labelText(this.#labels, values)} ${value}\n`,
    );
    return lines.length === 0 ? "" : this.#head + lines.join("");
  }
}

interface Series {
  readonly values: readonly string[];
  /** One a bucket, the last for what is beyond all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

/** How values spread over buckets, by label values. */
export class Histogram implements Instrument {
  readonly #head: string;
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(name: string, help: string, bounds: readonly number[], labels: readonly string[] = []) {
    this.#name = name;
    this.#head = `# HELP ${name} ${help}\n# TYPE ${name} histogram\n`;
    this.#labels = labels;
    this.#bounds = bounds;
    if (labels.length === 0) this.#of([]);
  }

  observe(value: number, ...values: readonly string[]): void {
    const series = this.#of(values);
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? Infinity)) bucket++;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  #of(values: readonly string[]): Series {
    const key = values.length === 1 ? (values[0] ?? "") : values.join("\n");
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { values, counts: new Float64Array(this.#bounds.length + 1), sum: 0 };
      this.#series.set(key, series);
    }
    return series;
  }

  text(): string {
    if (this.#series.size === 0) return "";
    let out = this.#head;
    for (const { values, counts, sum } of this.#series.values()) {
      let total = 0;
      for (const [i, count] of counts.entries()) {
        total += count;
        const bound = this.#bounds[i];
        const labels = labelText(
          [...this.#labels, "le"],
          [...values, bound === undefined ? "+Inf" : numberText(bound)],
        );
        out += `${this.#name}_bucket${labels} ${total}\n`;
      }
      const labels = labelText(this.#labels, values);
      out += `${this.#name}_sum${labels} ${sum}\n${this.#name}_count${labels} ${total}\n`;
    }
    return out;
  }
}

/** `count` bounds from `start`, each `factor` times the one before. */
export function exponentialBuckets(start: number, factor: number, count: number): readonly number[] {
  const bounds = [start];
  // Each from the one before, so that they are the very numbers that others have.
  for (let i = 1; i < count; i++) bounds.push((bounds[i - 1] ?? 0) * factor);
  return bounds;
}
