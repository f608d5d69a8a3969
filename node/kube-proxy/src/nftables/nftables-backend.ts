import { nft, nftJson } from "@coracle/linux";
import type { RuleBackend, RuleOptions } from "../rule-backend.ts";
import { buildNftRuleset, frame, MAPS, TABLE, type MapName, type NftRuleset } from "./ruleset.ts";

/** Lines of one transaction: larger ones take the kernel superlinear time. */
const CHUNK_LINES = 4000;

const EMPTY: NftRuleset = {
  chains: new Map(),
  sets: new Map(),
  maps: new Map((Object.keys(MAPS) as MapName[]).map((name) => [name, new Map<string, string>()])),
};

/** Rules in a table of our own, changed by small transactions. */
export function createNftablesBackend(options: RuleOptions): RuleBackend {
  let applied: NftRuleset | undefined;
  return {
    async sync(ports) {
      const wanted = buildNftRuleset(ports, options);
      if (applied === undefined) {
        // `add` before `delete` makes the deletion of an absent table no error.
        await nft(`add table ${TABLE}\ndelete table ${TABLE}\n${frame(options)}`);
        applied = EMPTY;
      }
      const known = applied;
      applied = undefined; // until it worked
      for (const script of transactions(known, wanted)) await nft(script);
      applied = wanted;
    },
    async remove() {
      applied = undefined;
      if ((await nftJson(["list", "table", "ip", "kube-proxy"])) !== undefined) await nft(`delete table ${TABLE}\n`);
    },
  };
}

const sameLines = (a: readonly string[] | undefined, b: readonly string[]): boolean =>
  a !== undefined && a.length === b.length && a.every((line, i) => line === b[i]);

/** The nft scripts that lead from `known` to `wanted`; new chains first, then who points at them, then what is left over. */
export function transactions(known: NftRuleset, wanted: NftRuleset): string[] {
  const create: string[] = [];
  const fill: string[] = [];
  const point: string[] = [];
  const drop: string[] = [];
  for (const [set, declaration] of wanted.sets) {
    if (known.sets.get(set) !== declaration) create.push(`add set ${TABLE} ${set} { ${declaration} }`);
  }
  for (const [chain, rules] of wanted.chains) {
    if (sameLines(known.chains.get(chain), rules)) continue;
    create.push(known.chains.has(chain) ? `flush chain ${TABLE} ${chain}` : `add chain ${TABLE} ${chain}`);
    for (const rule of rules) fill.push(`add rule ${TABLE} ${chain} ${rule}`);
  }
  for (const [map, elements] of wanted.maps) {
    const before = known.maps.get(map);
    for (const [key, verdict] of before ?? []) {
      if (elements.get(key) !== verdict) point.push(`delete element ${TABLE} ${map} { ${key} }`);
    }
    for (const [key, verdict] of elements) {
      if (before?.get(key) !== verdict) point.push(`add element ${TABLE} ${map} { ${key} : ${verdict} }`);
    }
  }
  const stale = [...known.chains.keys()].filter((chain) => !wanted.chains.has(chain));
  for (const chain of stale) drop.push(`flush chain ${TABLE} ${chain}`);
  for (const chain of stale) drop.push(`delete chain ${TABLE} ${chain}`);
  for (const set of known.sets.keys()) if (!wanted.sets.has(set)) drop.push(`delete set ${TABLE} ${set}`);

  // A chain that is flushed and filled in different transactions would lose packets in between: a small change is
  // one transaction; a large first load has nobody to disturb.
  const all = [...create, ...fill, ...point, ...drop];
  if (all.length === 0) return [];
  if (all.length <= CHUNK_LINES) return [`${all.join("\n")}\n`];
  const scripts: string[] = [];
  for (const lines of [create, fill, point, drop]) {
    for (let at = 0; at < lines.length; at += CHUNK_LINES)
      scripts.push(`${lines.slice(at, at + CHUNK_LINES).join("\n")}\n`);
  }
  return scripts;
}
