// A runtime in a process of its own, for tests that kill it. Arguments: folder, socket.
import { join } from "node:path";
import { silentLogger } from "@coracle/base";
import { openPodNetwork } from "../../cni/src/index.ts";
import { runContainerRuntime } from "../src/index.ts";

const [, , folder = "", socketPath = ""] = process.argv;

async function main(): Promise<void> {
  const end = new AbortController();
  process.once("SIGTERM", () => end.abort());
  const network = await openPodNetwork({ dataDir: join(folder, "cni"), podCidr: "10.77.0.0/24" });
  await runContainerRuntime({
    socketPath,
    rootDir: join(folder, "root"),
    stateDir: join(folder, "state"),
    network,
    signal: end.signal,
    logger: silentLogger,
    onReady: () => process.stdout.write("ready\n"),
  });
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);
