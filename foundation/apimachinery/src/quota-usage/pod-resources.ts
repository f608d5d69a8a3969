import type { Container, ContainerStatus, Pod, ResourceRequirements } from "@coracle/api/core/v1";
import type { Quantity } from "../quantity/quantity.ts";
import { addInto, raiseInto, readAmounts, type Amounts } from "./amounts.ts";

/** Whether a resource may be set for a pod as a whole. */
export const isPodLevelResource = (name: string): boolean =>
  name === "cpu" || name === "memory" || name.startsWith("hugepages-");

type List = Readonly<Record<string, string>> | undefined;

const podLevel = (pod: Pod): ResourceRequirements | undefined =>
  (pod.spec as { readonly resources?: ResourceRequirements | null } | undefined)?.resources ?? undefined;
const names = (list: unknown): string[] => Object.keys((list ?? {}) as object);

/** Whether the pod as a whole says what it needs. */
export function hasPodLevelResources(pod: Pod): boolean {
  const resources = podLevel(pod);
  return [...names(resources?.requests), ...names(resources?.limits)].some(isPodLevelResource);
}

type Side = "requests" | "limits";

/** What is accounted to a container while it is resized: the most of what is wished, given and in force. */
function effective(
  container: Container,
  status: ContainerStatus | undefined,
  side: Side,
  isInfeasible: boolean,
): Amounts {
  const wished = readAmounts(container.resources?.[side] as List);
  if (status?.resources === undefined || status.resources === null) return wished;
  const out = isInfeasible ? new Map<string, Quantity>() : wished;
  raiseInto(out, readAmounts(status.resources[side] as List));
  if (side === "requests") raiseInto(out, readAmounts(status.allocatedResources as List));
  return out;
}

function ofContainers(pod: Pod, side: Side): Map<string, Quantity> {
  const { spec, status } = pod;
  const statuses = new Map<string, ContainerStatus>();
  for (const one of status?.containerStatuses ?? []) statuses.set(one.name, one);
  for (const one of status?.initContainerStatuses ?? []) statuses.set(one.name, one);
  const pending = (status?.conditions ?? []).find(({ type }) => type === "PodResizePending");
  const isInfeasible = pending?.reason === "Infeasible";

  const total = new Map<string, Quantity>();
  for (const container of spec?.containers ?? []) {
    addInto(total, effective(container, statuses.get(container.name), side, isInfeasible));
  }
  // Init containers run one after another, beside the sidecars that began before them.
  const sidecars = new Map<string, Quantity>();
  const most = new Map<string, Quantity>();
  for (const container of spec?.initContainers ?? []) {
    if (container.restartPolicy === "Always") {
      const amounts = effective(container, statuses.get(container.name), side, isInfeasible);
      addInto(total, amounts);
      addInto(sidecars, amounts);
      raiseInto(most, sidecars);
    } else {
      const together = readAmounts(container.resources?.[side] as List);
      addInto(together, sidecars);
      raiseInto(most, together);
    }
  }
  raiseInto(total, most);
  return total;
}

function withPodLevel(pod: Pod, side: Side, total: Map<string, Quantity>): void {
  for (const [name, quantity] of readAmounts(podLevel(pod)?.[side] as List)) {
    if (isPodLevelResource(name)) total.set(name, quantity);
  }
}

/** What a pod asks for in all: init containers and sidecars, pod-level resources, overhead and pending resizes included. */
export function podRequests(pod: Pod): Map<string, Quantity> {
  const total = ofContainers(pod, "requests");
  withPodLevel(pod, "requests", total);
  addInto(total, readAmounts(pod.spec?.overhead as List));
  return total;
}

/** What a pod may use at most; overhead counts where there is a limit. */
export function podLimits(pod: Pod): Map<string, Quantity> {
  const total = ofContainers(pod, "limits");
  withPodLevel(pod, "limits", total);
  for (const [name, quantity] of readAmounts(pod.spec?.overhead as List)) {
    const limit = total.get(name);
    if (limit !== undefined && limit.nano !== 0n) addInto(total, new Map([[name, quantity]]));
  }
  return total;
}
