import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import { createAttachDetachController } from "../attach-detach/index.ts";
import { createCertificateApprover, createCertificateCleaner, createCertificateSigner } from "../certificates/index.ts";
import { createValidatingAdmissionPolicyStatusController } from "../validating-admission-policy-status/index.ts";
import { createBootstrapSigner, createTokenCleaner } from "../bootstrap-tokens/index.ts";
import { createClusterTrustBundlePublisher } from "../clustertrustbundle-publisher/index.ts";
import { createLegacyTokenCleaner } from "../legacy-serviceaccount-token-cleaner/index.ts";
import { createPodCertificateRequestCleaner } from "../podcertificaterequest-cleaner/index.ts";
import { createStorageVersionGarbageCollector } from "../storageversion-garbage-collector/index.ts";
import { createStorageVersionMigrator } from "../storage-version-migrator/index.ts";
import { createTtlController } from "../ttl/index.ts";
import { createClusterRoleAggregationController } from "../clusterrole-aggregation/index.ts";
import { createCronJobController } from "../cronjob/index.ts";
import { createDaemonSetController } from "../daemonset/index.ts";
import { createDeploymentController } from "../deployment/index.ts";
import { createDeviceTaintEvictionController } from "../device-taint-eviction/index.ts";
import { createDisruptionController } from "../disruption/index.ts";
import { createEndpointsController } from "../endpoints/index.ts";
import { createEndpointSliceMirroringController } from "../endpointslice-mirroring/index.ts";
import { createEndpointSliceController } from "../endpointslice/index.ts";
import type { ControllerManagerFlags } from "../flags.ts";
import { createEphemeralVolumeController } from "../ephemeral-volume/index.ts";
import { createGarbageCollector } from "../garbage-collector/index.ts";
import { createHorizontalPodAutoscalingController } from "../horizontal-pod-autoscaling/index.ts";
import { createJobController } from "../job/index.ts";
import { createTtlAfterFinishedController } from "../ttl-after-finished/index.ts";
import { createNamespaceController } from "../namespace/index.ts";
import { createNodeIpamController } from "../node-ipam/index.ts";
import { createNodeLifecycleController } from "../node-lifecycle/index.ts";
import { createPodGcController } from "../pod-gc/index.ts";
import { createTaintEvictionController } from "../taint-eviction/index.ts";
import { createPvcProtectionController, createPvProtectionController } from "../pvc-protection/index.ts";
import { createPvBinder } from "../pv-binder/index.ts";
import { readRecyclers } from "../pv-binder/recyclers.ts";
import { createResourceClaimController } from "../resource-claim/index.ts";
import { createReplicaSetController } from "../replicaset/index.ts";
import { createReplicationControllerController } from "../replicationcontroller/index.ts";
import { createResourceQuotaController } from "../resourcequota/index.ts";
import { createRootCaPublisher } from "../rootca/index.ts";
import { createServiceAccountController } from "../serviceaccount/index.ts";
import { createSELinuxWarningController } from "../selinux-warning/index.ts";
import { createServiceCidrController } from "../service-cidr/index.ts";
import { createServiceAccountTokenController } from "../service-account-tokens/index.ts";
import { createStatefulSetController } from "../statefulset/index.ts";
import { createVolumeExpandController } from "../volume-expand/index.ts";
import { createVacProtectionController } from "../vac-protection/index.ts";
import { isGateOn, type Gate } from "./gates.ts";
import type { ControllerManagerMetrics } from "./metrics.ts";

/** One controller of the manager. */
export interface ControllerEntry {
  /** As `--controllers` names it. */
  readonly name: string;
  /** Its service account in kube-system; undefined: the manager itself. */
  readonly identity: string | undefined;
  /** Where its events come from, unless that is its identity. */
  readonly component?: string;
  /** Feature gates without which it does not run. */
  readonly gates?: readonly Gate[];
  /** Undefined when the flags leave it nothing to do. */
  create(
    deps: ControllerDeps,
    flags: ControllerManagerFlags,
    metrics: ControllerManagerMetrics,
  ): Controller | undefined;
}

/** `identity` and what else is not as usual: see `ControllerEntry`. */
const controller = (
  name: string,
  identity: string | undefined,
  create: ControllerEntry["create"],
  unusual: Pick<ControllerEntry, "component" | "gates"> = {},
): ControllerEntry => ({ name, identity, create, ...unusual });

