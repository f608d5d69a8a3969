import type { Plugin } from "../framework/plugin.ts";

/** A host port is given once per node. */
export const nodePorts: Plugin = {
  name: "NodePorts",
  events: ["node-added", "assigned-pod-deleted"],
  preFilter: (_, pod) => ({
    skip: !pod.spec.containers.some((container) => container.ports?.some((port) => (port.hostPort ?? 0) !== 0)),
  }),
  filter(_, pod, node) {
    if (!node.hasPortConflict(pod)) return undefined;
    return { reasons: ["node(s) didn't have free ports for the requested pod ports"], isFinal: false };
  },
};
