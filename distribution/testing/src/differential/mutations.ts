import { isObject, type Draft } from "@coracle/apimachinery";
import type { Random } from "@coracle/base";
import { changeIn, nameOf, type Change, type Seed } from "./seeds.ts";
import { jsonStep, type Chapter, type Step } from "./step.ts";

const STRICT = "dryRun=All&fieldValidation=Strict";

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;

/** Values that a field of any type may meet. */
const ODD_VALUES: readonly unknown[] = [
  "",
  "a b",
  "UPPER",
  "-dash",
  "x*300",
  "http://[::1",
  "1.2.3.4",
  "10.0.0.300",
  "::1",
  "500m",
  "-1",
  "1e9",
  "Never",
  "*",
  "a/b/c",
  "ü",
  0,
  -1,
  1,
  65_536,
  2_147_483_648,
  9_007_199_254_740_991,
  1.5,
  true,
  false,
  null,
  [],
  {},
  [null],
  ["a", "a"],
  { a: "b" },
  { "bad key!": "v" },
];

/** Paths of everything in a value, as JSON pointers. */
function pointers(value: unknown, at = ""): string[] {
  const own = at === "" ? [] : [at];
  const children: readonly (readonly [string, unknown])[] = Array.isArray(value)
    ? value.map((item: unknown, index) => [String(index), item] as const)
    : isObject(value)
      ? Object.entries(value)
      : [];
  return [
    ...own,
    ...children.flatMap(([key, child]) => pointers(child, `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`)),
  ];
}

/** Removes, doubles or replaces something anywhere in the object. */
function inventChange(random: Random, seed: Seed): Change {
  const path = pick(random, pointers(seed.object));
  const base = { seed: seed.seed, verb: "create", path } as const;
  const chance = random.next();
  if (chance < 0.2) return { ...base, op: "remove" };
  if (chance < 0.3) return { ...base, op: "add", path: `${path}/unheardOf`, value: pick(random, ODD_VALUES) };
  return { ...base, op: "replace", value: pick(random, ODD_VALUES) };
}

/** A request with one to four changes to the seed, as create or as update. */
function mutatedStep(random: Random, seed: Seed, known: readonly Change[]): Step {
  const object = structuredClone(seed.object);
  const verb = known.length > 0 && random.next() < 0.4 ? "update" : "create";
  const mine = known.filter((change) => change.verb === verb);
  const count = 1 + Math.floor(random.next() * 4);
  for (let i = 0; i < count; i++) {
    const isKnown = mine.length > 0 && random.next() < 0.7;
    changeIn(object, isKnown ? pick(random, mine) : inventChange(random, seed));
  }
  const topic = `mutated ${verb}: ${seed.seed.split("/").slice(0, -1).join("/")}`;
  const path = seed.path;
  return verb === "create"
    ? jsonStep(topic, "POST", `${path}?${STRICT}`, object)
    : jsonStep(topic, "PUT", `${path}/${nameOf(seed.object)}?${STRICT}`, object);
}

/** Changed objects of one kind, against the stored seed for updates. Nothing of it is kept. */
export function mutationChapter(random: Random, seed: Seed, changes: readonly Change[], count: number): Chapter {
  const known = changes.filter((change) => change.seed === seed.seed);
  const steps = Array.from({ length: count }, () => mutatedStep(random, seed, known));
  const creates = steps.filter((step) => step.method === "POST");
  const updates = steps.filter((step) => step.method === "PUT");
  const set = { isSetUp: true } as const;
  return [
    ...creates,
    jsonStep("set-up", "POST", seed.path, seed.object, set),
    ...updates,
    jsonStep("set-up", "DELETE", `${seed.path}/${nameOf(seed.object)}`, deleteNow(), set),
  ];
}

/** Options that delete at once. */
export const deleteNow = (): Draft => ({
  kind: "DeleteOptions",
  apiVersion: "v1",
  gracePeriodSeconds: 0,
  propagationPolicy: "Background",
});
