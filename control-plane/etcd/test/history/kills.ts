import { sleep, systemClock } from "@coracle/base";
import { createRemoteStore } from "../../src/index.ts";
import { freePort } from "../running-etcd.ts";
import { kill, startServer, type Outcome, type Setting } from "./scenario.ts";
import { Workload } from "./workload.ts";

/** Our server is killed at random moments, and stopped before now and then. */
export async function kills({ rounds, random, dir, serverProgram }: Setting): Promise<Outcome> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const args = [`--data-dir=${dir}/data`, `--listen-client-urls=${url}`];
  let server = await startServer(serverProgram, args);
  const store = createRemoteStore({ endpoints: [url], clock: systemClock, random });
  try {
    const workload = new Workload([store], random);
    await workload.begin(8);
    for (let round = 0; round < rounds; round++) {
      await sleep(systemClock, 50 + random.next() * 250);
      if (random.next() < 0.3) {
        server.kill("SIGSTOP");
        await sleep(systemClock, 50 + random.next() * 200);
        server.kill("SIGCONT");
        await sleep(systemClock, random.next() * 100);
      }
      await kill(server);
      server = await startServer(serverProgram, args);
    }
    await workload.end();
    return { checked: workload.acknowledged, faults: workload.faults() };
  } finally {
    await store[Symbol.asyncDispose]();
    await kill(server);
  }
}
