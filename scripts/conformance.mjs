// `npm run conformance -- --e2e-test PATH --images DIR`: Kubernetes' conformance suite against a cluster of its own.
import { runBundled } from "./run-bundled.mjs";

await runBundled("conformance", { main: "distribution/testing/src/conformance/main.ts" });
