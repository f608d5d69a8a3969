import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Connection } from "../differential/connection.ts";
import { loadSeeds } from "../differential/seeds.ts";
import { startOurServer, startPeerServer } from "../differential/server.ts";
import { fuzz, makeSeeds, type Failure } from "./fuzz.ts";
import type { Call } from "../differential/connection.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "200000" },
    seed: { type: "string", default: "1" },
    // Upstream's programs: what is answered with 500 is asked there, too.
    "peer-kube-apiserver": { type: "string" },
    "peer-etcd": { type: "string" },
    coracle: { type: "string", default: "distribution/cli/bin/coracle.mjs" },
  },
});

/** Memory that may come and go while the server works, in MB. */
const GROWTH_LIMIT_MB = 150;
/** By then caches are filled and code is compiled. */
const WARM_AFTER = 20_000;

const residentMegabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

/** Samples of answers 500 that are asked of upstream, too. */
const MOST_KNOWN = 500;

function shapeOf(body: string): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? body;
  return message.replaceAll(/[^a-zA-Z ]+/g, " ").slice(0, 80);
}

const answerOf = async (from: Connection, call: Call): Promise<{ code: number; body: string }> => {
  const { code, body } = await from.send(call);
  return { code, body: body.toString("utf8") };
};

/** The samples that upstream does not answer with 500. */
async function askUpstream(kubeApiserver: string, etcd: string): Promise<Failure[]> {
  await using peer = await startPeerServer({ kubeApiserver, etcd });
  const asked = await Connection.open(peer.target);
  const found: Failure[] = [];
  await makeSeeds(seeds, (call) => answerOf(asked, call));
  for (const failure of known.values()) {
    const { code, body } = await answerOf(asked, failure.call);
    if (code !== 500) found.push({ ...failure, body: `${failure.body}\n   upstream ${code}: ${body.slice(0, 500)}` });
  }
  asked.close();
  return found;
}

await using server = await startOurServer(values.coracle);
const connection = await Connection.open(server.target);
const [pid = 0] = server.pids;
let warm: number | undefined;
const seeds = loadSeeds();
/** A sample of each text of an answer 500, by the text without names and numbers. */
const known = new Map<string, Failure>();
const failures = await fuzz({
  seeds,
  requests: Number(values.requests),
  seed: Number(values.seed),
  atOnce: 16,
  send: (call) => answerOf(connection, call),
  known(failure) {
    const kind = shapeOf(failure.body);
    if (known.size < MOST_KNOWN && !known.has(kind)) known.set(kind, failure);
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
const ours: Failure[] = [];
const { "peer-kube-apiserver": peerServer, "peer-etcd": peerEtcd } = values;
if (peerServer !== undefined && peerEtcd !== undefined) {
  ours.push(...(await askUpstream(peerServer, peerEtcd)));
  process.stdout.write(`${known.size} samples of answers 500, ${ours.length} of them not upstream's\n`);
}
for (const { call, code, body } of [...failures, ...ours]) {
  const sent = call.body === undefined ? "" : call.body.toString().slice(0, 400);
  process.stdout.write(
    `${code} ${call.method} ${call.path.slice(0, 300)} ${JSON.stringify(call.headers)} ${sent}\n   ${body}\n`,
  );
}
process.stdout.write(
  `${values.requests} requests: ${failures.length} failures, server ${isUp ? "up" : "gone"}, memory ${grown >= 0 ? "+" : ""}${grown.toFixed(0)} MB since warm\n`,
);
process.exitCode = failures.length + ours.length === 0 && isUp && grown < GROWTH_LIMIT_MB ? 0 : 1;
