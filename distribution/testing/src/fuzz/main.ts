import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Connection } from "../differential/connection.ts";
import { loadSeeds } from "../differential/seeds.ts";
import { startOurServer } from "../differential/server.ts";
import { fuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "200000" },
    seed: { type: "string", default: "1" },
    coracle: { type: "string", default: "distribution/cli/bin/coracle.mjs" },
  },
});

/** Memory that may come and go while the server works, in MB. */
const GROWTH_LIMIT_MB = 150;
/** By then caches are filled and code is compiled. */
const WARM_AFTER = 20_000;

const residentMegabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

await using server = await startOurServer(values.coracle);
const connection = await Connection.open(server.target);
const [pid = 0] = server.pids;
let warm: number | undefined;
const failures = await fuzz({
  seeds: loadSeeds(),
  requests: Number(values.requests),
  seed: Number(values.seed),
  atOnce: 16,
  async send(call) {
    const { code, body } = await connection.send(call);
    return { code, body: body.toString("utf8") };
  },
  progress(done) {
    const memory = residentMegabytes(pid);
    if (done >= WARM_AFTER) warm ??= memory;
    process.stdout.write(`${done} requests, ${memory.toFixed(0)} MB\n`);
  },
});
const isUp = !server.hasEnded && (await connection.send({ method: "GET", path: "/readyz" })).code === 200;
const grown = residentMegabytes(pid) - (warm ?? residentMegabytes(pid));
connection.close();
for (const { call, code, body } of failures) {
  const sent = call.body === undefined ? "" : call.body.toString().slice(0, 400);
  process.stdout.write(
    `${code} ${call.method} ${call.path.slice(0, 300)} ${JSON.stringify(call.headers)} ${sent}\n   ${body}\n`,
  );
}
process.stdout.write(
  `${values.requests} requests: ${failures.length} failures, server ${isUp ? "up" : "gone"}, memory ${grown >= 0 ? "+" : ""}${grown.toFixed(0)} MB since warm\n`,
);
process.exitCode = failures.length === 0 && isUp && grown < GROWTH_LIMIT_MB ? 0 : 1;
