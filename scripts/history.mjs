// `npm run history -- --rounds 200`: histories of requests under kills, full disks, torn writes, damaged pages, lost leaders and partitions.
import { runBundled } from "./run-bundled.mjs";

const tests = "control-plane/etcd/test/history";
await runBundled("history", { main: `${tests}/main.ts`, server: `${tests}/server-process.ts` });
