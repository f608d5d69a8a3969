import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import type { CloudControllerManagerFlags } from "./flags.ts";
import type { CloudMetrics } from "./metrics.ts";
import { createCloudNodeLifecycleController } from "./node-lifecycle/index.ts";
import { createCloudNodeController } from "./node/index.ts";
import type { CloudProvider } from "./provider/cloud-provider.ts";
import { createRouteController } from "./route/index.ts";
import { createServiceController } from "./service/index.ts";

/** One controller of the manager. */
interface ControllerEntry {
  /** As `--controllers` names it. */
  readonly name: string;
  /** Its service account in kube-system. */
  readonly identity: string;
  /** Where its events come from. */
  readonly component: string;
  /** Undefined when the provider does not offer what it needs, or the flags leave it nothing to do. */
  create(
    deps: ControllerDeps,
    cloud: CloudProvider,
    flags: CloudControllerManagerFlags,
    metrics: CloudMetrics,
  ): Controller | undefined;
}

/** All controllers, in the order in which they start. */
export const controllers: readonly ControllerEntry[] = [
  {
    name: "cloud-node-controller",
    identity: "node-controller",
    component: "cloud-node-controller",
    create: (deps, cloud, flags, metrics) =>
      cloud.instances === undefined
        ? undefined
        : createCloudNodeController(deps, cloud.instances, cloud.zones, flags, metrics),
  },
  {
    name: "cloud-node-lifecycle-controller",
    identity: "node-controller",
    component: "cloud-node-lifecycle-controller",
    create: (deps, cloud, flags) =>
      cloud.instances === undefined
        ? undefined
        : createCloudNodeLifecycleController(deps, cloud.instances, flags.nodeMonitorPeriodMs),
  },
  {
    name: "service-lb-controller",
    identity: "service-controller",
    component: "service-controller",
    create: (deps, cloud, flags, metrics) =>
      cloud.loadBalancers === undefined
        ? undefined
        : createServiceController(deps, cloud.loadBalancers, flags, metrics),
  },
  {
    name: "node-route-controller",
    identity: "route-controller",
    component: "route_controller",
    create(deps, cloud, flags) {
      if (!flags.configureCloudRoutes || cloud.routes === undefined) return undefined;
      if (flags.clusterCidr.length === 0) throw new Error("the route controller needs --cluster-cidr");
      return createRouteController(deps, cloud.routes, flags);
    },
  },
];
