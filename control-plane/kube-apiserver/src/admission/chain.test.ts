import { createSeededRandom, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { AdmissionMetrics } from "../metrics/admission-metrics.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import { createAdmissionChain } from "./chain.ts";
import type { AdmissionPlugin } from "./plugin.ts";

/** What a plugin does when it is asked. */
interface Behaviour {
  readonly name: string;
  readonly waits: boolean;
  readonly refuses: boolean;
  readonly wantsAgain: boolean;
}

const CASES = 2_000;
const attributes = { operation: "CREATE", group: "", resource: "pods", subresource: "", context: {} };

function pluginOf({ name, waits, refuses, wantsAgain }: Behaviour, log: string[]): AdmissionPlugin {
  const act = (half: string, { reinvocation }: AdmissionAttributes): void => {
    log.push(`${half} ${name}`);
    if (wantsAgain && reinvocation !== undefined) reinvocation.isWanted = true;
    if (refuses) throw new Error(name);
  };
  const run =
    (half: string) =>
    (seen: AdmissionAttributes): void | Promise<void> =>
      waits ? Promise.resolve().then(() => act(half, seen)) : act(half, seen);
  return { name, scope: { operations: ["CREATE"] }, admit: run("admit"), validate: run("validate") };
}

/** The slow, plain twin: waits for each, whether it waits or not. */
async function plainly(behaviours: readonly Behaviour[], half: string, log: string[]): Promise<string> {
  const isTwice = half === "admit" && behaviours.some(({ wantsAgain }) => wantsAgain);
  for (let round = 0; round < (isTwice ? 2 : 1); round++) {
    for (const { name, refuses } of behaviours) {
      log.push(`${half} ${name}`);
      await Promise.resolve();
      if (refuses) return name;
    }
  }
  return "";
}

async function outcomeOf(run: () => void | Promise<void>): Promise<string> {
  try {
    await run();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

/** How often each series was counted. */
function countsIn(metrics: AdmissionMetrics): string[] {
  return metrics
    .render()
    .split("\n")
    .filter((line) => line.includes("_count{"))
    .toSorted();
}

describe("the admission chain", () => {
  it("asks in order, ends at the first refusal and goes round twice where that is wanted, whoever waits", async () => {
    const random = createSeededRandom(6);
    const is = (part: number): boolean => random.next() < part;
    for (let i = 0; i < CASES; i++) {
      const behaviours = Array.from({ length: Math.floor(random.next() * 6) }, (_, at) => ({
        name: `P${at}`,
        waits: is(0.4),
        refuses: is(0.1),
        wantsAgain: is(0.1),
      }));
      const [log, expected]: [string[], string[]] = [[], []];
      const metrics = new AdmissionMetrics(systemClock);
      const plugins = behaviours.map((behaviour) => pluginOf(behaviour, log));
      const chain = createAdmissionChain(plugins, metrics);
      for (const half of ["admit", "validate"] as const) {
        const seen = await outcomeOf(() => chain[half](attributes as unknown as AdmissionAttributes));
        expect(seen).toBe(await plainly(behaviours, half, expected));
      }
      expect(log).toEqual(expected);
      const counted = countsIn(metrics).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
      // Each call of a plugin, and each half.
      expect(counted).toBe(log.length + 2);
    }
  });
  it("does not wait when no plugin does", () => {
    const log: string[] = [];
    const never = { waits: false, refuses: false, wantsAgain: false };
    const chain = createAdmissionChain([
      pluginOf({ name: "A", ...never }, log),
      pluginOf({ name: "B", ...never }, log),
    ]);
    expect(chain.admit(attributes as unknown as AdmissionAttributes)).toBeUndefined();
    expect(log).toEqual(["admit A", "admit B"]);
  });
});
