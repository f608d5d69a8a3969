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
    const [gateway] = internalAddresses(node);
    if (gateway === undefined) continue;
    const others = networks.filter((each) => !isWithinReach || each.network !== network);
    for (const cidr of node.spec?.podCIDRs ?? []) {
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

  async function read(network: string | undefined): Promise<NetworkRoutes> {
    const args = ["route", "show", "proto", String(PROTOCOL)];
    const rows = (await ipJson(args, { netns: network })) as readonly {
      readonly dst?: string;
      readonly gateway?: string;
    }[];
    return { network, routes: rows.map(({ dst = "", gateway = "" }) => ({ destination: dst, gateway })) };
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
      const [gateway] = node === undefined ? [] : internalAddresses(node);
      if (node === undefined || gateway === undefined) throw new Error(`node ${targetNode} has no address`);
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
