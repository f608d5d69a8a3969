import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { exitWhenInterrupted } from "../interrupt.ts";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds, pssMegabytes } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { ApiConnection, type Target } from "./connection.ts";
import type { Job, JobResult, RequestKind } from "./jobs.ts";
import { NAMESPACE, podName } from "./pod.ts";
import { startOurs, startPeer, type BenchServer } from "./servers.ts";

const SESSIONS = 4;
const CLIENTS = 32;
const PODS = 10_000;
const WATCHERS = 800;
const WATCH_SESSIONS = 10;
const CHANGES = 80;
const CHANGE_EVERY_MS = 50;
const LOAD_MS = 3_000;

/** Metric → its value. */
type Figures = Map<string, { readonly value: number; readonly unit: string }>;

/** The API server by itself: how many requests one second of its CPU time serves. */
export async function benchApi(options: BenchOptions): Promise<void> {
  exitWhenInterrupted();
  note("our API server, embedded store");
  const ours = await measure(() => startOurs(options.coracle), options);
  let theirs: Figures | undefined;
  if (options.peer !== undefined) {
    const { peer } = options;
    note("the peer");
    theirs = await measure(() => startPeer(peer), options);
  }
  for (const [metric, { value, unit }] of ours) {
    const peer = theirs?.get(metric)?.value;
    report({ bench: "api", metric, value, unit, ...(peer === undefined ? {} : { peer }) });
  }
}

/** The load process, asked one thing at a time. */
class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  #answer: (result: JobResult) => void = () => {};

  constructor() {
    this.#child = fork(fileURLToPath(new URL("load.mjs", `file://${process.argv[1]}`)));
    this.#child.on("message", (result: JobResult) => this.#answer(result));
    this.#child.on("close", () => this.#answer({ count: 0, error: "the load process ended" }));
  }

  async run(job: Job): Promise<number> {
    const result = await new Promise<JobResult>((resolve) => {
      this.#answer = resolve;
      this.#child.send(job);
    });
    if (result.error !== undefined) throw new Error(result.error);
    return result.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill();
    await gone;
  }
}

async function measure(start: () => Promise<BenchServer>, options: BenchOptions): Promise<Figures> {
  await using server = await start();
  await using load = new Load();
  const figures: Figures = new Map();
  const set = (metric: string, value: number, unit: string): void => {
    figures.set(metric, { value, unit });
    note(`${metric}: ${Number(value.toPrecision(4))} ${unit}`);
  };
  set("empty server", pssMegabytes(server.pids), "MB PSS");
  const token = await prepare(server.admin);
  const { url, ca } = server.admin;
  await load.run({ type: "connect", target: { url, ca, token }, sessions: SESSIONS });

  /** Medians of what one CPU second of the server gives, after one run that does not count. */
  const perCpuSecond = async (runs: number, job: (run: number) => Job): Promise<number> => {
    const rates: number[] = [];
    for (let run = 0; run < runs; run++) {
      const before = cpuSeconds(server.pids);
      const count = await load.run(job(run));
      rates.push(count / (cpuSeconds(server.pids) - before));
    }
    return median(rates);
  };
  const requests =
    (kind: RequestKind, clients: number, maxMs = LOAD_MS) =>
    (): Job => ({
      type: "requests",
      kind,
      clients,
      maxCount: Number.MAX_SAFE_INTEGER,
      maxMs,
      pods: PODS,
    });

  const batch = Math.ceil(PODS / options.runs);
  const createBatch = (run: number, count: number): Job => ({
    type: "requests",
    kind: "create",
    clients: CLIENTS,
    maxCount: count,
    maxMs: 300_000,
    pods: run * batch,
  });
  // Warm code is what a server that has been up for a minute runs.
  await load.run(createBatch(options.runs, 500));
  const name = podName(options.runs * batch);
  await load.run({ type: "openWatches", count: WATCHERS, name, sessions: WATCH_SESSIONS });
  const change = { type: "change", name, changes: CHANGES, everyMs: CHANGE_EVERY_MS } as const;
  await load.run({ ...change, changes: CHANGES / 4 });
  set("one change to 800 watchers", await perCpuSecond(options.runs, () => change), "deliveries/CPU s");
  await load.run({ type: "closeWatches" });
  const creates = await perCpuSecond(options.runs, (run) => createBatch(run, Math.min(batch, PODS - run * batch)));
  set("durable create of a pod", creates, "requests/CPU s");
  set("with 10,500 pods", pssMegabytes(server.pids), "MB PSS");
  for (const [metric, kind, clients] of [
    ["GET of a pod", "get", CLIENTS],
    ["merge patch of a pod", "mergePatch", CLIENTS],
    ["strategic patch of a pod's status", "statusPatch", CLIENTS],
    ["LIST of 10,500 pods as JSON", "list", 2],
  ] as const) {
    await load.run(requests(kind, clients, LOAD_MS / 2)());
    set(metric, await perCpuSecond(options.runs, requests(kind, clients)), "requests/CPU s");
  }
  return figures;
}

/** A namespace, and a service account that may do with pods what it likes, and nothing else; answers its token. */
async function prepare(admin: Target): Promise<string> {
  const connection = await ApiConnection.open(admin);
  const post = async (path: string, object: object): Promise<string> =>
    await connection.request({ method: "POST", path, body: JSON.stringify(object) });
  try {
    await post("/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    const accounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
    // Pods run as "default", which no controller makes here.
    for (const name of ["default", "bench"]) await post(accounts, { metadata: { name } });
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    await post(`${rbac}/clusterroles`, {
      metadata: { name: "bench" },
      rules: [{ apiGroups: [""], resources: ["pods", "pods/status"], verbs: ["*"] }],
    });
    await post(`${rbac}/clusterrolebindings`, {
      metadata: { name: "bench" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "bench" },
      subjects: [{ kind: "ServiceAccount", name: "bench", namespace: NAMESPACE }],
    });
    const answer = await post(`${accounts}/bench/token`, { spec: { expirationSeconds: 7200 } });
    return (JSON.parse(answer) as { status: { token: string } }).status.token;
  } finally {
    connection.close();
  }
}
