import type { BenchOptions } from "../options.ts";
import { pssMegabytes } from "../process-usage.ts";
import { compare, LoadedServer, type Findings, type StartServer } from "./api-measurement.ts";
import { measureEmpty } from "./empty-server.ts";
import { measureEnvironments } from "./environments.ts";
import { measureHeldObjects } from "./held-objects.ts";
import type { RequestKind } from "./requests.ts";

const PODS = 5_000;
const CONFIG_MAPS = 500;
const LIST_CLIENTS = 2;
/** New pods of one run. */
const CREATES = 1_500;

/** Requests that leave the number of objects as it is. */
const REQUESTS: readonly {
  readonly metric: string;
  readonly kind: RequestKind;
  readonly existing: number;
  readonly clients?: number;
}[] = [
  { metric: "GET of a pod", kind: "get", existing: PODS },
  { metric: "LIST of pods, limit=500", kind: "listPage", existing: PODS, clients: LIST_CLIENTS },
  { metric: "LIST of 5,000 pods, JSON", kind: "list", existing: PODS, clients: LIST_CLIENTS },
  { metric: "LIST of 5,000 pods, protobuf", kind: "listProtobuf", existing: PODS, clients: LIST_CLIENTS },
  { metric: "LIST of pods by label, 1 %", kind: "listByLabel", existing: PODS, clients: 8 },
  { metric: "merge patch of a label", kind: "mergePatch", existing: PODS },
  { metric: "status by strategic merge patch", kind: "statusPatch", existing: PODS },
  { metric: "server-side apply of a config map", kind: "applyConfigMap", existing: CONFIG_MAPS },
];
const CREATE = "durable create of a pod";

/** The API server by itself: what its CPU time and its memory are good for, and how it starts. */
export function benchApi(options: BenchOptions): Promise<void> {
  return compare("api", options, async (find, start, who) => {
    await measureEmpty(find, start, options.runs);
    await measureRequests(find, start, options.runs);
    await measureHeldObjects(find, start, options.runs);
    await measureEnvironments(find, who === "ours" ? options.coracle : options.peer, options.runs);
  });
}

async function measureRequests(find: Findings, start: StartServer, runs: number): Promise<void> {
  const wanted = REQUESTS.filter(({ metric }) => find.wants(metric));
  const memory = "memory with 5,000 pods";
  if (wanted.length === 0 && !find.wants(CREATE) && !find.wants(memory)) return;
  await using loaded = await LoadedServer.start(start, runs);
  await loaded.fill("create", PODS);
  if (find.wants(memory)) find.set(memory, pssMegabytes(loaded.server.pids), "MB PSS");
  for (const { metric, kind, existing, clients } of wanted) {
    if (kind === "applyConfigMap") await loaded.fill("createConfigMap", CONFIG_MAPS);
    find.set(metric, await loaded.requestsPerCpuSecond(kind, existing, clients), "requests/CPU s");
  }
  if (find.wants(CREATE)) find.set(CREATE, await loaded.createsPerCpuSecond("create", CREATES), "requests/CPU s");
}
