import { existsSync } from "node:fs";
import type { Node } from "@coracle/api/core/v1";
import { ipBatch, ipJson } from "@coracle/linux";
import type { Route, Routes } from "../provider/cloud-provider.ts";
import type { LocalConfiguration } from "./configuration.ts";
import { internalAddresses, type Machines } from "./machines.ts";

/** By this number the kernel tells our routes from others. */
const PROTOCOL = 76;

/** A route in the kernel. */
export interface KernelRoute {
  readonly destination: string;
  readonly gateway: string;
}

/** What one network namespace has. */
export interface NetworkRoutes {
  readonly network: string | undefined;
  readonly routes: readonly KernelRoute[];
}

const isIpv6 = (address: string): boolean => address.includes(":");

/** The node's address of the range's family. */
const gatewayTo = (node: Node, cidr: string): string | undefined =>
  internalAddresses(node).find((address) => isIpv6(address) === isIpv6(cidr));

/**
 * What the networks' routes mean: each leads to a node, by its address. A route that a node wants counts when every
 * network has it but the node's own; one that nobody wants counts when any has it, so that it can be removed.
 */
export function routesOf(
  networks: readonly NetworkRoutes[],
  nodes: readonly { readonly node: Node; readonly network: string | undefined; readonly isWithinReach: boolean }[],
  made: ReadonlySet<string>,
): Route[] {
  const found = new Map<string, Route>();
  const add = (targetNode: string, destination: string, gateway: string): void => {
    const name = `${destination} via ${gateway}`;
    found.set(name, { name, targetNode, destinationCidr: destination });
  };
  const wanted = new Set<string>();
  for (const { node, network, isWithinReach } of nodes) {
    const { name = "" } = node.metadata;
    const others = networks.filter((each) => !isWithinReach || each.network !== network);
    for (const cidr of node.spec?.podCIDRs ?? []) {
      const gateway = gatewayTo(node, cidr);
      if (gateway === undefined) continue;
      wanted.add(`${cidr} via ${gateway}`);
      const has = ({ routes }: NetworkRoutes): boolean =>
        routes.some((route) => route.destination === cidr && route.gateway === gateway);
      if (others.length === 0 ? made.has(`${cidr} via ${gateway}`) : others.every(has)) add(name, cidr, gateway);
    }
  }
  for (const { routes } of networks)
    for (const { destination, gateway } of routes)
      if (!wanted.has(`${destination} via ${gateway}`)) add(gateway, destination, gateway);
  return [...found.values()];
}

/** Routes between the machines within reach, and from them to all other nodes, which must be neighbours. */
export function createLocalRoutes(
  configuration: LocalConfiguration,
  machines: Machines,
  nodes: () => readonly Node[],
): Routes {
  // This process's own network is one of them: the API server reaches pods from here.
  const all = [...new Set([undefined, ...configuration.machines.map((machine) => machine.networkNamespace)])];
  const networks = (): readonly (string | undefined)[] =>
    all.filter((network) => network === undefined || existsSync(network));
  /** Routes that no kernel needs: to the only machine there is. */
  const made = new Set<string>();

  async function readFamily(network: string | undefined, family: "-4" | "-6"): Promise<readonly KernelRoute[]> {
    const args = [family, "route", "show", "proto", String(PROTOCOL)];
    const rows = (await ipJson(args, { netns: network })) as readonly {
      readonly dst?: string;
      readonly gateway?: string;
    }[];
    return rows.map(({ dst = "", gateway = "" }) => ({ destination: dst, gateway }));
  }

  async function read(network: string | undefined): Promise<NetworkRoutes> {
    const hasIpv6 = nodes().some(({ spec }) => (spec?.podCIDRs ?? []).some(isIpv6));
    const families = hasIpv6 ? (["-4", "-6"] as const) : (["-4"] as const);
    return { network, routes: (await Promise.all(families.map((family) => readFamily(network, family)))).flat() };
  }

  return {
    async list() {
      const targets = await Promise.all(
        nodes().map(async (node) => {
          const machine = await machines.of(node);
          return { node, network: machine?.networkNamespace, isWithinReach: machine !== undefined };
        }),
      );
      return routesOf(await Promise.all(networks().map(read)), targets, made);
    },
    async create(_clusterName, _nameHint, { targetNode, destinationCidr }) {
      const node = nodes().find(({ metadata }) => metadata.name === targetNode);
      if (node === undefined) throw new Error(`there is no node ${targetNode}`);
      const gateway = gatewayTo(node, destinationCidr);
      if (gateway === undefined)
        throw new Error(`node ${targetNode} has no address by which ${destinationCidr} is reached`);
      const machine = await machines.of(node);
      made.add(`${destinationCidr} via ${gateway}`);
      const line = `route replace ${destinationCidr} via ${gateway} proto ${PROTOCOL}`;
      for (const network of networks())
        if (machine === undefined || machine.networkNamespace !== network) await ipBatch([line], { netns: network });
    },
    async delete(_clusterName, { name }) {
      made.delete(name);
      for (const network of networks())
        await ipBatch([`route del ${name} proto ${PROTOCOL}`], { netns: network, force: true });
    },
  };
}
