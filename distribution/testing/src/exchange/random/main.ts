import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { systemClock } from "@coracle/base";
import { compareHistories, describeDifference } from "./beside-upstream.ts";
import { FAMILIES } from "./families.ts";
import type { Difference } from "./history.ts";
import { playKills } from "./kills.ts";

const { values } = parseArgs({
  options: {
    /** `controllers`: ours, killed at random moments; `exchange`: ours beside upstream's. */
    only: { type: "string", default: "controllers" },
    "peer-kube-controller-manager": { type: "string" },
    families: { type: "string", default: Object.keys(FAMILIES).join(",") },
    /** Histories of each family, and steps of each. */
    rounds: { type: "string", default: "20" },
    steps: { type: "string", default: "16" },
    seed: { type: "string", default: "5" },
    "at-once": { type: "string", default: "6" },
    report: { type: "string" },
  },
});

function refuse(message: string): never {
  process.stderr.write(`history: ${message}\n`);
  process.exit(2);
}

/** One line of JSON for each family, after the differences. */
async function compare(kubeControllerManager: string): Promise<boolean> {
  const differences: Difference[] = [];
  const counts = await compareHistories({
    kubeControllerManager,
    families: values.families.split(","),
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    steps: Number(values.steps),
    atOnce: Number(values["at-once"]),
    found(difference) {
      differences.push(difference);
      process.stdout.write(`${describeDifference(difference)}\n`);
    },
  });
  for (const [name, known] of counts) {
    const of = (fits: (step: string) => boolean): number =>
      [...known].reduce((sum, [step, count]) => sum + (fits(step) ? count : 0), 0);
    const isIdle = (step: string): boolean => step.endsWith(": nothing to do");
    const steps = of((step) => !isIdle(step));
    const refused = of((step) => step.endsWith(": refused"));
    const found = differences.filter((each) => each.family === name).length;
    process.stdout.write(`${JSON.stringify({ name, steps, refused, idle: of(isIdle), differences: found })}\n`);
  }
  if (values.report !== undefined) {
    const taken = Object.fromEntries([...counts].map(([name, known]) => [name, Object.fromEntries(known)]));
    writeFileSync(values.report, JSON.stringify({ differences, taken }, undefined, 1));
  }
  return differences.length === 0;
}

/** One line of JSON, as of the store's histories. */
async function survive(): Promise<boolean> {
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  const startedAt = systemClock.monotonicMs();
  const { checked, kills, faults } = await playKills({ rounds, seed });
  const seconds = Math.round((systemClock.monotonicMs() - startedAt) / 1000);
  const result = { name: "controllers", rounds, seed, checked, kills, seconds };
  process.stdout.write(`${JSON.stringify({ ...result, faults: faults.length, first: faults.slice(0, 5) })}\n`);
  return faults.length === 0;
}

const { "peer-kube-controller-manager": peer } = values;
if (values.only === "controllers") process.exit((await survive()) ? 0 : 1);
if (peer === undefined) refuse("--peer-kube-controller-manager says where upstream's controllers are");
const unknown = values.families.split(",").filter((name) => FAMILIES[name] === undefined);
if (unknown.length > 0) refuse(`no ${unknown.join(", ")}; there are ${Object.keys(FAMILIES).join(", ")}`);
process.exit((await compare(peer)) ? 0 : 1);
