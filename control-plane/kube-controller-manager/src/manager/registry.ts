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

/** All controllers, in the order in which they start. */
export const controllers: readonly ControllerEntry[] = [
  {
    name: "serviceaccount-controller",
    identity: "service-account-controller",
    create: (deps) => createServiceAccountController(deps),
  },
  {
    name: "serviceaccount-token-controller",
    identity: undefined,
    create: (deps, flags) => createServiceAccountTokenController(deps, flags),
  },
  {
    name: "root-ca-certificate-publisher-controller",
    identity: "root-ca-cert-publisher",
    create: (deps, flags, metrics) =>
      flags.rootCaFile === undefined
        ? undefined
        : createRootCaPublisher(deps, readFileSync(flags.rootCaFile, "utf8"), metrics),
  },
  {
    name: "clusterrole-aggregation-controller",
    identity: "clusterrole-aggregation-controller",
    create: (deps) => createClusterRoleAggregationController(deps),
  },
  {
    name: "validatingadmissionpolicy-status-controller",
    identity: "validatingadmissionpolicy-status-controller",
    create: (deps, flags) =>
      createValidatingAdmissionPolicyStatusController(deps, flags.concurrentValidatingAdmissionPolicyStatusSyncs),
  },
  {
    name: "bootstrap-signer-controller",
    identity: "bootstrap-signer",
    create: (deps) => createBootstrapSigner(deps),
  },
  {
    name: "token-cleaner-controller",
    identity: "token-cleaner",
    create: (deps) => createTokenCleaner(deps),
  },
  {
    name: "legacy-serviceaccount-token-cleaner-controller",
    identity: "legacy-service-account-token-cleaner",
    create: (deps, flags) => createLegacyTokenCleaner(deps, flags.legacyTokenCleanUpPeriodMs),
  },
  {
    name: "ttl-controller",
    identity: "ttl-controller",
    create: (deps) => createTtlController(deps),
  },
  {
    name: "storageversion-garbage-collector-controller",
    identity: "storage-version-garbage-collector",
    gates: ["APIServerIdentity", "StorageVersionAPI"],
    create: (deps) => createStorageVersionGarbageCollector(deps),
  },
  {
    name: "storage-version-migrator-controller",
    identity: "storage-version-migrator-controller",
    gates: ["StorageVersionMigrator"],
    create: (deps) => createStorageVersionMigrator(deps),
  },
  {
    name: "podcertificaterequest-cleaner-controller",
    identity: "podcertificaterequestcleaner",
    gates: ["PodCertificateRequest"],
    create: (deps) => createPodCertificateRequestCleaner(deps),
  },
  {
    name: "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    identity: "kube-apiserver-serving-clustertrustbundle-publisher",
    gates: ["ClusterTrustBundle"],
    create: (deps, flags, metrics) =>
      flags.rootCaFile === undefined
        ? undefined
        : createClusterTrustBundlePublisher(deps, readFileSync(flags.rootCaFile, "utf8"), metrics.bundles),
  },
  {
    name: "namespace-controller",
    identity: "namespace-controller",
    create: (deps, flags) => createNamespaceController(deps, flags.concurrentNamespaceSyncs),
  },
  {
    name: "resourcequota-controller",
    identity: "resourcequota-controller",
    create: (deps, flags) =>
      createResourceQuotaController(deps, flags.concurrentResourceQuotaSyncs, flags.resourceQuotaSyncPeriodMs),
  },
  {
    name: "endpointslice-controller",
    identity: "endpointslice-controller",
    create: (deps, flags, metrics) =>
      createEndpointSliceController(
        { ...deps, batchPeriodMs: flags.endpointsliceUpdatesBatchPeriodMs },
        flags.concurrentServiceEndpointSyncs,
        flags.maxEndpointsPerSlice,
        metrics.endpointSlices,
      ),
  },
  {
    name: "endpoints-controller",
    identity: "endpoint-controller",
    create: (deps, flags) =>
      createEndpointsController(
        { ...deps, batchPeriodMs: flags.endpointUpdatesBatchPeriodMs },
        flags.concurrentEndpointSyncs,
      ),
  },
  {
    name: "endpointslice-mirroring-controller",
    identity: "endpointslicemirroring-controller",
    create: (deps, flags, metrics) =>
      createEndpointSliceMirroringController(
        { ...deps, batchPeriodMs: flags.mirroringUpdatesBatchPeriodMs },
        flags.mirroringConcurrentServiceEndpointSyncs,
        flags.mirroringMaxEndpointsPerSubset,
        metrics.mirroring,
      ),
  },
  {
    name: "deployment-controller",
    identity: "deployment-controller",
    create: (deps, flags) => createDeploymentController(deps, flags.concurrentDeploymentSyncs),
  },
  {
    name: "replicaset-controller",
    identity: "replicaset-controller",
    create: (deps, flags, metrics) => createReplicaSetController(deps, flags.concurrentReplicasetSyncs, metrics),
  },
  {
    name: "node-ipam-controller",
    identity: "node-controller",
    create: (deps, flags, metrics) =>
      flags.allocateNodeCidrs && flags.clusterCidr.length > 0
        ? createNodeIpamController(deps, flags, metrics.nodeIpam)
        : undefined,
  },
  {
    name: "node-lifecycle-controller",
    identity: "node-controller",
    create: (deps, flags, metrics) => createNodeLifecycleController(deps, flags, metrics),
  },
  {
    name: "taint-eviction-controller",
    identity: "node-controller",
    create: (deps, _flags, metrics) => createTaintEvictionController(deps, metrics),
  },
  {
    name: "pod-garbage-collector-controller",
    identity: "pod-garbage-collector",
    create: (deps, flags, metrics) => createPodGcController(deps, flags.terminatedPodGcThreshold, metrics),
  },
  {
    name: "horizontal-pod-autoscaler-controller",
    identity: "horizontal-pod-autoscaler",
    create: (deps, flags, metrics) =>
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
  },
  {
    name: "daemonset-controller",
    identity: "daemon-set-controller",
    create: (deps, flags) => createDaemonSetController(deps, flags.concurrentDaemonsetSyncs),
  },
  {
    name: "statefulset-controller",
    identity: "statefulset-controller",
    create: (deps, flags, metrics) =>
      createStatefulSetController(deps, {
        workers: flags.concurrentStatefulsetSyncs,
        monitor: isGateOn("MaxUnavailableStatefulSet", flags.featureGates) ? metrics.statefulSets : undefined,
      }),
  },
  {
    name: "persistentvolume-binder-controller",
    identity: "persistent-volume-binder",
    component: "persistentvolume-controller",
    create: (deps, flags, metrics) =>
      createPvBinder(deps, {
        syncPeriodMs: flags.pvClaimBinderSyncPeriodMs,
        provisions: flags.enableDynamicProvisioning,
        recyclers: readRecyclers(flags),
        monitor: metrics.storage,
        removeTree: (path) => rm(path, { recursive: true, force: true }),
      }),
  },
  {
    name: "persistentvolume-attach-detach-controller",
    identity: "attachdetach-controller",
    create: (deps, flags, metrics) =>
      createAttachDetachController(deps, {
        forcesOnTimeout: !flags.disableForceDetachOnTimeout,
        monitor: metrics.storage,
      }),
  },
  {
    name: "persistentvolume-expander-controller",
    identity: "expand-controller",
    component: "volume_expand",
    create: (deps) => createVolumeExpandController(deps),
  },
  {
    name: "ephemeral-volume-controller",
    identity: "ephemeral-volume-controller",
    component: "ephemeral_volume",
    create: (deps, flags, metrics) =>
      createEphemeralVolumeController(deps, flags.concurrentEphemeralvolumeSyncs, metrics.storage),
  },
  {
    name: "device-taint-eviction-controller",
    identity: "device-taint-eviction-controller",
    gates: ["DRADeviceTaints"],
    create: (deps, flags, metrics) =>
      createDeviceTaintEvictionController(deps, {
        workers: flags.concurrentDeviceTaintEvictionSyncs,
        monitor: metrics.storage,
        watchesRules: isGateOn("DRADeviceTaintRules", flags.featureGates),
      }),
  },
  {
    name: "resourceclaim-controller",
    identity: "resource-claim-controller",
    component: "resource_claim",
    create: (deps, flags, metrics) =>
      createResourceClaimController(deps, flags.concurrentResourceClaimSyncs, metrics.storage),
  },
  {
    name: "persistentvolumeclaim-protection-controller",
    identity: "pvc-protection-controller",
    create: (deps) => createPvcProtectionController(deps),
  },
  {
    name: "persistentvolume-protection-controller",
    identity: "pv-protection-controller",
    create: (deps) => createPvProtectionController(deps),
  },
  {
    name: "volumeattributesclass-protection-controller",
    identity: "volumeattributesclass-protection-controller",
    create: (deps) => createVacProtectionController(deps),
  },
  {
    name: "selinux-warning-controller",
    identity: "selinux-warning-controller",
    component: "selinux_warning",
    gates: ["SELinuxChangePolicy"],
    create: (deps, _flags, metrics) => createSELinuxWarningController(deps, metrics),
  },
  {
    name: "service-cidr-controller",
    identity: "service-cidrs-controller",
    create: (deps) => createServiceCidrController(deps),
  },
  {
    name: "disruption-controller",
    identity: "disruption-controller",
    create: (deps) => createDisruptionController(deps),
  },
  {
    name: "job-controller",
    identity: "job-controller",
    create: (deps, flags, metrics) => createJobController(deps, flags.concurrentJobSyncs, metrics.jobs),
  },
  {
    name: "cronjob-controller",
    identity: "cronjob-controller",
    create: (deps, flags, metrics) => createCronJobController(deps, flags.concurrentCronJobSyncs, metrics),
  },
  {
    name: "ttl-after-finished-controller",
    identity: "ttl-after-finished-controller",
    create: (deps, flags, metrics) =>
      createTtlAfterFinishedController(deps, flags.concurrentTtlAfterFinishedSyncs, metrics),
  },
  {
    name: "certificatesigningrequest-signing-controller",
    identity: "certificate-controller",
    create: (deps, flags) => createCertificateSigner(deps, flags),
  },
  {
    name: "certificatesigningrequest-approving-controller",
    identity: "certificate-controller",
    create: (deps) => createCertificateApprover(deps),
  },
  {
    name: "certificatesigningrequest-cleaner-controller",
    identity: "certificate-controller",
    create: (deps) => createCertificateCleaner(deps),
  },
  {
    name: "garbage-collector-controller",
    identity: "generic-garbage-collector",
    create: (deps, flags, metrics) =>
      flags.enableGarbageCollector ? createGarbageCollector(deps, flags.concurrentGcSyncs, metrics) : undefined,
  },
  {
    name: "replicationcontroller-controller",
    identity: "replication-controller",
    create: (deps, flags) => createReplicationControllerController(deps, flags.concurrentRcSyncs),
  },
];
