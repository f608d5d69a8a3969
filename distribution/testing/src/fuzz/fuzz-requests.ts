import { encodeKubernetes } from "@coracle/api";
import { isObject, type Draft } from "@coracle/apimachinery";
import type { Random } from "@coracle/base";
import { nameOf, type Seed } from "../differential/seeds.ts";
import type { Call } from "../differential/connection.ts";

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
const below = (random: Random, limit: number): number => Math.floor(random.next() * limit);

const JSON_TYPE = "application/json";
const YAML_TYPE = "application/yaml";
const PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf";
const PATCH_TYPES = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
] as const;

/** Values that break careless readers. */
const ODD_VALUES: readonly unknown[] = [
  null,
  "",
  "\u0000",
  "\ud800",
  "__proto__",
  "constructor",
  -1,
  0,
  1e308,
  5e-324,
  -9_007_199_254_740_991,
  true,
  [],
  {},
  [[[[[[]]]]]],
  [null, null],
  { $patch: "replace" },
  { $patch: "delete" },
  { $retainKeys: ["a"] },
  { "$setElementOrder/containers": [1] },
  { "$deleteFromPrimitiveList/finalizers": [{}] },
  { constructor: { prototype: {} } },
  "(((((((((((((((((((((((((a*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*!",
  "a".repeat(10_000),
  "2026-13-45T99:99:99Z",
  "1e999999999",
  "${jndi:x}",
  "../../../etc/passwd",
];

/** Every place in a value, as a list of members and indexes. */
function placesIn(value: unknown, at: readonly string[] = []): string[][] {
  const children = Array.isArray(value)
    ? value.map((item: unknown, i) => [String(i), item] as const)
    : isObject(value)
      ? Object.entries(value)
      : [];
  return children.flatMap(([key, child]) => [[...at, key], ...placesIn(child, [...at, key])]);
}

function setAt(object: Draft, place: readonly string[], value: unknown): void {
  let at: unknown = object;
  for (const part of place.slice(0, -1)) at = (at as Record<string, unknown> | undefined)?.[part];
  if (typeof at === "object" && at !== null) (at as Record<string, unknown>)[place.at(-1) ?? ""] = value;
}

function mutated(random: Random, seed: Seed): Draft {
  const object = structuredClone(seed.object);
  for (let i = 1 + below(random, 4); i > 0; i--) {
    const place = pick(random, placesIn(object));
    if (place === undefined) break;
    const value = random.next() < 0.2 ? undefined : structuredClone(pick(random, ODD_VALUES));
    setAt(object, random.next() < 0.15 ? [...place, "unheardOf"] : place, value);
  }
  return object;
}

/** Flips, cuts, doubles or inserts bytes. */
function damaged(random: Random, bytes: Buffer): Buffer {
  const at = below(random, bytes.length + 1);
  switch (below(random, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([below(random, 256)]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 8))]);
    default: {
      const copy = Buffer.from(bytes);
      for (let i = 1 + below(random, 6); i > 0 && copy.length > 0; i--)
        copy[below(random, copy.length)] = below(random, 256);
      return copy;
    }
  }
}

const DEEP = 12_000;
const MANY = 100_000;

/** Large or deep texts: each costs more than a mutated object, so they come seldom. */
const HEAVY: readonly ((seed: Seed) => readonly [type: string, body: string])[] = [
  () => [JSON_TYPE, "[".repeat(DEEP)],
  () => [JSON_TYPE, `{"metadata":${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}}`],
  ({ object }) => [JSON_TYPE, JSON.stringify({ ...object, unheardOf: manyMembers(MANY) })],
  ({ object }) => [
    JSON_TYPE,
    JSON.stringify({ ...object, metadata: { ...(object["metadata"] as Draft), labels: manyMembers(20_000) } }),
  ],
  ({ object }) => [JSON_TYPE, `${JSON.stringify(object).slice(0, -1)}${',"kind":"Pod"'.repeat(20_000)}}`],
  () => [YAML_TYPE, aliasBomb()],
  () => [YAML_TYPE, `{"metadata":${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}}`],
  ({ object }) => [
    YAML_TYPE,
    `{"unheardOf":${'{"a":'.repeat(900)}1${"}".repeat(900)},${JSON.stringify(object).slice(1)}`,
  ],
  () => [YAML_TYPE, "a: 1\n".repeat(200_000)],
  () => [YAML_TYPE, `a: &a {b: 1}\n${"<<: *a\n".repeat(50_000)}`],
  () => [YAML_TYPE, Array.from({ length: MANY }, (_, i) => `k${i}: v`).join("\n")],
  () => [YAML_TYPE, `${"- ".repeat(5_000)}a`],
  () => [YAML_TYPE, `${"a: {".repeat(2_000)}`],
  () => [JSON_TYPE, `{"n":${"9".repeat(100_000)}}`],
  () => [JSON_TYPE, `{"n":1e${"9".repeat(1_000)}}`],
];

const manyMembers = (count: number): Draft =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`member-${i}`, "x"]));

