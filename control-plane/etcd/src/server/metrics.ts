import { grpcCodeName } from "../grpc/grpc-error.ts";
import type { GrpcHandler } from "../grpc/grpc-server.ts";
import { toStatus } from "./etcd-error.ts";
import { ETCD_VERSION, type EtcdContext } from "./etcd-context.ts";

const MVCC_TOTALS: Readonly<Record<string, string>> = {
  "etcdserverpb.KV/Put": "etcd_mvcc_put_total",
  "etcdserverpb.KV/Range": "etcd_mvcc_range_total",
  "etcdserverpb.KV/DeleteRange": "etcd_mvcc_delete_total",
  "etcdserverpb.KV/Txn": "etcd_mvcc_txn_total",
};

/** Counts calls, and writes what is counted and measured under etcd's names. What has no truth here is left out. */
export class Metrics {
  readonly #started = new Map<string, number>();
  readonly #handled = new Map<string, number>();

  /** The same handler, counted. */
  counted(path: string, handler: GrpcHandler): GrpcHandler {
    const [, service = "", method = ""] = path.split("/");
    const labels = `grpc_method="${method}",grpc_service="${service}",grpc_type="${handler.type === "unary" ? "unary" : "bidi_stream"}"`;
    if (handler.type === "stream") {
      return {
        type: "stream",
        handle: (call) => {
          add(this.#started, labels);
          return handler.handle(call);
        },
      };
    }
    return {
      type: "unary",
      handle: async (message, call) => {
        add(this.#started, labels);
        try {
          const answer = await handler.handle(message, call);
          add(this.#handled, `grpc_code="OK",${labels}`);
          return answer;
        } catch (error) {
          add(this.#handled, `grpc_code="${grpcCodeName(toStatus(error).code)}",${labels}`);
          throw error;
        }
      },
    };
  }

  async text(context: EtcdContext): Promise<string> {
    const { store, alarms, memberId, auth } = context;
    const revision = await store.revision();
    const { totalBytes, usedBytes } = await store.size();
    const { count } = await store.range({ key: "\0", end: "\0", countOnly: true });
    const { user, system } = process.cpuUsage();
    const lines = [
      ...gauge("etcd_cluster_version", "Which version is running.", 1, 'cluster_version="3.6"'),
      ...gauge("etcd_server_version", "Which version is running.", 1, `server_version="${ETCD_VERSION}"`),
      ...gauge(
        "etcd_server_id",
        "Server or member ID in hexadecimal format.",
        1,
        `server_id="${memberId.toString(16)}"`,
      ),
      ...gauge("etcd_server_has_leader", "Whether or not a leader exists.", 1),
      ...gauge("etcd_server_is_leader", "Whether or not this member is a leader.", 1),
      ...gauge("etcd_server_is_learner", "Whether or not this member is a learner.", 0),
      ...gauge(
        "etcd_server_quota_backend_bytes",
        "Current backend storage quota size in bytes.",
        alarms.quotaBytes === Infinity ? 0 : alarms.quotaBytes,
      ),
      ...gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "Total size of the underlying database physically allocated in bytes.",
        totalBytes,
      ),
      ...gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Total size of the underlying database logically in use in bytes.",
        usedBytes,
      ),
      ...gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.", count),
      ...gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.", revision),
      ...gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.",
        store.compacted,
      ),
      ...gauge("etcd_debugging_auth_revision", "The current revision of auth store.", auth.state.revision),
      ...counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", [
        ["", (user + system) / 1e6],
      ]),
      ...gauge("process_resident_memory_bytes", "Resident memory size in bytes.", process.memoryUsage.rss()),
      ...counter("grpc_server_started_total", "Total number of RPCs started on the server.", this.#started),
      ...counter(
        "grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        this.#handled,
      ),
    ];
    for (const [path, name] of Object.entries(MVCC_TOTALS)) {
      const [service, method] = path.split("/");
      const labels = `grpc_code="OK",grpc_method="${method}",grpc_service="${service}",grpc_type="unary"`;
      lines.push(
        ...counter(name, `Total number of ${name.split("_")[2]}s seen by this member.`, [
          ["", this.#handled.get(labels) ?? 0],
        ]),
      );
    }
    return `${lines.join("\n")}\n`;
  }
}

function add(counts: Map<string, number>, labels: string): void {
  counts.set(labels, (counts.get(labels) ?? 0) + 1);
}

const named = (name: string, labels: string): string => (labels === "" ? name : `${name}{${labels}}`);

function gauge(name: string, help: string, value: number, labels = ""): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${named(name, labels)} ${value}`];
}

function counter(name: string, help: string, values: Iterable<readonly [labels: string, value: number]>): string[] {
  const rows = [...values].map(([labels, value]) => `${named(name, labels)} ${value}`);
  return rows.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} counter`, ...rows];
}
