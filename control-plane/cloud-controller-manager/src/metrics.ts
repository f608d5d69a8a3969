import { Counter, exponentialBuckets, Histogram, type Instrument } from "@coracle/base";

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
  readonly hostUpdateSeconds = new Histogram(
    "service_controller_update_loadbalancer_host_latency_seconds",
    "[ALPHA] A metric measuring the latency for updating each load balancer hosts.",
    exponentialBuckets(1, 2, 15),
  );
  readonly taintRemovalSeconds = new Histogram(
    "node_controller_cloud_provider_taint_removal_delay_seconds",
    "[ALPHA] Number of seconds after node creation when NodeController removed the cloud-provider taint of a single node.",
    exponentialBuckets(1, 4, 6),
  );
  readonly initialSyncSeconds = new Histogram(
    "node_controller_initial_node_sync_delay_seconds",
    "[ALPHA] Number of seconds after node creation when NodeController finished the initial synchronization of a single node.",
    exponentialBuckets(1, 4, 6),
  );

  /** In Prometheus' text format. */
  text(): string {
    const all: readonly Instrument[] = [
      this.balancerSyncs,
      this.nodeSyncErrors,
      this.hostUpdateSeconds,
      this.taintRemovalSeconds,
      this.initialSyncSeconds,
    ];
    return all.map((instrument) => instrument.text()).join("");
  }
}
