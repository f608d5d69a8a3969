import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import { serviceUnavailable } from "@coracle/apimachinery";
import { createApiClient } from "@coracle/client";
import { parseConfiguration, runScheduler } from "@coracle/kube-scheduler";
import { describe, expect, it } from "vitest";
import { Draw } from "./draw.ts";
import { randomFaults } from "./random-faults.ts";

const {
  CORACLE_PEER_KUBE_SCHEDULER: kubeScheduler = "",
  CORACLE_REFUSALS: wanted = "400",
  CORACLE_DECISIONS_SEED: firstSeed = "1",
  CORACLE_DECISIONS_REPORT: report = "",
} = process.env;
const SOUND = "sound";
/** Nothing to compare with. */
const CRASHED = "crashed";
const TIMEOUT_MS = 1_800_000;

/** What upstream's program says as it ends; `SOUND` when it looks for the server instead. */
async function theirs(file: string): Promise<string> {
  const child = spawn(kubeScheduler, [`--config=${file}`, "--secure-port=0", "--v=1"]);
  let said = "";
  return await new Promise((resolve) => {
    const listen = (chunk: Buffer): void => {
      said += chunk.toString();
      if (!said.includes("Starting Kubernetes Scheduler")) return;
      child.kill("SIGKILL");
      resolve(SOUND);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("close", () => {
      const quoted = /"command failed" err=("(?:[^"\\]|\\.)*")/.exec(said)?.[1];
      if (quoted !== undefined) resolve(JSON.parse(quoted) as string);
      else resolve(said.includes("goroutine ") ? CRASHED : said);
    });
  });
}

/** Why ours does not begin; `SOUND` when it looks for the server. */
async function ours(text: string): Promise<string> {
  const stop = new AbortController();
  await using client = createApiClient({
    transport: {
      request() {
        // Profiles are made in the same turn as the first request.
        setImmediate(() => stop.abort());
        return Promise.reject(serviceUnavailable("there is none"));
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
  });
  try {
    const configuration = await parseConfiguration(text);
    const [clock, random, logger, { signal }] = [systemClock, systemRandom, silentLogger, stop];
    await runScheduler({ client, clock, random, logger, signal, configuration });
    return SOUND;
  } catch (error) {
    return stop.signal.aborted ? SOUND : (error as Error).message;
  }
}

// Needs upstream's program: CORACLE_PEER_KUBE_SCHEDULER says where it is.
describe.skipIf(kubeScheduler === "")("random configurations with faults", () => {
  it("are refused in upstream's words, and those that are sound are taken", { timeout: TIMEOUT_MS }, async () => {
    const dir = mkdtempSync(join(tmpdir(), "coracle-refusals-"));
    const wrong: string[] = [];
    let refused = 0;
    try {
      const kubeconfig = join(dir, "kubeconfig");
      const [name, server] = ["x", "http://127.0.0.1:1"];
      writeFileSync(
        kubeconfig,
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          clusters: [{ name, cluster: { server } }],
          users: [{ name, user: {} }],
          contexts: [{ name, context: { cluster: name, user: name } }],
          "current-context": name,
        }),
      );
      for (let i = 0; i < Number(wanted); i++) {
        const config = { ...randomFaults(new Draw(Number(firstSeed) + i)), clientConnection: { kubeconfig } };
        const text = JSON.stringify(config);
        const file = join(dir, "scheduler.json");
        writeFileSync(file, text);
        const [their, own] = await Promise.all([theirs(file), ours(text)]);
        if (their !== SOUND) refused += 1;
        if (their !== CRASHED && their !== own)
          wrong.push(`seed ${Number(firstSeed) + i}\nupstream ${their}\nours     ${own}\n${text}`);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const summary = `${wanted} configurations, ${refused} refused, not alike: ${wrong.length}`;
    process.stdout.write(`${summary}\n`);
    if (report !== "") writeFileSync(report, `${summary}\n\n${wrong.join("\n\n")}\n`);
    expect(wrong).toEqual([]);
  });
});