/** Nine levels of nine references each: a thousand million when written out. */
function aliasBomb(): string {
  const lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"];
  for (let i = 1; i < 10; i++) lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(",")}]`);
  return lines.join("\n");
}

const SELECTORS: readonly string[] = [
  "a".repeat(5_000),
  "a in (".repeat(500),
  `a in (${"b,".repeat(5_000)}c)`,
  "!".repeat(2_000),
  "a=b,".repeat(2_000),
  "metadata.name=\\\\\\,\\=",
  "%",
  "\u0000",
  "a notin ()",
  "a>99999999999999999999",
  "=,=,=",
];

function readCall(random: Random, seed: Seed): Call {
  const name = encodeURIComponent(nameOf(seed.object));
  const query = new URLSearchParams();
  for (let i = below(random, 4); i > 0; i--) {
    const key = pick(random, ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "pretty"]);
    query.append(key, random.next() < 0.7 ? pick(random, SELECTORS) : String(pick(random, ODD_VALUES)));
  }
  const path = random.next() < 0.5 ? seed.path : `${seed.path}/${name}`;
  const accept = pick(random, [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE, `${JSON_TYPE};as=Table;v=v1;g=meta.k8s.io`, "a/b"]);
  return { method: "GET", path: `${path}?${query.toString()}`, headers: { accept } };
}

function writeCall(random: Random, seed: Seed): Call {
  const name = encodeURIComponent(nameOf(seed.object));
  const object = mutated(random, seed);
  const chance = random.next();
  const text = JSON.stringify(object);
  let type: string = JSON_TYPE;
  let body: Buffer | string = text;
  if (chance < 0.3) body = damaged(random, Buffer.from(text));
  else if (chance < 0.4) [type, body] = [YAML_TYPE, damaged(random, Buffer.from(text))];
  else if (chance < 0.55) [type, body] = [PROTOBUF_TYPE, damaged(random, protobufOf(seed))];
  const isCreate = random.next() < 0.6;
  const validation = pick(random, ["Strict", "Warn", "Ignore", "x"]);
  // What is made for good would stay, and be taken for memory that is lost.
  const dryRun = isCreate || random.next() < 0.8 ? "&dryRun=All" : "";
  return {
    method: isCreate ? "POST" : pick(random, ["PUT", "DELETE"]),
    path: `${isCreate ? seed.path : `${seed.path}/${name}`}?fieldValidation=${validation}${dryRun}`,
    headers: { "content-type": type },
    body,
  };
}

function protobufOf(seed: Seed): Buffer {
  try {
    return encodeKubernetes(seed.object as Parameters<typeof encodeKubernetes>[0]) ?? Buffer.from("k8s\0");
  } catch {
    return Buffer.from("k8s\0");
  }
}

const POINTERS: readonly string[] = [
  "",
  "/",
  "/metadata",
  "/metadata/labels/-",
  "/metadata/finalizers/0",
  "/spec/~2",
  "/spec/template/spec/containers/-1",
  "/__proto__/polluted",
  "/constructor/prototype/polluted",
  "/metadata/managedFields/0/fieldsV1",
  "spec",
];

function jsonPatch(random: Random): unknown {
  return Array.from({ length: 1 + below(random, 5) }, () => ({
    op: pick(random, ["add", "remove", "replace", "move", "copy", "test", "x", 1]),
    path: pick(random, POINTERS),
    from: pick(random, POINTERS),
    value: pick(random, ODD_VALUES),
  }));
}

function patchCall(random: Random, seed: Seed): Call {
  const type = pick(random, PATCH_TYPES);
  const patch = type === PATCH_TYPES[0] ? jsonPatch(random) : mutated(random, seed);
  const text = Buffer.from(JSON.stringify(patch));
  const sub = pick(random, ["", "", "", "/status", "/scale"]);
  const query = `fieldManager=fuzz&dryRun=All${type === PATCH_TYPES[3] && random.next() < 0.5 ? "&force=true" : ""}`;
  return {
    method: "PATCH",
    path: `${seed.path}/${encodeURIComponent(nameOf(seed.object))}${sub}?${query}`,
    headers: { "content-type": type },
    body: random.next() < 0.3 ? damaged(random, text) : text,
  };
}

const HEAVY_SHARE = 0.002;

/** The next request of the run: an object, patch, selector or text that is wrong in some way. */
export function nextFuzzCall(random: Random, seeds: readonly Seed[]): Call {
  const seed = pick(random, seeds);
  const chance = random.next();
  if (chance < HEAVY_SHARE) {
    const [type, body] = pick(random, HEAVY)(seed);
    const isPatch = random.next() < 0.3;
    const path = isPatch
      ? `${seed.path}/${encodeURIComponent(nameOf(seed.object))}?dryRun=All&fieldManager=fuzz`
      : seed.path;
    const patchType = type === YAML_TYPE ? PATCH_TYPES[3] : PATCH_TYPES[1];
    return {
      method: isPatch ? "PATCH" : "POST",
      path: isPatch ? path : `${path}?dryRun=All`,
      headers: { "content-type": isPatch ? patchType : type },
      body,
    };
  }
  if (chance < 0.2) return readCall(random, seed);
  return chance < 0.6 ? writeCall(random, seed) : patchCall(random, seed);
}
