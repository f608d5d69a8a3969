/** The Prometheus text format without some families. */
export function withoutFamilies(text: string, names: readonly string[]): string {
  if (names.length === 0) return text;
  const hidden = new Set(names);
  let isHidden = false;
  const kept = text.split("\n").filter((line) => {
    const family = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1];
    if (family !== undefined) isHidden = hidden.has(family);
    return !isHidden || line === "";
  });
  return kept.join("\n");
}

/** A family of plain numbers. */
export function family(name: string, type: "counter" | "gauge", series: Iterable<readonly [string, number]>): string {
  const lines = [`# TYPE ${name} ${type}`];
  for (const [labels, value] of series) lines.push(labels === "" ? `${name} ${value}` : `${name}{${labels}} ${value}`);
  return lines.join("\n");
}
