import type { ResourceDefinition } from "../registry/resource-definition.ts";
import { controllerRevision } from "./apps/controller-revision.ts";
import { daemonSet } from "./apps/daemon-set.ts";
import { deployment } from "./apps/deployment.ts";
import { replicaSet } from "./apps/replica-set.ts";
import type { Features } from "../features.ts";
import { statefulSet, statefulSetWithMaxUnavailable } from "./apps/stateful-set.ts";
import { cronJob } from "./batch/cron-job.ts";
import { job } from "./batch/job.ts";
import { endpoints } from "./core/endpoints.ts";
import { limitRange } from "./core/limit-range.ts";
import { persistentVolume } from "./core/persistent-volume.ts";
import { persistentVolumeClaim } from "./core/persistent-volume-claim.ts";
import { pod } from "./core/pod.ts";
import { podTemplate } from "./core/pod-template.ts";
import { replicationController } from "./core/replication-controller.ts";
import { resourceQuota } from "./core/resource-quota.ts";
import { service } from "./core/service.ts";
import { configMap } from "./core/config-map.ts";
import { secret } from "./core/secret.ts";
import { serviceAccount } from "./core/service-account.ts";
import { namespace } from "./core/namespace.ts";
import { node } from "./core/node.ts";
import { event } from "./core/event.ts";
import { flowSchema } from "./flowcontrol/flow-schema.ts";
import { priorityLevelConfiguration } from "./flowcontrol/priority-level-configuration.ts";
import { networkPolicy } from "./networking/network-policy.ts";
import { ingress } from "./networking/ingress.ts";
import { ingressClass } from "./networking/ingress-class.ts";
import { endpointSlice } from "./discovery/endpoint-slice.ts";
import { horizontalPodAutoscaler, horizontalPodAutoscalerV1 } from "./autoscaling/horizontal-pod-autoscaler.ts";
import { eventsEvent } from "./events/event.ts";
import { serviceCidr } from "./networking/service-cidr.ts";
import { ipAddress } from "./networking/ip-address.ts";
import { storageClass } from "./storage/storage-class.ts";
import { csiDriver } from "./storage/csi-driver.ts";
import { csiNode } from "./storage/csi-node.ts";
import { volumeAttachment } from "./storage/volume-attachment.ts";
import { csiStorageCapacity } from "./storage/csi-storage-capacity.ts";
import { volumeAttributesClass } from "./storage/volume-attributes-class.ts";
import { role, clusterRole } from "./rbac/role.ts";
import { roleBinding, clusterRoleBinding } from "./rbac/role-binding.ts";
import { priorityClass } from "./scheduling/priority-class.ts";
import { runtimeClass } from "./node/runtime-class.ts";
import { lease } from "./coordination/lease.ts";
import { podDisruptionBudget } from "./policy/pod-disruption-budget.ts";
import { certificateSigningRequest } from "./certificates/certificate-signing-request.ts";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "./admissionregistration/webhook-configuration.ts";
import {
  mutatingAdmissionPolicy,
  mutatingAdmissionPolicyBinding,
} from "./admissionregistration/mutating-admission-policy.ts";
import {
  validatingAdmissionPolicy,
  validatingAdmissionPolicyBinding,
} from "./admissionregistration/validating-admission-policy.ts";
import { apiService } from "./apiregistration/api-service.ts";
import { deviceClass } from "./resource/device-class.ts";
import { resourceClaim, resourceClaimTemplate } from "./resource/resource-claim.ts";
import { resourceSlice } from "./resource/resource-slice.ts";
import { clusterTrustBundle, clusterTrustBundleV1alpha1 } from "./certificates/cluster-trust-bundle.ts";
import { deviceTaintRule } from "./resource/device-taint-rule.ts";
import { storageVersionMigration } from "./storagemigration/storage-version-migration.ts";
import { withWarnings } from "./warnings/object-warnings.ts";
import { customResourceDefinition } from "./apiextensions/custom-resource-definition.ts";

const definitions: readonly ResourceDefinition[] = [
  pod,
  podTemplate,
  replicationController,
  endpoints,
  limitRange,
  resourceQuota,
  persistentVolume,
  persistentVolumeClaim,
  deployment,
  replicaSet,
  daemonSet,
  statefulSet,
  controllerRevision,
  job,
  cronJob,
  service,
  configMap,
  secret,
  serviceAccount,
  namespace,
  node,
  event,
  flowSchema,
  priorityLevelConfiguration,
  networkPolicy,
  ingress,
  ingressClass,
  endpointSlice,
  horizontalPodAutoscaler,
  horizontalPodAutoscalerV1,
  eventsEvent,
  serviceCidr,
  ipAddress,
  storageClass,
  csiDriver,
  csiNode,
  volumeAttachment,
  csiStorageCapacity,
  volumeAttributesClass,
  role,
  clusterRole,
  roleBinding,
  clusterRoleBinding,
  priorityClass,
  runtimeClass,
  lease,
  podDisruptionBudget,
  certificateSigningRequest,
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
  validatingAdmissionPolicy,
  validatingAdmissionPolicyBinding,
  mutatingAdmissionPolicy,
  mutatingAdmissionPolicyBinding,
  apiService,
  deviceClass,
  resourceClaim,
  resourceClaimTemplate,
  resourceSlice,
  clusterTrustBundle,
  clusterTrustBundleV1alpha1,
  deviceTaintRule,
  storageVersionMigration,
  customResourceDefinition,
];

/** What is special about each kind the API server serves. */
export const resourceDefinitions: readonly ResourceDefinition[] = definitions.map(withWarnings);

/** The same with features that are off by default. */
export function definitionsWith(features: Features): readonly ResourceDefinition[] {
  if (!features.has("MaxUnavailableStatefulSet")) return resourceDefinitions;
  return resourceDefinitions.map((definition) =>
    definition.plural === statefulSet.plural ? withWarnings(statefulSetWithMaxUnavailable) : definition,
  );
}
