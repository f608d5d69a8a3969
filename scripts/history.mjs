// `npm run history -- --rounds 200`: histories of requests under kills, full disks, torn writes, damaged pages, lost leaders and partitions.
// `npm run history -- --only controllers --rounds 20`: random histories of workloads, with controllers that are killed at random moments.
// `npm run history -- --only exchange --peer-kube-controller-manager P`: such histories, ended by ours as by upstream's.
import { runBundled } from "./run-bundled.mjs";

const text = process.argv.join(" ");
if (/--only[= ](controllers|exchange)\b/.test(text))
  await runBundled("history-controllers", { main: "distribution/testing/src/exchange/random/main.ts" });
else {
  const tests = "control-plane/etcd/test/history";
  await runBundled("history", { main: `${tests}/main.ts`, server: `${tests}/server-process.ts` });
}
