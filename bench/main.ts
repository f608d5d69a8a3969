import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { benchApi } from "./api/api-bench.ts";
import { benchCrd } from "./api/crd-bench.ts";
import { benchHostile } from "./api/hostile-bench.ts";
import { benchWatch } from "./api/watch-bench.ts";
import { benchIdle } from "./cluster/idle-bench.ts";
import { exitWhenInterrupted } from "./interrupt.ts";
import { benchStart } from "./cluster/start-bench.ts";
import { benchControllers } from "./controllers/controllers-bench.ts";
import { benchSchedulerCore, measureSchedulerMemory } from "./scheduler/core-bench.ts";
import { benchServedScheduler } from "./scheduler/served-bench.ts";
import { benchStore } from "./store/store-bench.ts";
import type { BenchOptions } from "./options.ts";

const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<void>>> = {
  start: benchStart,
  idle: benchIdle,
  api: benchApi,
  watch: benchWatch,
  crd: benchCrd,
  hostile: benchHostile,
  store: benchStore,
  controllers: benchControllers,
  scheduler: async (options) => {
    benchSchedulerCore(options);
    await benchServedScheduler(options);
  },
};

const USAGE = `usage: npm run bench -- ${Object.keys(BENCHES).join("|")} [--runs N] [--only TEXT] [--coracle FILE]
                 [--peer-apiserver PATH --peer-etcd PATH [--peer-scheduler PATH]]
                 [--peer-controller-manager PATH]`;

function parse(args: readonly string[]): { bench: (options: BenchOptions) => Promise<void>; options: BenchOptions } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "5" },
      coracle: {
        type: "string",
        default: join(fileURLToPath(new URL("..", import.meta.url)), "distribution/cli/bin/coracle.mjs"),
      },
      only: { type: "string", default: "" },
      "peer-apiserver": { type: "string" },
      "peer-kube-apiserver": { type: "string" },
      "peer-etcd": { type: "string" },
      "peer-scheduler": { type: "string" },
      "peer-controller-manager": { type: "string" },
    },
  });
  const bench = BENCHES[positionals[0] ?? ""];
  const runs = Number(values.runs);
  if (bench === undefined || positionals.length !== 1) throw new TypeError("which benchmark?");
  if (!Number.isInteger(runs) || runs < 1) throw new TypeError("--runs must be a number from 1 on");
  const kubeApiserver = values["peer-apiserver"] ?? values["peer-kube-apiserver"];
  const etcd = values["peer-etcd"];
  // The store is compared with etcd alone.
  if (positionals[0] !== "store" && (kubeApiserver === undefined) !== (etcd === undefined)) {
    throw new TypeError("--peer-apiserver and --peer-etcd go together");
  }
  const peer = etcd === undefined ? undefined : { kubeApiserver: kubeApiserver ?? "", etcd };
  const peerScheduler = values["peer-scheduler"];
  const peerControllerManager = values["peer-controller-manager"];
  const options = { runs, coracle: values.coracle, peer, peerScheduler, peerControllerManager, only: values.only };
  return { bench, options };
}

// A process of its own that the benchmark of the scheduler starts.
if (process.argv[2] === "scheduler-memory") {
  measureSchedulerMemory();
  process.exit(0);
}

let parsed;
try {
  parsed = parse(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exit(2);
}
exitWhenInterrupted();
await parsed.bench(parsed.options);
