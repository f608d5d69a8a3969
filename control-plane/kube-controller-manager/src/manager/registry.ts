import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import { createDeploymentController } from "../deployment/index.ts";
import type { ControllerManagerFlags } from "../flags.ts";
import { createReplicaSetController } from "../replicaset/index.ts";
import { createReplicationControllerController } from "../replicationcontroller/index.ts";

/** One controller of the manager. */
export interface ControllerEntry {
  /** As `--controllers` names it. */
  readonly name: string;
  /** Its service account in kube-system, and the component that its events come from. */
  readonly identity: string;
  /** Undefined when the flags leave it nothing to do. */
  create(deps: ControllerDeps, flags: ControllerManagerFlags): Controller | undefined;
}

/** All controllers, in the order in which they start. */
export const controllers: readonly ControllerEntry[] = [
  {
    name: "deployment-controller",
    identity: "deployment-controller",
    create: (deps, flags) => createDeploymentController(deps, flags.concurrentDeploymentSyncs),
  },
  {
    name: "replicaset-controller",
    identity: "replicaset-controller",
    create: (deps, flags) => createReplicaSetController(deps, flags.concurrentReplicasetSyncs),
  },
  {
    name: "replicationcontroller-controller",
    identity: "replication-controller",
    create: (deps, flags) => createReplicationControllerController(deps, flags.concurrentRcSyncs),
  },
];

/** True when `--controllers` asks for `name`. */
export function isEnabled(name: string, selection: readonly string[]): boolean {
  if (selection.includes(`-${name}`)) return false;
  return selection.includes(name) || selection.includes("*");
}
