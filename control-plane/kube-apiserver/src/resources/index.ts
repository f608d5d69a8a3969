import type { ResourceDefinition } from "../registry/resource-definition.ts";
import { controllerRevision } from "./apps/controller-revision.ts";
import { daemonSet } from "./apps/daemon-set.ts";
import { deployment } from "./apps/deployment.ts";
import { replicaSet } from "./apps/replica-set.ts";
import { statefulSet } from "./apps/stateful-set.ts";
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

/** What is special about each kind the API server serves. */
export const resourceDefinitions: readonly ResourceDefinition[] = [
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
];
