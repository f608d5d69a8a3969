import { Node } from "@coracle/api/core/v1";
import { referenceTo } from "@coracle/client";
import { defineController, done, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { ControllerManagerFlags } from "../flags.ts";
import { CidrSet, formatCidr, parseCidr } from "./cidr-set.ts";
import type { NodeIpamMonitor } from "./monitor.ts";

/** Gives every node its range of pod addresses. */
export function createNodeIpamController(
  deps: ControllerDeps,
  flags: ControllerManagerFlags,
  monitor: NodeIpamMonitor,
): Controller {
  const { client, informers, recorder } = deps;
  const sets = flags.clusterCidr.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new Error(`--cluster-cidr: ${JSON.stringify(text)} is no address range`);
    const set = new CidrSet(cidr, cidr.isIpv6 ? flags.nodeCidrMaskSizeIpv6 : flags.nodeCidrMaskSize);
    set.observer = monitor.watch(formatCidr(cidr), set);
    return set;
  });
  for (const range of flags.serviceClusterIpRange) for (const set of sets) set.occupy(range);
  const nodes = informers.informer(Node).lister;
  /** What each node has or is being given. */
  const given = new Map<string, readonly string[]>();

  const adopt = (node: Node): void => {
    const { name = "" } = node.metadata;
    const cidrs = node.spec?.podCIDRs ?? (node.spec?.podCIDR === undefined ? [] : [node.spec.podCIDR]);
    if (cidrs.length === 0 || given.has(name)) return;
    given.set(name, cidrs);
    for (const cidr of cidrs) for (const set of sets) set.occupy(cidr);
  };
  const release = (name: string): void => {
    for (const cidr of given.get(name) ?? []) for (const set of sets) set.release(cidr);
    given.delete(name);
  };

  return defineController<Node>(deps, {
    name: "node-ipam",
    for: Node,
    changed: (node, old) =>
      old === undefined || node.spec?.podCIDR === undefined || !given.has(node.metadata.name ?? ""),
    // What nodes have must be known before anything is handed out.
    started: () => nodes.list().forEach(adopt),
    workers: 1,
    async reconcile(name, { signal }) {
      const node = nodes.byKey(name);
      if (node === undefined) {
        release(name);
        return done;
      }
      adopt(node);
      if ((node.spec?.podCIDR ?? "") !== "" || node.metadata.deletionTimestamp !== undefined) return done;
      let podCIDRs = given.get(name);
      if (podCIDRs === undefined) {
        const allocated = sets.map((set) => set.allocate());
        if (allocated.some((each) => each === undefined)) {
          for (const [i, cidr] of allocated.entries()) if (cidr !== undefined) sets[i]?.release(cidr);
          const message = `Node ${name} status is now: CIDRNotAvailable`;
          recorder.event(referenceTo(Node, node), "Normal", "CIDRNotAvailable", message);
          throw new Error("no free pod address range");
        }
        podCIDRs = allocated as readonly string[];
        given.set(name, podCIDRs);
      }
      await client.patch(Node, { name }, "strategic", { spec: { podCIDR: podCIDRs[0], podCIDRs } }, { signal });
      return done;
    },
  });
}
