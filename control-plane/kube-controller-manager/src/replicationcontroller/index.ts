import { ReplicationController } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import { createReplicaController } from "../replicaset/replica-controller.ts";

const selectors = new WeakMap<object, LabelSelector>();

/** One selector object per ReplicationController's spec, so that it is compiled once. */
function selectorOf(owner: ReplicationController): LabelSelector | undefined {
  const matchLabels = owner.spec.selector;
  if (matchLabels === undefined) return undefined;
  const known = selectors.get(matchLabels);
  if (known !== undefined) return known;
  const selector = { matchLabels };
  selectors.set(matchLabels, selector);
  return selector;
}

/** Keeps `spec.replicas` live pods for every ReplicationController. */
export function createReplicationControllerController(deps: ControllerDeps, workers?: number): Controller {
  return createReplicaController<ReplicationController>(deps, {
    name: "replicationcontroller",
    type: ReplicationController,
    selectorOf,
    templateOf: (owner) => owner.spec.template ?? {},
    replicasOf: (owner) => owner.spec.replicas ?? 1,
    minReadySecondsOf: (owner) => owner.spec.minReadySeconds ?? 0,
    statusOf: (owner) => owner.status,
    withStatus(owner, { terminatingReplicas: _, ...status }) {
      return { ...owner, status };
    },
    workers,
  });
}
