import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { loadBuiltInCatalog, type CatalogResource } from "../../control-plane/kube-apiserver/src/discovery/catalog.ts";
import { resourceDefinitions } from "../../control-plane/kube-apiserver/src/resources/index.ts";
import { decodeStrictly } from "../../control-plane/kube-apiserver/src/resources/verdicts/decode.ts";
import {
  agrees,
  applyChange,
  judge,
  type Observation,
  type Seed,
} from "../../control-plane/kube-apiserver/src/resources/verdicts/verdict.ts";
import { CELLS } from "../../control-plane/kube-apiserver/src/server/table/cells.ts";
import { RESOURCE_NOTES } from "./resource-notes.ts";

/** `GROUP/VERSION/PLURAL`, core without the group. */
export function keyOf({ group, version, plural }: Pick<CatalogResource, "group" | "version" | "plural">): string {
  return group === "" ? `${version}/${plural}` : `${group}/${version}/${plural}`;
}

/** Every resource that the API server serves, in the order of discovery. */
export function servedResources(): readonly CatalogResource[] {
  const catalog = loadBuiltInCatalog();
  return catalog.groups.flatMap(({ name, versions }) =>
    versions.flatMap((version) => catalog.resources(name, version)),
  );
}

const ANSWERS = new URL("../../control-plane/kube-apiserver/testdata/answers/", import.meta.url);
const load = (name: string): string => gunzipSync(readFileSync(new URL(`${name}.gz`, ANSWERS))).toString("utf8");

interface Share {
  readonly same: number;
  readonly total: number;
}

/** In how many of the observed changes our verdict is upstream's, by resource. */
export async function verdictShares(): Promise<ReadonlyMap<string, Share>> {
  await Promise.all(resourceDefinitions.map(async (definition) => definition.load?.()));
  const seeds = new Map((JSON.parse(load("seeds.json")) as Seed[]).map((seed) => [seed.seed, seed]));
  const definitions = new Map(resourceDefinitions.map((definition) => [keyOf(definition), definition]));
  const shares = new Map<string, { same: number; total: number }>();
  for (const line of load("answers.jsonl").split("\n")) {
    if (line === "") continue;
    const observed = JSON.parse(line) as Observation;
    const key = observed.seed.split("/").slice(0, -1).join("/");
    const share = shares.get(key) ?? { same: 0, total: 0 };
    shares.set(key, share);
    share.total++;
    const seed = seeds.get(observed.seed);
    const definition = definitions.get(key);
    if (seed === undefined || definition === undefined) continue;
    const verdict = judge(definition, seed, observed.verb, applyChange(seed, observed), decodeStrictly);
    if (agrees(verdict, observed)) share.same++;
  }
  return shares;
}

const percent = ({ same, total }: Share): string => `${((100 * same) / total).toFixed(1)} % of ${total}`;

/** The table of docs/parity.md: what is served, how far validation agrees, what is printed, who acts. */
export function resourceTable(shares: ReadonlyMap<string, Share>): string {
  const rows = servedResources().map((resource) => {
    const key = keyOf(resource);
    const note = RESOURCE_NOTES[key];
    const share = shares.get(key);
    const isListed = resource.verbs.includes("list");
    return [
      `\`${key}\`${resource.subresources.size === 0 ? "" : `: ${[...resource.subresources.keys()].join(", ")}`}`,
      note?.state ?? "?",
      share === undefined ? "–" : percent(share),
      CELLS[key] !== undefined ? "upstream's" : isListed ? "name, time" : "–",
      note?.by?.join(", ") ?? "–",
      note?.note ?? "",
    ];
  });
  const total = [...shares.values()].reduce(
    (sum, { same, total: n }) => ({ same: sum.same + same, total: sum.total + n }),
    {
      same: 0,
      total: 0,
    },
  );
  return [
    `${rows.length} resources are served. Verdicts: ${percent(total)} observed changes are judged as upstream judges them.`,
    "",
    "| resource: subresources | state | validation agrees | columns of `get` | acted on by | note |",
    "|---|---|---|---|---|---|",
    ...rows.map((row) => `| ${row.join(" | ")} |`),
  ].join("\n");
}
