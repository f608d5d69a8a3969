import type { BenchOptions } from "../options.ts";
import { cpuSeconds } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { ApiConnection, type Target } from "./connection.ts";
import type { Job, JobResult, RequestsJob } from "./jobs.ts";
import { Load } from "./load.ts";
import { NAMESPACE } from "./objects.ts";
import type { RequestKind } from "./requests.ts";
import { startOurs, startPeer, type BenchServer } from "./servers.ts";

const SESSIONS = 4;
const CLIENTS = 32;
const LOAD_MS = 3_000;

/** Starts one of the two servers that are compared. */
export type StartServer = () => Promise<BenchServer>;

/** Metric → its value. */
type Figures = Map<string, { readonly value: number; readonly unit: string }>;

/** What is found out about one server, ours or the peer's. */
export interface Findings {
  /** Whether the metric is asked for. */
  wants(metric: string): boolean;
  set(metric: string, value: number, unit: string): void;
}

/** Measures ours, then the peer if there is one, and prints a figure for each metric. */
export async function compare(
  bench: string,
  options: BenchOptions,
  measure: (find: Findings, start: StartServer, who: "ours" | "peer") => Promise<void>,
): Promise<void> {
  const findings = async (start: StartServer, who: "ours" | "peer"): Promise<Figures> => {
    const figures: Figures = new Map();
    await measure(
      {
        wants: (metric) => metric.includes(options.only),
        set(metric, value, unit) {
          figures.set(metric, { value, unit });
          note(`${metric}: ${Number(value.toPrecision(4))} ${unit}`);
        },
      },
      start,
      who,
    );
    return figures;
  };
  note("our API server");
  const ours = await findings(() => startOurs(options.coracle), "ours");
  const { peer } = options;
  if (peer !== undefined) note("the peer");
  const theirs = peer === undefined ? undefined : await findings(() => startPeer(peer), "peer");
  for (const [metric, { value, unit }] of ours) {
    const other = theirs?.get(metric)?.value;
    report({ bench, metric, value, unit, ...(other === undefined ? {} : { peer: other }) });
  }
}

/** A server with a namespace and a service account that works in it, and the process that asks it. */
export class LoadedServer implements AsyncDisposable {
  readonly server: BenchServer;
  readonly load = new Load();
  readonly #runs: number;
  /** How many objects of each kind were made. */
  readonly #made = new Map<RequestKind, number>();

  private constructor(server: BenchServer, runs: number) {
    this.server = server;
    this.#runs = runs;
  }

  static async start(start: StartServer, runs: number): Promise<LoadedServer> {
    const loaded = new LoadedServer(await start(), runs);
    try {
      await loaded.connect(await prepare(loaded.server.admin));
      return loaded;
    } catch (error) {
      await loaded[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Opens the connections that requests go over, as the holder of a token. */
  async connect(token: string): Promise<void> {
    const { url, ca } = this.server.admin;
    await this.load.run({ type: "connect", target: { url, ca, token }, sessions: SESSIONS });
  }

  /** Makes objects up to a number, outside of any measurement. */
  async fill(kind: RequestKind, upTo: number): Promise<void> {
    const made = this.#made.get(kind) ?? 0;
    if (upTo <= made) return;
    await this.load.run({ ...jobOf([kind]), maxCount: upTo - made, maxMs: 3_600_000, from: made });
    this.#made.set(kind, upTo);
  }

  /** Requests of one kind that one CPU second of the server serves: the median, after a run that does not count. */
  async requestsPerCpuSecond(kind: RequestKind, existing: number, clients = CLIENTS): Promise<number> {
    const job = { ...jobOf([kind]), clients, existing };
    await this.load.run({ ...job, maxMs: LOAD_MS / 2 });
    return this.perCpuSecond(() => job);
  }

  /** The same for creating objects, some for each run. */
  async createsPerCpuSecond(kind: RequestKind, batch: number): Promise<number> {
    await this.fill(kind, (this.#made.get(kind) ?? 0) + batch);
    return this.perCpuSecond(() => {
      const from = this.#made.get(kind) ?? 0;
      this.#made.set(kind, from + batch);
      return { ...jobOf([kind]), maxCount: batch, maxMs: 300_000, from };
    });
  }

  /** What jobs count for one CPU second of the server; the median. */
  async perCpuSecond(jobOfRun: () => Job, onResult?: (result: JobResult) => void): Promise<number> {
    const rates: number[] = [];
    for (let run = 0; run < this.#runs; run++) {
      const before = cpuSeconds(this.server.pids);
      const result = await this.load.run(jobOfRun());
      rates.push(result.count / (cpuSeconds(this.server.pids) - before));
      onResult?.(result);
    }
    return median(rates);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Requests of the kinds, for as long as one measurement takes. */
export function jobOf(kinds: readonly RequestKind[]): RequestsJob {
  const maxCount = Number.MAX_SAFE_INTEGER;
  return { type: "requests", kinds, clients: CLIENTS, maxCount, maxMs: LOAD_MS, from: 0, existing: 1 };
}

/** A namespace, and a service account that may work in it and no more; answers its token. */
export async function prepare(admin: Target): Promise<string> {
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
      rules: [
        { apiGroups: [""], resources: ["pods", "pods/status", "configmaps"], verbs: ["*"] },
        { apiGroups: ["bench.example.com"], resources: ["*"], verbs: ["*"] },
      ],
    });
    await post(`${rbac}/clusterrolebindings`, {
      metadata: { name: "bench" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "bench" },
      subjects: [{ kind: "ServiceAccount", name: "bench", namespace: NAMESPACE }],
    });
    const answer = await post(`${accounts}/bench/token`, { spec: { expirationSeconds: 86_400 } });
    return (JSON.parse(answer) as { status: { token: string } }).status.token;
  } finally {
    connection.close();
  }
}
