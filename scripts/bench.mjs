// `npm run bench -- NAME`: bundles the benchmarks of bench/ and runs one against the built cluster.
import { runBundled } from "./run-bundled.mjs";

await runBundled("bench", {
  main: "bench/main.ts",
  load: "bench/api/load-process.ts",
  nodes: "bench/controllers/nodes-process.ts",
  hostile: "bench/api/hostile-process.ts",
});
