import { benchStore } from "./store-bench.ts";

await benchStore((figure) => process.stdout.write(`${JSON.stringify(figure)}\n`));
