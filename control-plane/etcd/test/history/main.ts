import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { createSeededRandom } from "@coracle/base";
import { lostLeaders, partitions } from "./cluster-faults.ts";
import { damagedPage, lookAt } from "./damaged-page.ts";
import { fullDisk } from "./full-disk.ts";
import { kills } from "./kills.ts";
import type { Scenario } from "./scenario.ts";
import { tornWrite } from "./torn-write.ts";

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  kills,
  "full-disk": fullDisk,
  "torn-write": tornWrite,
  "damaged-page": damagedPage,
  "lost-leaders": lostLeaders,
  partitions,
};
const INSIDE = "CORACLE_HISTORY_INSIDE";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: "5" },
    only: { type: "string", default: Object.keys(SCENARIOS).join(",") },
    look: { type: "boolean", default: false },
  },
});

/** Mounts, networks and whatever was started are gone with this process. */
function runInNamespaces(): Promise<number> {
  const own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const program = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", process.execPath, ...process.argv.slice(1)];
  const env = { ...process.env, [INSIDE]: "1" };
  const child = spawn("unshare", [...own, ...program], { stdio: "inherit", env });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill("SIGKILL"));
  return new Promise((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}

/** One line of JSON for each scenario. */
async function runScenarios(): Promise<boolean> {
  let isGood = true;
  for (const name of values.only.split(",")) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined)
      throw new Error(`there is no scenario ${name}; known: ${Object.keys(SCENARIOS).join(", ")}`);
    const dir = mkdtempSync(join(tmpdir(), "history-"));
    const startedAt = performance.now();
    try {
      const { checked, faults } = await scenario({
        rounds: Number(values.rounds),
        random: createSeededRandom(Number(values.seed)),
        dir,
        serverProgram: join(dirname(process.argv[1] ?? ""), "server.mjs"),
      });
      const seconds = Math.round((performance.now() - startedAt) / 1_000);
      const result = { name, rounds: Number(values.rounds), seed: Number(values.seed), checked, seconds };
      process.stdout.write(`${JSON.stringify({ ...result, faults: faults.length, first: faults.slice(0, 5) })}\n`);
      isGood &&= faults.length === 0;
    } catch (error) {
      process.stdout.write(`${JSON.stringify({ name, faults: 1, first: [String(error)] })}\n`);
      isGood = false;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
  return isGood;
}

// Clients of a scenario that failed may still be at work: they end here.
if (values.look) process.stdout.write((await lookAt(positionals)).join("\n"));
else if (process.env[INSIDE] === undefined && process.getuid?.() === 0) process.exit(await runInNamespaces());
else process.exit((await runScenarios()) ? 0 : 1);
