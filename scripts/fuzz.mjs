// `npm run fuzz -- --requests N`: wrong requests of every kind to an API server of its own; it must answer each of them.
import { runBundled } from "./run-bundled.mjs";

await runBundled("fuzz", { main: "distribution/testing/src/fuzz/main.ts" });
