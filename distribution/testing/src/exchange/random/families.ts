import type { Family } from "./actor.ts";
import { autoscalers } from "./families/autoscalers.ts";
import { cronJobs } from "./families/cron-jobs.ts";
import { daemons } from "./families/daemons.ts";
import { deployments } from "./families/deployments.ts";
import { jobs } from "./families/jobs.ts";
import { owners } from "./families/owners.ts";
import { quotas } from "./families/quotas.ts";
import { replicas } from "./families/replicas.ts";
import { services } from "./families/services.ts";
import { statefulSets } from "./families/stateful-sets.ts";

/** All kinds of histories. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  deployments,
  replicas,
  "stateful-sets": statefulSets,
  daemons,
  jobs,
  "cron-jobs": cronJobs,
  services,
  quotas,
  owners,
  autoscalers,
};
