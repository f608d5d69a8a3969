/** What a page of metrics says of one of them, whatever its values. */
export interface Family {
  readonly kind: string;
  /** Names of labels that its series have, without those of buckets. */
  readonly labels: readonly string[];
  /** Of a histogram, upper bounds. */
  readonly bounds: readonly string[];
}

/** Reads a page in Prometheus' text format. */
export function familiesOf(page: string): ReadonlyMap<string, Family> {
  const kinds = new Map<string, string>();
  const labels = new Map<string, Set<string>>();
  const bounds = new Map<string, Set<string>>();
  for (const line of page.split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) {
      const [, name = "", kind = ""] = type;
      kinds.set(name, kind);
      labels.set(name, new Set());
      bounds.set(name, new Set());
    }
    if (line.startsWith("#") || line === "") continue;
    const [, series = "", inside = ""] = /^([^\s{]+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    const name = kinds.has(series) ? series : series.replace(/_(?:bucket|sum|count)$/, "");
    for (const [, label = "", value = ""] of inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      if (label === "le") bounds.get(name)?.add(value);
      else labels.get(name)?.add(label);
  }
  return new Map(
    [...kinds].map(([name, kind]) => [
      name,
      { kind, labels: [...(labels.get(name) ?? [])].toSorted(), bounds: [...(bounds.get(name) ?? [])] },
    ]),
  );
}

/** What two looks at one have shown. */
export function merged(first: Family | undefined, second: Family): Family {
  if (first === undefined) return second;
  const both = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];
  return {
    kind: second.kind,
    labels: both(first.labels, second.labels).toSorted(),
    bounds: both(first.bounds, second.bounds),
  };
}
