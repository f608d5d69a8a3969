import { iptables, iptablesRestore, iptablesSave, writeSysctl } from "@coracle/linux";
import type { RuleBackend, RuleOptions } from "../rule-backend.ts";
import { buildRuleset, JUMPS, type Chains, type Ruleset } from "./ruleset.ts";

const TABLES = ["filter", "nat"] as const;
const OURS = /^KUBE-/;

/** Rules through iptables-restore; after the first pass only chains that changed are written. */
export function createIptablesBackend(options: RuleOptions): RuleBackend {
  /** What the kernel holds, as far as we know; undefined: unknown, everything is read and written. */
  let applied: Ruleset | undefined;

  const firstPass = async (): Promise<Ruleset> => {
    if (options.localhostNodePorts) await writeSysctl("net.ipv4.conf.all.route_localnet", "1");
    const present = await Promise.all(
      TABLES.map(async (table) => [table, chainsOf(await iptablesSave(table))] as const),
    );
    const found = Object.fromEntries(present) as Record<(typeof TABLES)[number], Map<string, readonly string[]>>;
    return { filter: found.filter, nat: found.nat };
  };

  return {
    async sync(ports) {
      const wanted = buildRuleset(ports, options);
      const known = applied ?? (await firstPass());
      const isFirst = applied === undefined;
      applied = undefined; // until it worked
      const script = TABLES.map((table) => difference(table, known[table], wanted[table], isFirst)).join("");
      if (script !== "") await iptablesRestore(script);
      if (isFirst) await ensureJumps();
      applied = wanted;
    },
    async remove() {
      applied = undefined;
      for (const { table, chain, rule } of JUMPS) {
        // As often as it is there.
        while ((await iptables(["-t", table, "-D", chain, ...splitRule(rule)])) === 0);
      }
      for (const table of TABLES) {
        const chains = [...chainsOf(await iptablesSave(table)).keys()];
        if (chains.length === 0) continue;
        await iptablesRestore(
          [
            `*${table}`,
            ...chains.map((chain) => `:${chain} - [0:0]`),
            ...chains.map((chain) => `-X ${chain}`),
            "COMMIT",
            "",
          ].join("\n"),
        );
      }
    },
  };
}

/** Our chains in the output of iptables-save. Rules are left out: what was there before is always written anew. */
export function chainsOf(saved: string): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>();
  for (const line of saved.split("\n")) {
    const name = /^:(\S+)/.exec(line)?.[1];
    if (name !== undefined && OURS.test(name)) chains.set(name, []);
  }
  return chains;
}

/** The iptables-restore script of one table that leads from `known` to `wanted`; empty when nothing changes. */
export function difference(table: string, known: Chains, wanted: Chains, rewriteAll: boolean): string {
  const heads: string[] = [];
  const rules: string[] = [];
  for (const [chain, lines] of wanted) {
    const before = known.get(chain);
    if (!rewriteAll && before !== undefined && sameLines(before, lines)) continue;
    heads.push(`:${chain} - [0:0]`);
    for (const line of lines) rules.push(`-A ${chain} ${line}`);
  }
  const stale = [...known.keys()].filter((chain) => !wanted.has(chain));
  for (const chain of stale) {
    heads.push(`:${chain} - [0:0]`);
    rules.push(`-X ${chain}`);
  }
  return heads.length === 0 ? "" : [`*${table}`, ...heads, ...rules, "COMMIT", ""].join("\n");
}

const sameLines = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((line, i) => line === b[i]);

/** Splits at blanks, keeping quoted parts whole and without their quotes. */
const splitRule = (rule: string): string[] =>
  [...rule.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");

async function ensureJumps(): Promise<void> {
  for (const { table, chain, rule } of JUMPS) {
    const words = splitRule(rule);
    if ((await iptables(["-t", table, "-C", chain, ...words])) !== 0)
      await iptables(["-t", table, "-I", chain, ...words]);
  }
}