/** All controllers, in the order in which they start. */
export const controllers: readonly ControllerEntry[] = [
  controller("serviceaccount-controller", "service-account-controller", createServiceAccountController),
  controller("serviceaccount-token-controller", undefined, createServiceAccountTokenController),
  controller("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", (deps, flags, metrics) =>
    flags.rootCaFile === undefined
      ? undefined
      : createRootCaPublisher(deps, readFileSync(flags.rootCaFile, "utf8"), metrics),
  ),
  controller(
    "clusterrole-aggregation-controller",
    "clusterrole-aggregation-controller",
    createClusterRoleAggregationController,
  ),
  controller(
    "validatingadmissionpolicy-status-controller",
    "validatingadmissionpolicy-status-controller",
    (deps, flags) =>
      createValidatingAdmissionPolicyStatusController(deps, flags.concurrentValidatingAdmissionPolicyStatusSyncs),
  ),
  controller("bootstrap-signer-controller", "bootstrap-signer", createBootstrapSigner),
  controller("token-cleaner-controller", "token-cleaner", createTokenCleaner),
  controller("legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner", (deps, flags) =>
    createLegacyTokenCleaner(deps, flags.legacyTokenCleanUpPeriodMs),
  ),
  controller("ttl-controller", "ttl-controller", createTtlController),
  controller(
    "storageversion-garbage-collector-controller",
    "storage-version-garbage-collector",
    createStorageVersionGarbageCollector,
    { gates: ["APIServerIdentity", "StorageVersionAPI"] },
  ),
  controller(
    "storage-version-migrator-controller",
    "storage-version-migrator-controller",
    createStorageVersionMigrator,
    { gates: ["StorageVersionMigrator"] },
  ),
  controller(
    "podcertificaterequest-cleaner-controller",
    "podcertificaterequestcleaner",
    createPodCertificateRequestCleaner,
    { gates: ["PodCertificateRequest"] },
  ),
  controller(
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    (deps, flags, metrics) =>
      flags.rootCaFile === undefined
        ? undefined
        : createClusterTrustBundlePublisher(deps, readFileSync(flags.rootCaFile, "utf8"), metrics.bundles),
    { gates: ["ClusterTrustBundle"] },
  ),
  controller("namespace-controller", "namespace-controller", (deps, flags) =>
    createNamespaceController(deps, flags.concurrentNamespaceSyncs),
  ),
  controller("resourcequota-controller", "resourcequota-controller", (deps, flags) =>
    createResourceQuotaController(deps, flags.concurrentResourceQuotaSyncs, flags.resourceQuotaSyncPeriodMs),
  ),
  controller("endpointslice-controller", "endpointslice-controller", (deps, flags, metrics) =>
    createEndpointSliceController(
      { ...deps, batchPeriodMs: flags.endpointsliceUpdatesBatchPeriodMs },
      flags.concurrentServiceEndpointSyncs,
      flags.maxEndpointsPerSlice,
      metrics.endpointSlices,
    ),
  ),
  controller("endpoints-controller", "endpoint-controller", (deps, flags) =>
    createEndpointsController(
      { ...deps, batchPeriodMs: flags.endpointUpdatesBatchPeriodMs },
      flags.concurrentEndpointSyncs,
    ),
  ),
  controller("endpointslice-mirroring-controller", "endpointslicemirroring-controller", (deps, flags, metrics) =>
    createEndpointSliceMirroringController(
      { ...deps, batchPeriodMs: flags.mirroringUpdatesBatchPeriodMs },
      flags.mirroringConcurrentServiceEndpointSyncs,
      flags.mirroringMaxEndpointsPerSubset,
      metrics.mirroring,
    ),
  ),
  controller("deployment-controller", "deployment-controller", (deps, flags) =>
    createDeploymentController(deps, flags.concurrentDeploymentSyncs),
  ),
  controller("replicaset-controller", "replicaset-controller", (deps, flags, metrics) =>
    createReplicaSetController(deps, flags.concurrentReplicasetSyncs, metrics),
  ),
  controller("node-ipam-controller", "node-controller", (deps, flags, metrics) =>
    flags.allocateNodeCidrs && flags.clusterCidr.length > 0
      ? createNodeIpamController(deps, flags, metrics.nodeIpam)
      : undefined,
  ),
  controller("node-lifecycle-controller", "node-controller", createNodeLifecycleController),
  controller("taint-eviction-controller", "node-controller", (deps, _flags, metrics) =>
    createTaintEvictionController(deps, metrics),
  ),
  controller("pod-garbage-collector-controller", "pod-garbage-collector", (deps, flags, metrics) =>
    createPodGcController(deps, flags.terminatedPodGcThreshold, metrics),
  ),
  controller("horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler", (deps, flags, metrics) =>
    createHorizontalPodAutoscalingController(
      deps,
      {
        workers: flags.concurrentHorizontalPodAutoscalerSyncs,
        syncPeriodMs: flags.hpaSyncPeriodMs,
        tolerance: flags.hpaTolerance,
        hasOwnTolerances: isGateOn("HPAConfigurableTolerance", flags.featureGates),
        downscaleStabilizationMs: flags.hpaDownscaleStabilizationMs,
        cpuInitializationPeriodMs: flags.hpaCpuInitializationPeriodMs,
        initialReadinessDelayMs: flags.hpaInitialReadinessDelayMs,
      },
      metrics.autoscaling,
    ),
  ),
  controller("daemonset-controller", "daemon-set-controller", (deps, flags) =>
    createDaemonSetController(deps, flags.concurrentDaemonsetSyncs),
  ),
  controller("statefulset-controller", "statefulset-controller", (deps, flags, metrics) =>
    createStatefulSetController(deps, {
      workers: flags.concurrentStatefulsetSyncs,
      monitor: isGateOn("MaxUnavailableStatefulSet", flags.featureGates) ? metrics.statefulSets : undefined,
    }),
  ),
  controller(
    "persistentvolume-binder-controller",
    "persistent-volume-binder",
    (deps, flags, metrics) =>
      createPvBinder(deps, {
        syncPeriodMs: flags.pvClaimBinderSyncPeriodMs,
        provisions: flags.enableDynamicProvisioning,
        recyclers: readRecyclers(flags),
        monitor: metrics.storage,
        removeTree: (path) => rm(path, { recursive: true, force: true }),
      }),
    { component: "persistentvolume-controller" },
  ),
  controller("persistentvolume-attach-detach-controller", "attachdetach-controller", (deps, flags, metrics) =>
    createAttachDetachController(deps, {
      forcesOnTimeout: !flags.disableForceDetachOnTimeout,
      monitor: metrics.storage,
    }),
  ),
  controller("persistentvolume-expander-controller", "expand-controller", createVolumeExpandController, {
    component: "volume_expand",
  }),
  controller(
    "ephemeral-volume-controller",
    "ephemeral-volume-controller",
    (deps, flags, metrics) =>
      createEphemeralVolumeController(deps, flags.concurrentEphemeralvolumeSyncs, metrics.storage),
    { component: "ephemeral_volume" },
  ),
  controller(
    "device-taint-eviction-controller",
    "device-taint-eviction-controller",
    (deps, flags, metrics) =>
      createDeviceTaintEvictionController(deps, {
        workers: flags.concurrentDeviceTaintEvictionSyncs,
        monitor: metrics.storage,
        watchesRules: isGateOn("DRADeviceTaintRules", flags.featureGates),
      }),
    { gates: ["DRADeviceTaints"] },
  ),
  controller(
    "resourceclaim-controller",
    "resource-claim-controller",
    (deps, flags, metrics) => createResourceClaimController(deps, flags.concurrentResourceClaimSyncs, metrics.storage),
    { component: "resource_claim" },
  ),
  controller("persistentvolumeclaim-protection-controller", "pvc-protection-controller", createPvcProtectionController),
  controller("persistentvolume-protection-controller", "pv-protection-controller", createPvProtectionController),
  controller(
    "volumeattributesclass-protection-controller",
    "volumeattributesclass-protection-controller",
    createVacProtectionController,
  ),
  controller(
    "selinux-warning-controller",
    "selinux-warning-controller",
    (deps, _flags, metrics) => createSELinuxWarningController(deps, metrics),
    { component: "selinux_warning", gates: ["SELinuxChangePolicy"] },
  ),
  controller("service-cidr-controller", "service-cidrs-controller", createServiceCidrController),
  controller("disruption-controller", "disruption-controller", createDisruptionController),
  controller("job-controller", "job-controller", (deps, flags, metrics) =>
    createJobController(deps, flags.concurrentJobSyncs, metrics.jobs),
  ),
  controller("cronjob-controller", "cronjob-controller", (deps, flags, metrics) =>
    createCronJobController(deps, flags.concurrentCronJobSyncs, metrics),
  ),
  controller("ttl-after-finished-controller", "ttl-after-finished-controller", (deps, flags, metrics) =>
    createTtlAfterFinishedController(deps, flags.concurrentTtlAfterFinishedSyncs, metrics),
  ),
  controller("certificatesigningrequest-signing-controller", "certificate-controller", createCertificateSigner),
  controller("certificatesigningrequest-approving-controller", "certificate-controller", createCertificateApprover),
  controller("certificatesigningrequest-cleaner-controller", "certificate-controller", createCertificateCleaner),
  controller("garbage-collector-controller", "generic-garbage-collector", (deps, flags, metrics) =>
    flags.enableGarbageCollector ? createGarbageCollector(deps, flags.concurrentGcSyncs, metrics) : undefined,
  ),
  controller("replicationcontroller-controller", "replication-controller", (deps, flags) =>
    createReplicationControllerController(deps, flags.concurrentRcSyncs),
  ),
];
