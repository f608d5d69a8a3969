import type { Node, Taint } from "@coracle/api/core/v1";

/** On a node whose machine is off. */
export const SHUT_DOWN: Taint = { key: "node.cloudprovider.kubernetes.io/shutdown", effect: "NoSchedule" };

const isShutDownTaint = ({ key, effect }: Taint): boolean => key === SHUT_DOWN.key && effect === SHUT_DOWN.effect;

/** Whether the node says of itself that it is ready: then nobody needs to ask the cloud. */
export const isReady = (node: Node): boolean =>
  node.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";

/**
 * The taints of a node whose machine is off, or runs; undefined: as it has them. Only a node that is ready says for sure
 * that its machine runs.
 */
export function planTaints(node: Node, machine: "off" | "runs" | "unknown"): readonly Taint[] | undefined {
  const taints = node.spec?.taints ?? [];
  const isTainted = taints.some(isShutDownTaint);
  if (machine === "off" && !isTainted) return [...taints, SHUT_DOWN];
  if (machine === "runs" && isTainted) return taints.filter((taint) => !isShutDownTaint(taint));
  return undefined;
}
