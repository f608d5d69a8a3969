import { Deployment, type ReplicaSet } from "@coracle/api/apps/v1";
import { referenceTo } from "@coracle/client";
import type { ControllerDeps } from "@coracle/controller-kit";
import { equalTemplates, isOwnAnnotation, revisionOf, ROLLBACK_TO, templateOf } from "./replica-sets.ts";

/** The revision that the Deployment is to go back to; 0: the one before the present. Undefined: none is asked for. */
export function rollbackTarget({ metadata }: Deployment): bigint | undefined {
  const text = metadata.annotations?.[ROLLBACK_TO];
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}

/** What a rollback comes to: the Deployment as it is to be, and what people are told. */
export interface RollbackPlan {
  readonly deployment: Deployment;
  readonly type: "Normal" | "Warning";
  readonly reason: "DeploymentRollback" | "DeploymentRollbackRevisionNotFound" | "DeploymentRollbackTemplateUnchanged";
  readonly message: string;
}

/** The template of an earlier revision becomes the present one; the wish is done with in any case. */
export function planRollback(deployment: Deployment, sets: readonly ReplicaSet[], wanted: bigint): RollbackPlan {
  const { [ROLLBACK_TO]: _, ...annotations } = deployment.metadata.annotations ?? {};
  const done: Deployment = { ...deployment, metadata: { ...deployment.metadata, annotations } };
  const missing = (message: string): RollbackPlan => ({
    deployment: done,
    type: "Warning",
    reason: "DeploymentRollbackRevisionNotFound",
    message,
  });
  const revision = wanted === 0n ? beforeLast(sets) : wanted;
  if (revision === 0n) return missing("Unable to find last revision.");
  const set = sets.find((each) => revisionOf(each) === revision);
  if (set === undefined) return missing("Unable to find the revision to rollback to.");
  const name = JSON.stringify(deployment.metadata.name);
  if (equalTemplates(deployment.spec.template, set.spec.template))
    return {
      deployment: done,
      type: "Warning",
      reason: "DeploymentRollbackTemplateUnchanged",
      message: `The rollback revision contains the same template as current deployment ${name}`,
    };
  const own = Object.entries(annotations).filter(([key]) => isOwnAnnotation(key));
  const theirs = Object.entries(set.metadata.annotations ?? {}).filter(([key]) => !isOwnAnnotation(key));
  return {
    deployment: {
      ...done,
      metadata: { ...done.metadata, annotations: Object.fromEntries([...own, ...theirs]) },
      spec: { ...done.spec, template: templateOf(set) },
    },
    type: "Normal",
    reason: "DeploymentRollback",
    message: `Rolled back deployment ${name} to revision ${revision}`,
  };
}

function beforeLast(sets: readonly ReplicaSet[]): bigint {
  const revisions = sets.map(revisionOf).toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0));
  return revisions[1] ?? 0n;
}

/** Does what the Deployment's rollback annotation asks for. */
export async function rollBack(
  { client, recorder }: Pick<ControllerDeps, "client" | "recorder">,
  deployment: Deployment,
  sets: readonly ReplicaSet[],
  wanted: bigint,
  signal: AbortSignal,
): Promise<void> {
  const plan = planRollback(deployment, sets, wanted);
  if (plan.reason !== "DeploymentRollback")
    recorder.event(referenceTo(Deployment, deployment), plan.type, plan.reason, plan.message);
  await client.update(Deployment, plan.deployment, { signal });
  if (plan.reason === "DeploymentRollback")
    recorder.event(referenceTo(Deployment, deployment), plan.type, plan.reason, plan.message);
}
