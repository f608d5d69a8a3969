import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { equalJson, isObject } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { resourceDefinitions } from "../index.ts";
import { decodeStrictly } from "./decode.ts";
import { agrees, applyChange, judge, type Observation, type Seed } from "./verdict.ts";

const load = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../../../testdata/answers/${name}.gz`, import.meta.url))).toString("utf8");
const seeds = new Map((JSON.parse(load("seeds.json")) as Seed[]).map((s) => [s.seed, s]));
const observations = load("answers.jsonl")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Observation);

await Promise.all(resourceDefinitions.map(async (definition) => definition.load?.()));

const definitionOf = (seed: string) => {
  const [version, plural] = seed.startsWith("v1/")
    ? ["v1", seed.split("/")[1]]
    : [seed.split("/").slice(0, 2).join("/"), seed.split("/")[2]];
  return resourceDefinitions.find(
    (d) => d.plural === plural && (d.group === "" ? d.version : `${d.group}/${d.version}`) === version,
  );
};

describe("verdicts of upstream's API server", () => {
  it("agree with ours in at least 99 of 100 of the observed changes", () => {
    const perKind = new Map<string, { total: number; same: number }>();
    let same = 0;
    const misses: string[] = [];
    for (const observed of observations) {
      const seed = seeds.get(observed.seed);
      const definition = definitionOf(observed.seed);
      if (seed === undefined) throw new Error(observed.seed);
      const kind = observed.seed.split("/").slice(0, -1).join("/");
      const count = perKind.get(kind) ?? { total: 0, same: 0 };
      perKind.set(kind, count);
      count.total++;
      let verdict: { code: number; causes: readonly (readonly [string, string])[] } = { code: 0, causes: [] };
      if (definition !== undefined) {
        try {
          verdict = judge(definition, seed, observed.verb, applyChange(seed, observed), decodeStrictly);
        } catch (error) {
          verdict = {
            code: 500,
            causes: [
              [
                "crash",
                String((error as Error).stack)
                  .split("\n")
                  .slice(0, 3)
                  .join("|"),
              ],
            ],
          };
        }
      }
      if (agrees(verdict, observed)) {
        count.same++;
        same++;
      } else
        misses.push(
          `${observed.seed} ${observed.verb} ${observed.op} ${observed.path} ${JSON.stringify(observed.value)} UP ${observed.code} ${show(observed.causes)} WE ${verdict.code} ${show(verdict.causes)}`,
        );
    }
    if (process.env["VERDICT_REPORT"] !== undefined) {
      const lines = [...perKind].map(
        ([kind, c]) => `| ${kind} | ${c.same} / ${c.total} | ${percent(c.same, c.total)} |`,
      );
      process.stdout.write(
        `${misses.join("\n")}\n${lines.join("\n")}\nall ${same} / ${observations.length} ${percent(same, observations.length)}\n`,
      );
    }
    expect(same / observations.length).toBeGreaterThanOrEqual(0.99);
  }, 60_000);
});

/** What the server adds on its own, or takes out of its allocators and the request: not the kind's to say. */
function comparable(object: unknown): unknown {
  return JSON.parse(JSON.stringify(object), (key, value: unknown) =>
    ["managedFields", "uid", "creationTimestamp", "resourceVersion", "generation"].includes(key) ? undefined : value,
  ) as unknown;
}

function differences(path: string, a: unknown, b: unknown): string[] {
  if (equalJson(a, b)) return [];
  if (isObject(a) && isObject(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
      differences(`${path}.${key}`, a[key], b[key]),
    );
  return [`${path}: ours ${JSON.stringify(a)} upstream ${JSON.stringify(b)}`];
}

describe("objects as upstream's API server answers them", () => {
  it("have the defaults that ours have", () => {
    let same = 0;
    const misses: string[] = [];
    for (const seed of seeds.values()) {
      const definition = definitionOf(seed.seed);
      if (definition === undefined) continue;
      const ours = judge(definition, seed, "create", structuredClone(seed.object), decodeStrictly);
      const found = differences("", comparable(ours.object), comparable(seed.answer));
      if (found.length === 0) same++;
      else misses.push(`${seed.seed} ${ours.code} ${found.join("; ")}`);
    }
    if (process.env["VERDICT_REPORT"] !== undefined)
      process.stdout.write(`ANSWERS\n${misses.join("\n")}\nanswers ${same} / ${seeds.size}\n`);
    expect(same / seeds.size).toBeGreaterThanOrEqual(0.7);
  });
});

const show = (causes: readonly (readonly [string, string])[] | undefined): string =>
  (causes ?? []).map(([r, f]) => `${r.replace("FieldValue", "")}:${f}`).join(" ");
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
