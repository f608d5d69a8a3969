import type { Job, PodFailurePolicyOnExitCodesRequirement } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";

/** The first rule of the Job's failure policy that the failed pod matches. */
export interface PolicyMatch {
  readonly action: string;
  readonly message: string;
}

export function matchFailurePolicy(job: Job, pod: Pod): PolicyMatch | undefined {
  const where = `pod ${pod.metadata.namespace}/${pod.metadata.name}`;
  for (const [i, { action, onExitCodes, onPodConditions }] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    if (onExitCodes !== undefined) {
      const found = matchExitCode(pod, onExitCodes);
      if (found !== undefined)
        return {
          action,
          message: `Container ${found.name} for ${where} failed with exit code ${found.exitCode} matching ${action} rule at index ${i}`,
        };
    }
    for (const condition of pod.status?.conditions ?? [])
      for (const { type, status = "True" } of onPodConditions ?? [])
        if (condition.type === type && condition.status === status)
          return { action, message: `${capital(where)} has condition ${type} matching ${action} rule at index ${i}` };
  }
  return undefined;
}

const capital = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}`;

function matchExitCode(
  pod: Pod,
  { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement,
): { readonly name: string; readonly exitCode: number } | undefined {
  const containers = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  for (const { name, state } of containers) {
    const exitCode = state?.terminated?.exitCode;
    if (exitCode === undefined || exitCode === 0) continue;
    if (containerName !== undefined && containerName !== name) continue;
    if (values.includes(exitCode) === (operator === "In")) return { name, exitCode };
  }
  return undefined;
}
