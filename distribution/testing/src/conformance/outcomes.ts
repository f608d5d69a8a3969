/** How one test of the suite ended. */
export interface Outcome {
  /** The suite's name of it, without the group in front and the marks behind. */
  readonly name: string;
  /** `sig-apps`. */
  readonly group: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** The first lines of what went wrong. */
  readonly failure: string;
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/g, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return ENTITIES[name ?? ""] ?? whole;
  });

/** A test's name as docs/conformance.md has it: marks are gone, save for that of DRA, which begins a name. */
export function shortName(name: string): string {
  return name
    .replace(/^\[It\] /, "")
    .replace(/^\[sig-[\w-]+\] /, "")
    .replaceAll(/ ?\[(?!DRA\])[^\]]*\]/g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** The tests that ran, of a report in JUnit's form. Pure. */
export function outcomesOf(junit: string): Outcome[] {
  const found: Outcome[] = [];
  for (const [, attributes = "", body = ""] of junit.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const attribute = (name: string): string =>
      unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    const [, group] = /^\[It\] \[(sig-[\w-]+)\]/.exec(attribute("name")) ?? [];
    const status = attribute("status");
    if (group === undefined || status === "skipped" || status === "pending") continue;
    const [, failure = ""] = /<(?:failure|error)\b[^>]*>([\s\S]*?)<\//.exec(body) ?? [];
    found.push({
      name: shortName(attribute("name")),
      group,
      passed: status === "passed",
      seconds: Number(attribute("time")),
      failure: unescaped(failure).split("\n").slice(0, 5).join("\n"),
    });
  }
  return found;
}

/** Group → how many of its tests ran and passed, by name. Pure. */
export function countByGroup(outcomes: readonly Outcome[]): Map<string, { passed: number; ran: number }> {
  const counts = new Map<string, { passed: number; ran: number }>();
  for (const { group, passed } of outcomes.toSorted((a, b) => a.group.localeCompare(b.group))) {
    const count = counts.get(group) ?? { passed: 0, ran: 0 };
    counts.set(group, { passed: count.passed + Number(passed), ran: count.ran + 1 });
  }
  return counts;
}
