import { parseTable } from "@coracle/api";
import { UsageError } from "@coracle/base";

/** Since when, its default, its stage, and whether it can be changed. */
type GateRow = readonly [since: string, isOn: boolean, stage: string, isLocked: boolean];
interface GateTable {
  readonly gates: Readonly<Record<string, readonly GateRow[]>>;
}

const STAGES = new Set(["AllAlpha", "AllBeta"]);
/** As Go reads booleans. */
const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/**
 * Reads `--feature-gates`: `NAME=true|false`, `kube:NAME=…`. Throws a UsageError for gates that there are not, and
 * for those that are settled. Answers those that are wanted otherwise than they are.
 */
export function readFeatureGates(items: readonly string[]): ReadonlyMap<string, boolean> {
  const changed = new Map<string, boolean>();
  if (items.length === 0) return changed;
  const { gates } = parseTable("feature-gates") as GateTable;
  for (const item of items) {
    const [key = "", value] = item.split("=");
    const mark = key.indexOf(":");
    const component = mark === -1 ? "kube" : key.slice(0, mark).trim();
    const name = key.slice(mark + 1).trim();
    if (component !== "kube") throw new UsageError(`component not registered: ${component}`);
    if (value === undefined) throw new UsageError(`missing bool value for ${name}`);
    const row = gates[name]?.at(-1);
    if (row === undefined && !STAGES.has(name)) throw new UsageError(`unrecognized feature gate: ${name}`);
    const text = value.trim();
    const isWanted = TRUE.has(text);
    if (!isWanted && !FALSE.has(text)) {
      const why = `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`;
      throw new UsageError(`invalid value of ${name}=${text}, err: ${why}`);
    }
    // Beta gates are on as a rule.
    const isOn = row?.[1] ?? name === "AllBeta";
    changed.delete(name);
    if (isWanted === isOn) continue;
    if (row?.[3] === true)
      throw new UsageError(`cannot set feature gate ${name} to ${isWanted}, feature is locked to ${isOn}`);
    changed.set(name, isWanted);
  }
  return changed;
}

/** A gate as a program knows it without the table. */
export interface KnownGate {
  readonly isOn: boolean;
  readonly stage: "ALPHA" | "BETA";
}

/** Whether `--feature-gates` leaves a gate on. Throws UsageError for gates that there are not. */
export function isGateOn(name: string, { isOn, stage }: KnownGate, items: readonly string[]): boolean {
  const changed = readFeatureGates(items);
  const isNamed = items.some((item) => item.replace(/^kube:/, "").startsWith(`${name}=`));
  if (isNamed) return changed.get(name) ?? isOn; // its stage does not matter
  return changed.get(stage === "ALPHA" ? "AllAlpha" : "AllBeta") ?? isOn;
}

/** Every gate, as it is here. */
export function featureGates(): { readonly name: string; readonly stage: string; readonly isOn: boolean }[] {
  const { gates } = parseTable("feature-gates") as GateTable;
  return Object.entries(gates).flatMap(([name, rows]) => {
    const row = rows.at(-1);
    return row === undefined ? [] : [{ name, stage: row[2], isOn: row[1] }];
  });
}
