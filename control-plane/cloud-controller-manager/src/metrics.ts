import { Counter, exponentialBuckets, Gauge, Histogram, systemClock, type Clock, type Instrument } from "@coracle/base";
import { WorkQueueMetrics, type WorkQueueObserver } from "@coracle/client";

/** Upstream's names of the queues, by those of the controllers. */
const QUEUE_NAMES: Readonly<Record<string, string>> = {
  "cloud-node": "Nodes",
  "service-lb": "service",
  route: "Routes",
};

const FROM_A_SECOND = exponentialBuckets(1, 2, 15);
const NODE_SECONDS = exponentialBuckets(1, 4, 6);
const CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** What the manager counts, by upstream's names. */
export class CloudMetrics {
  readonly balancerSyncs = new Counter(
    "service_controller_loadbalancer_sync_total",
    "[ALPHA] A metric counting the amount of times any load balancer has been configured, as an effect of service/node changes on the cluster",
  );
  readonly nodeSyncErrors = new Counter(
    "service_controller_nodesync_error_total",
    "[ALPHA] A metric counting the amount of times any load balancer has been configured and errored, as an effect of node changes on the cluster",
  );
  readonly nodeSyncSeconds = new Histogram(
    "service_controller_nodesync_latency_seconds",
    "[ALPHA] A metric measuring the latency for nodesync which updates loadbalancer hosts on cluster node updates.",
    FROM_A_SECOND,
  );
  readonly hostUpdateSeconds = new Histogram(
    "service_controller_update_loadbalancer_host_latency_seconds",
    "[ALPHA] A metric measuring the latency for updating each load balancer hosts.",
    FROM_A_SECOND,
  );
  readonly taintRemovalSeconds = new Histogram(
    "node_controller_cloud_provider_taint_removal_delay_seconds",
    "[ALPHA] Number of seconds after node creation when NodeController removed the cloud-provider taint of a single node.",
    NODE_SECONDS,
  );
  readonly initialSyncSeconds = new Histogram(
    "node_controller_initial_node_sync_delay_seconds",
    "[ALPHA] Number of seconds after node creation when NodeController finished the initial synchronization of a single node.",
    NODE_SECONDS,
  );
  /** Controllers, by upstream's former names: whether they run. */
  readonly #isRunning = new Map<string, boolean>();
  readonly #running = new Gauge(
    "running_managed_controllers",
    "[ALPHA] Indicates where instances of a controller are currently running",
    ["manager", "name"],
    () => [...this.#isRunning].map(([name, isRunning]) => [["cloud-controller-manager", name], isRunning ? 1 : 0]),
  );
  /** Of one provider, made when it is first asked. */
  #calls: { readonly seconds: Histogram; readonly errors: Counter } | undefined;
  readonly #queues: WorkQueueMetrics;

  constructor(clock: Clock = systemClock) {
    this.#queues = new WorkQueueMetrics(clock);
  }

  /** For the queue of the controller of this name. */
  of(name: string): WorkQueueObserver {
    return this.#queues.of(QUEUE_NAMES[name] ?? name);
  }

  setRunning(controller: string, isRunning: boolean): void {
    this.#isRunning.set(controller, isRunning);
  }

  observeCall(provider: string, request: string, seconds: number): void {
    this.#callsOf(provider).seconds.observe(seconds, request);
  }

  countFailedCall(provider: string, request: string): void {
    this.#callsOf(provider).errors.add(1, request);
  }

  /** Named as upstream's own providers name theirs. */
  #callsOf(provider: string): { readonly seconds: Histogram; readonly errors: Counter } {
    const name = `cloudprovider_${provider.replaceAll(/[^A-Za-z0-9_]/g, "_")}_api_request`;
    return (this.#calls ??= {
      seconds: new Histogram(
        `${name}_duration_seconds`,
        "[ALPHA] Latency of a call of the cloud provider",
        CALL_SECONDS,
        ["request"],
      ),
      errors: new Counter(`${name}_errors`, "[ALPHA] Failed calls of the cloud provider", ["request"]),
    });
  }

  /** In Prometheus' text format. */
  text(): string {
    const all: readonly Instrument[] = [
      this.balancerSyncs,
      this.nodeSyncErrors,
      this.nodeSyncSeconds,
      this.hostUpdateSeconds,
      this.taintRemovalSeconds,
      this.initialSyncSeconds,
      this.#running,
      ...Object.values(this.#calls ?? {}),
      this.#queues,
    ];
    return all.map((instrument) => instrument.text()).join("");
  }
}
