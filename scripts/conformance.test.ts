import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = join(fileURLToPath(import.meta.url), "../..");
const PAGE = "docs/conformance.md";
/** How many tests of the suite each section is about. */
const SECTIONS = {
  "API machinery": 95,
  "Authentication and authorisation": 10,
  kubectl: 17,
  Instrumentation: 4,
  Scheduling: 11,
  Workloads: 60,
  "Volumes and devices": 14,
  Architecture: 1,
  Network: 47,
  Nodes: 101,
  "What pods find in their files": 81,
};
/** Of these each test has one of our own; of the others those that have one are named. */
const OWN_FOR_EACH = [
  "API machinery",
  "Authentication and authorisation",
  "kubectl",
  "Instrumentation",
  "Scheduling",
  "Workloads",
  "Volumes and devices",
];

interface Row {
  readonly name: string;
  readonly result: string;
  readonly own: readonly { readonly file: string; readonly title: string }[];
}

/** The rows of each section's table. */
function tables(): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  let rows: Row[] = [];
  for (const line of readFileSync(join(root, PAGE), "utf8").split("\n")) {
    const [, section] = /^## (.+?)(?: \(\d+\))?$/.exec(line) ?? [];
    if (section !== undefined) found.set(section, (rows = []));
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (cells.length !== 5 || /^(-+|upstream's test)$/.test(cells[1] ?? "")) continue;
    const [, name = "", result = "", tests = ""] = cells;
    const own = [...tests.matchAll(/\[[^\]]+\]\(\.\.\/([^)]+)\): (.+?)(?=<br>|$)/g)].map(
      ([, file = "", title = ""]) => ({
        file,
        title,
      }),
    );
    rows.push({ name, result, own });
  }
  return found;
}

describe("docs/conformance.md", () => {
  const sections = tables();

  it.each(Object.entries(SECTIONS))("%s: each of the suite's %i tests once, with its result", (section, count) => {
    const rows = sections.get(section) ?? [];
    expect(new Set(rows.map(({ name }) => name)).size).toBe(count);
    expect(rows).toHaveLength(count);
    for (const { name, result } of rows) expect(result, name).toMatch(/^(passed|failed)(, serial)?(, repeated)?$/);
  });

  it("is about all of the suite", () => {
    const total = Object.keys(SECTIONS).reduce((sum, section) => sum + (sections.get(section)?.length ?? 0), 0);
    expect(total).toBe(441);
  });

  it("names tests of our own that are there: for each of the suite's, where the group is done", () => {
    const missing = Object.keys(SECTIONS).flatMap((section) =>
      (sections.get(section) ?? []).flatMap(({ name, own }) => {
        if (own.length === 0 && OWN_FOR_EACH.includes(section)) return [`${name}: no test of our own`];
        return own.flatMap(({ file, title }) => {
          if (!existsSync(join(root, file))) return [`${file} is not there`];
          const source = readFileSync(join(root, file), "utf8");
          return source.includes(`"${title}"`) ? [] : [`${file} has no test "${title}"`];
        });
      }),
    );
    expect(missing).toEqual([]);
  });
});
