import { silentLogger, systemClock } from "@coracle/base";
import { parseEtcdFlags, runEtcd } from "../../src/index.ts";

// A server in a process of its own, to be killed.
await runEtcd({
  flags: parseEtcdFlags(process.argv.slice(2)),
  clock: systemClock,
  logger: silentLogger,
  signal: new AbortController().signal,
  onReady: () => void process.stdout.write("ready\n"),
});
