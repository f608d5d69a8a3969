// `npm run differential`: the same requests to our API server and to upstream's, answers compared.
import { runBundled } from "./run-bundled.mjs";

await runBundled("differential", { main: "distribution/testing/src/differential/main.ts" });
