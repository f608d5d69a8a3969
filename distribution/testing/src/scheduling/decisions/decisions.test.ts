import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ensureBuilt } from "../../cluster/test-cluster.ts";
import { compareDecisions } from "./decisions.ts";
import { Tally } from "./tally.ts";

const {
  CORACLE_PEER_KUBE_SCHEDULER: kubeScheduler = "",
  /** How many pods, from which seed on, where what was found is written. */
  CORACLE_DECISIONS: wanted = "2400",
  CORACLE_DECISIONS_SEED: firstSeed = "1",
  CORACLE_DECISIONS_REPORT: report = "",
} = process.env;
const PODS_A_ROUND = 60;
const ENOUGH_TO_JUDGE = 1_500;
const FILTERS = [
  "NodeUnschedulable",
  "TaintToleration",
  "NodeAffinity",
  "NodePorts",
  "NodeResourcesFit",
  "VolumeRestrictions",
  "NodeVolumeLimits",
  "VolumeBinding",
  "VolumeZone",
  "PodTopologySpread",
  "InterPodAffinity",
  "DynamicResources",
];
const TIMEOUT_MS = 3_600_000;

// Needs upstream's program: CORACLE_PEER_KUBE_SCHEDULER says where it is.
describe.skipIf(kubeScheduler === "")(
  "random pods before random clusters, one by one, with upstream's scheduler",
  () => {
    it(
      "fit the same nodes, have the same scores, reasons, victims, volumes and devices",
      { timeout: TIMEOUT_MS },
      async () => {
        await ensureBuilt();
        const tally = new Tally();
        for (let seed = Number(firstSeed); tally.compared < Number(wanted); seed++) {
          await compareDecisions({ kubeScheduler, seed, pods: PODS_A_ROUND, isConfigured: seed % 2 === 0 }, tally);
          if (report !== "") writeFileSync(report, `${tally.report()}\n\n${tally.wrong.join("\n\n")}\n`);
        }
        process.stdout.write(`${tally.report()}\n`);
        expect(tally.wrong).toEqual([]);
        // A plugin that kept nothing off proves nothing.
        if (tally.compared >= ENOUGH_TO_JUDGE)
          for (const plugin of FILTERS) expect([plugin, (tally.refusals[plugin] ?? 0) >= 10]).toEqual([plugin, true]);
      },
    );
  },
);
