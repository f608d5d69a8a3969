import type { Pod } from "@coracle/api/core/v1";
import type { Plugin, Unfit } from "../framework/plugin.ts";
import { hostPortsOf, type HostPort } from "../state/pod-facts.ts";

const UNFIT: Unfit = { reasons: ["node(s) didn't have free ports for the requested pod ports"], isFinal: false };
const ANY = "0.0.0.0";

const clash = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.address === b.address || a.address === ANY || b.address === ANY);

const clashes = (ports: readonly HostPort[], others: readonly HostPort[]): boolean =>
  ports.some((own) => others.some((other) => clash(own, other)));

/** A host port is given once per node. */
export const nodePorts: Plugin = {
  name: "NodePorts",
  events: ["node-added", "assigned-pod-deleted"],
  isHelpful(pod, { event, old }) {
    if (event !== "assigned-pod-deleted" || old === undefined) return true;
    const freed = hostPortsOf(old as Pod);
    return freed.length > 0 && clashes(hostPortsOf(pod), freed);
  },
  preFilter: (_, pod) => ({ skip: hostPortsOf(pod).length === 0 }),
  filter: (_, pod, node) => (node.hasPortConflict(pod) ? UNFIT : undefined),
  columns: {
    nodePart(pod, { table }) {
      const ports = hostPortsOf(pod);
      if (ports.length === 0) return undefined;
      const isTaken = (slot: number): boolean => table.state(slot)?.clashesWith(ports) === true;
      return {
        kind: "node",
        isStatic: false,
        filter: (slot) => (isTaken(slot) ? UNFIT : undefined),
        filterBeside: (slot, others) =>
          isTaken(slot) || others.some((other) => clashes(ports, other.ports)) ? UNFIT : undefined,
      };
    },
  },
};
