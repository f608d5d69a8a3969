import { ReplicaSet } from "@coracle/api/apps/v1";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { deletionAgeRatios } from "./plan.ts";
import { createReplicaController } from "./replica-controller.ts";

/** Keeps `spec.replicas` live pods for every ReplicaSet. */
export function createReplicaSetController(
  deps: ControllerDeps,
  workers?: number,
  metrics?: Pick<ControllerMetrics, "podsChosen">,
): Controller {
  return createReplicaController<ReplicaSet>(deps, {
    name: "replicaset",
    type: ReplicaSet,
    selectorOf: (owner) => owner.spec.selector,
    templateOf: (owner) => owner.spec.template ?? {},
    replicasOf: (owner) => owner.spec.replicas ?? 1,
    minReadySecondsOf: (owner) => owner.spec.minReadySeconds ?? 0,
    statusOf: (owner) => owner.status,
    withStatus: (owner, status) => ({ ...owner, status }),
    workers,
    deleting: (pods, chosen) => metrics?.podsChosen(deletionAgeRatios(pods, chosen, deps.clock.now())),
  });
}
