import { systemClock, type Clock } from "@coracle/base";
import { WorkQueueMetrics, type WorkQueueObserver } from "@coracle/client";
import { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { SliceMonitor } from "../endpointslice/monitor.ts";
import { AutoscalerMonitor } from "../horizontal-pod-autoscaling/monitor.ts";
import { BundleMonitor } from "../clustertrustbundle-publisher/monitor.ts";
import { MirrorMonitor } from "../endpointslice-mirroring/monitor.ts";
import { NodeIpamMonitor } from "../node-ipam/monitor.ts";
import { JobMonitor } from "../job/monitor.ts";
import { StatefulSetMonitor } from "../statefulset/monitor.ts";
import { StorageMonitor } from "../storage-metrics/storage-monitor.ts";

/** Upstream's names of queues, where they are not the controller's. */
const QUEUE_NAMES: Readonly<Record<string, string>> = {
  "attach-detach": "pvcs",
  "bootstrap-signer": "bootstrap_signer_queue",
  "certificate-approving": "certificate",
  "certificate-signing": "certificate",
  "clusterrole-aggregation": "ClusterRoleAggregator",
  endpoints: "endpoint",
  endpointslice: "endpoint_slice",
  endpointslicemirroring: "endpoint_slice_mirroring",
  "ephemeral-volume": "ephemeral_volume",
  "garbage-collector": "garbage_collector_attempt_to_delete",
  "garbage-collector-orphans": "garbage_collector_attempt_to_orphan",
  "job-orphans": "job_orphan_pod",
  "kube-apiserver-serving-clustertrustbundle-publisher": "ca_cert_publisher_cluster_trust_bundles",
  "node-ipam": "cidrallocator_node",
  "node-lifecycle": "node_lifecycle_controller",
  "persistentvolume-binder-claims": "claims",
  "persistentvolume-binder-volumes": "volumes",
  "pod-garbage-collector": "orphaned_pods_nodes",
  "pv-protection": "pvprotection",
  "pvc-protection": "pvcprotection",
  replicationcontroller: "replicationmanager",
  "resource-claim-pods": "resource_claim",
  "resource-claim-reservations": "resource_claim",
  resourcequota: "resourcequota_primary",
  "root-ca-certificate-publisher": "root_ca_cert_publisher",
  "selinux-warning": "selinux_warning",
  "service-cidr": "ipaddresses",
  "serviceaccount-token": "serviceaccount_tokens_service",
  "storageversion-garbage-collector": "storage_version_garbage_collector_storageversions",
  "storage-version-migrator": "storage-version-migrator-controller",
  "taint-eviction": "noexec_taint_pod",
  "token-cleaner": "token_cleaner",
  ttl: "ttlcontroller",
  "ttl-after-finished": "ttl_jobs_to_delete",
  "vac-protection": "vacprotection",
  "volume-expand": "volume_expand",
};

/** What the controllers of one process count and measure of themselves, under upstream's names. */
export class ControllerManagerMetrics extends ControllerMetrics {
  readonly autoscaling = new AutoscalerMonitor();
  readonly storage = new StorageMonitor();
  readonly endpointSlices = new SliceMonitor();
  readonly bundles = new BundleMonitor();
  readonly jobs = new JobMonitor();
  readonly mirroring = new MirrorMonitor();
  readonly nodeIpam = new NodeIpamMonitor();
  readonly statefulSets = new StatefulSetMonitor();
  readonly #queues: WorkQueueMetrics;

  constructor(clock: Clock = systemClock) {
    super();
    this.#queues = new WorkQueueMetrics(clock);
  }

  /** For the queue of the controller of this name. */
  of(name: string): WorkQueueObserver {
    return this.#queues.of(QUEUE_NAMES[name] ?? name);
  }

  /** All of it in Prometheus' text format. */
  override text(): string {
    const monitors = [
      this.autoscaling,
      this.bundles,
      this.endpointSlices,
      this.jobs,
      this.mirroring,
      this.nodeIpam,
      this.statefulSets,
      this.storage,
      this.#queues,
    ];
    return super.text() + monitors.map((each) => each.text()).join("");
  }
}
