import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSeededRandom, silentLogger, systemClock } from "@coracle/base";
import { parseConfiguration, runScheduler, SchedulerDebug } from "@coracle/kube-scheduler";
import { coracleFile } from "../../cluster/test-cluster.ts";
import { createTestControlPlane } from "../../control-plane/test-control-plane.ts";
import { startOurServer } from "../../differential/server.ts";
import { adminOf, startScheduler } from "../scheduler-process.ts";
import { Draw } from "./draw.ts";
import { randomConfiguration } from "./random-configuration.ts";
import { Moments } from "./random-cluster.ts";
import { fill, playRound } from "./round.ts";
import { Side } from "./side.ts";
import type { Tally } from "./tally.ts";
import { ScoreLog } from "./upstream-scores.ts";

export interface RoundOptions {
  readonly kubeScheduler: string;
  readonly seed: number;
  readonly pods: number;
  /** Else it is upstream's default. */
  readonly isConfigured: boolean;
}

/** One random cluster, and random pods one by one, before upstream's scheduler and before ours, each at a server of its own. */
export async function compareDecisions({ kubeScheduler, seed, pods, isConfigured }: RoundOptions, tally: Tally) {
  const draw = new Draw(seed);
  const moments = new Moments();
  const configuration = randomConfiguration(draw, isConfigured);
  tally.begin(`seed ${seed}${isConfigured ? " configured" : ""}`);
  await using server = await startOurServer(coracleFile());
  await using admin = adminOf(server);
  await using plane = await createTestControlPlane({ components: [] });
  await using upstream = new Side(admin);
  await using ours = new Side(plane.admin);
  await fill(draw, moments, [upstream, ours]);

  const debug = new SchedulerDebug();
  const parsed = await parseConfiguration(JSON.stringify(configuration));
  await new Promise<void>((onReady) =>
    plane.run("kube-scheduler", async (signal) => {
      const client = plane.clientOf("system:kube-scheduler");
      const [clock, random] = [systemClock, createSeededRandom(seed)];
      await runScheduler({
        client,
        clock,
        random,
        logger: silentLogger,
        signal,
        debug,
        configuration: parsed,
        onReady,
      });
    }),
  );
  const file = join(server.dir, "scheduler.json");
  const args = [`--config=${file}`, "--vmodule=schedule_one=10", "--feature-gates=OpportunisticBatching=false"];
  await using scheduler = startScheduler(server, [kubeScheduler, ...args], (kubeconfig) =>
    writeFileSync(file, JSON.stringify({ ...configuration, clientConnection: { kubeconfig, qps: 5000, burst: 5000 } })),
  );
  const schedulerNames = configuration.profiles.map(({ schedulerName }) => schedulerName) as [string, ...string[]];
  const arena = {
    upstream,
    ours,
    explain: debug.explain.bind(debug),
    scores: new ScoreLog(scheduler.logFile),
    schedulerNames,
  };
  await playRound(draw, moments, arena, pods, tally);
}
