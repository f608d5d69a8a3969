import type { Node, Taint } from "@coracle/api/core/v1";

/** On a node whose machine is off. */
export const SHUT_DOWN: Taint = { key: "node.cloudprovider.kubernetes.io/shutdown", effect: "NoSchedule" };

const isShutDownTaint = ({ key, effect }: Taint): boolean => key === SHUT_DOWN.key && effect === SHUT_DOWN.effect;

/** Whether the node says of itself that it is ready: then nobody needs to ask the cloud. */
export const isReady = (node: Node): boolean =>
  node.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";

/** The taints of a node whose machine is off, or runs; undefined: as it has them. */
export function planTaints(node: Node, isShutDown: boolean): readonly Taint[] | undefined {
  const taints = node.spec?.taints ?? [];
  if (taints.some(isShutDownTaint) === isShutDown) return undefined;
  return isShutDown ? [...taints, SHUT_DOWN] : taints.filter((taint) => !isShutDownTaint(taint));
}
