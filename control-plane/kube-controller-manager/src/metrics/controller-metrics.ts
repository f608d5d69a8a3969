import { Counter, exponentialBuckets, Gauge, Histogram, type Instrument } from "@coracle/base";

/** How many nodes of each zone are there, and how many are not ready. */
export type ZoneSizes = () => Iterable<readonly [zone: string, size: number, notReady: number]>;

/** Pods that want a volume labelled differently. */
export type LabelConflicts = () => Iterable<{
  readonly property: string;
  readonly pod: string;
  readonly value: string;
  readonly otherPod: string;
  readonly otherValue: string;
}>;

/** Why the collector of pods removed one, in upstream's words. */
export type PodRemoval = "terminated" | "orphaned" | "out-of-service" | "unscheduled";

const FROM_A_MILLISECOND = exponentialBuckets(0.001, 2, 15);
const EVICTION_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];

/** What the controllers count and measure of themselves, under upstream's names. */
export class ControllerMetrics {
  readonly #instruments: Instrument[] = [];
  #zones: ZoneSizes = () => [];
  #labelConflicts: LabelConflicts = () => [];
  readonly #ageRatios = this.#histogram(
    "replicaset_controller_sorting_deletion_age_ratio",
    "[ALPHA] The ratio of chosen deleted pod's ages to the current youngest pod's age (at the time). Should be <2. The intent of this metric is to measure the rough efficacy of the LogarithmicScaleDown feature gate's effect on the sorting (and deletion) of pods when a replicaset scales down. This only considers Ready pods when calculating and reporting.",
    exponentialBuckets(0.25, 2, 6),
  );
  readonly #unsynced = this.#counter(
    "garbagecollector_controller_resources_sync_error_total",
    "[ALPHA] Number of garbage collector resources sync errors",
  );
  readonly #rootCaSyncs = this.#counter(
    "root_ca_cert_publisher_sync_total",
    "[ALPHA] Number of namespace syncs happened in root ca cert publisher.",
    ["code"],
  );
  readonly #rootCaSeconds = this.#histogram(
    "root_ca_cert_publisher_sync_duration_seconds",
    "[ALPHA] Number of namespace syncs happened in root ca cert publisher.",
    FROM_A_MILLISECOND,
    ["code"],
  );
  readonly #evictedNodes = this.#counter(
    "node_collector_evictions_total",
    "[STABLE] Number of Node evictions that happened since current instance of NodeController started.",
    ["zone"],
  );
  readonly #nodeSeconds = this.#histogram(
    "node_collector_update_node_health_duration_seconds",
    "[ALPHA] Duration in seconds for NodeController to update the health of a single node.",
    exponentialBuckets(0.001, 4, 8),
  );
  readonly #allNodesSeconds = this.#histogram(
    "node_collector_update_all_nodes_health_duration_seconds",
    "[ALPHA] Duration in seconds for NodeController to update the health of all nodes.",
    exponentialBuckets(0.01, 4, 8),
  );
  readonly #taintDeletions = this.#counter(
    "taint_eviction_controller_pod_deletions_total",
    "[ALPHA] Total number of Pods deleted by TaintEvictionController since its start.",
  );
  readonly #taintSeconds = this.#histogram(
    "taint_eviction_controller_pod_deletion_duration_seconds",
    "[ALPHA] Latency, in seconds, between the time when a taint effect has been activated for the Pod and its deletion via TaintEvictionController.",
    EVICTION_SECONDS,
  );
  readonly #removedPods = this.#counter(
    "pod_gc_collector_force_delete_pods_total",
    "[ALPHA] Number of pods that are being forcefully deleted since the Pod GC Controller started.",
    ["namespace", "reason"],
  );
  readonly #removalErrors = this.#counter(
    "pod_gc_collector_force_delete_pod_errors_total",
    "[ALPHA] Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started.",
    ["namespace", "reason"],
  );
  readonly #expirySeconds = this.#histogram(
    "ttl_after_finished_controller_job_deletion_duration_seconds",
    "[ALPHA] The time it took to delete the job since it became eligible for deletion",
    exponentialBuckets(0.1, 2, 14),
  );
  readonly #skewSeconds = this.#histogram(
    "cronjob_controller_job_creation_skew_duration_seconds",
    "[STABLE] Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
    exponentialBuckets(1, 2, 10),
  );

  constructor() {
    const zones = (name: string, help: string, value: (size: number, notReady: number) => number): void => {
      this.#instruments.push(
        new Gauge(`node_collector_${name}`, `[ALPHA] ${help}`, ["zone"], () =>
          [...this.#zones()].map(([zone, size, notReady]) => [[zone], value(size, notReady)]),
        ),
      );
    };
    zones("zone_health", "Gauge measuring percentage of healthy nodes per zone.", (size, notReady) =>
      size === 0 ? 100 : (100 * (size - notReady)) / size,
    );
    zones("zone_size", "Gauge measuring number of registered Nodes per zones.", (size) => size);
    zones("unhealthy_nodes_in_zone", "Gauge measuring number of not Ready Nodes per zones.", (_size, bad) => bad);
    this.#instruments.push(
      new Gauge(
        "selinux_warning_controller_selinux_volume_conflict",
        "[ALPHA] Conflict between two Pods using the same volume",
        ["property", "pod1_namespace", "pod1_name", "pod1_value", "pod2_namespace", "pod2_name", "pod2_value"],
        () =>
          [...this.#labelConflicts()].map(({ property, pod, value, otherPod, otherValue }) => {
            const [namespace = "", name = ""] = pod.split("/");
            const [otherNamespace = "", otherName = ""] = otherPod.split("/");
            return [[property, namespace, name, value, otherNamespace, otherName, otherValue], 1];
          }),
      ),
    );
  }

  rootCaPublished(code: number, durationMs: number): void {
    this.#rootCaSyncs.add(1, String(code));
    this.#rootCaSeconds.observe(durationMs / 1000, String(code));
  }

  /** Sizes of zones are looked up there. */
  watchZones(zones: ZoneSizes): void {
    this.#zones = () => {
      const found = [...zones()];
      for (const [zone] of found) this.#evictedNodes.of(zone); // told from the beginning
      return found;
    };
  }

  /** Conflicts of labels are looked up there. */
  watchLabelConflicts(conflicts: LabelConflicts): void {
    this.#labelConflicts = conflicts;
  }

  /** The health of a node was looked at. */
  nodeChecked(durationMs: number): void {
    this.#nodeSeconds.observe(durationMs / 1000);
  }

  /** The health of all nodes that were due was looked at. */
  nodesChecked(durationMs: number): void {
    this.#allNodesSeconds.observe(durationMs / 1000);
  }

  /** A node's pods are driven away. */
  nodeEvicted(zone: string): void {
    this.#evictedNodes.add(1, zone);
  }

  /** A pod went because of a taint, so long after it had to. */
  podEvicted(lateMs: number): void {
    this.#taintDeletions.add(1);
    this.#taintSeconds.observe(lateMs / 1000);
  }

  podRemoved(namespace: string, reason: PodRemoval): void {
    this.#removedPods.add(1, namespace, reason);
  }

  podNotRemoved(namespace: string, reason: PodRemoval): void {
    this.#removalErrors.add(1, namespace, reason);
  }

  /** Pods of a ReplicaSet are deleted; how old each is for one of the youngest. */
  podsChosen(ageRatios: readonly number[]): void {
    for (const ratio of ageRatios) this.#ageRatios.observe(ratio);
  }

  /** The collector could not find out what is served. */
  resourcesNotSynced(): void {
    this.#unsynced.add(1);
  }

  /** A Job was deleted, so long after its time was over. */
  jobExpired(lateMs: number): void {
    this.#expirySeconds.observe(lateMs / 1000);
  }

  /** A Job of a CronJob was made, so long after it was due. */
  cronJobStarted(lateMs: number): void {
    this.#skewSeconds.observe(lateMs / 1000);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return this.#instruments.map((each) => each.text()).join("");
  }

  #counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const counter = new Counter(name, help, labels);
    this.#instruments.push(counter);
    return counter;
  }

  #histogram(name: string, help: string, bounds: readonly number[], labels: readonly string[] = []): Histogram {
    const histogram = new Histogram(name, help, bounds, labels);
    this.#instruments.push(histogram);
    return histogram;
  }
}
