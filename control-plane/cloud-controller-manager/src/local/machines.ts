import { existsSync } from "node:fs";
import { cpus, hostname, totalmem } from "node:os";
import type { Node, NodeAddress } from "@coracle/api/core/v1";
import type { Instances } from "../provider/cloud-provider.ts";
import type { LocalConfiguration, LocalMachine } from "./configuration.ts";
import { readLinks } from "./links.ts";

/** The addresses that the node is reached at, in its own words. */
export const internalAddresses = (node: Node): readonly string[] =>
  (node.status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);

/** Which machine of those within reach each node is. */
export interface Machines {
  /** Undefined: it is none of them. */
  of(node: Node): Promise<LocalMachine | undefined>;
}

/** Finds machines by their configured names; without names, the node of this machine by its name and addresses. */
export function createMachines({ machines }: LocalConfiguration): Machines {
  return {
    async of(node) {
      const { name, annotations } = node.metadata;
      const named = machines.find((machine) => machine.name === name);
      if (named !== undefined) return named;
      const own = machines.find((machine) => machine.name === undefined);
      if (own === undefined) return undefined;
      if (name === hostname().toLowerCase()) return own;
      const claimed = [
        ...internalAddresses(node),
        ...(annotations?.["alpha.kubernetes.io/provided-node-ip"] ?? "").split(","),
      ];
      const links = await readLinks(own.networkNamespace);
      const has = (text: string): boolean =>
        links.some((link) => link.addresses.some(({ address }) => address === text));
      return claimed.some(has) ? own : undefined;
    },
  };
}

/** Whether the machine is on, so to speak. */
export const isThere = ({ networkNamespace }: LocalMachine): boolean =>
  networkNamespace === undefined || existsSync(networkNamespace);

/** Letters that a label's value may have. */
const labelOf = (text: string): string =>
  text.replaceAll(/[^-A-Za-z0-9_.]/g, "-").replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");

/**
 * Nodes are what their machines say. Of a machine that is not within reach nothing is known but what its kubelet says; it
 * exists until somebody deletes its node.
 */
export function createLocalInstances(configuration: LocalConfiguration, machines: Machines): Instances {
  const machineName = labelOf(hostname().toLowerCase());
  const { zone = machineName, region = "local" } = configuration;
  const instanceType = `${cpus().length}cpu-${Math.round(totalmem() / 2 ** 30)}gib`;
  return {
    async exists(node) {
      const machine = await machines.of(node);
      return machine === undefined || isThere(machine);
    },
    async isShutDown(node) {
      const machine = await machines.of(node);
      if (machine === undefined || !isThere(machine)) return false;
      return (await readLinks(machine.networkNamespace)).every(({ isUp }) => !isUp);
    },
    async metadata(node) {
      const { name = "" } = node.metadata;
      const machine = await machines.of(node);
      if (machine === undefined)
        return { providerId: `local:///${name}`, addresses: node.status?.addresses ?? [], region };
      if (!isThere(machine)) throw new Error(`${machine.networkNamespace} is not there`);
      return {
        providerId: `local://${machineName}/${name}`,
        addresses: [...(await addressesOf(machine)), { type: "Hostname", address: name }],
        instanceType,
        zone,
        region,
      };
    },
  };
}

/** The machine's own addresses: not those that it holds for load balancers. */
async function addressesOf({ networkNamespace }: LocalMachine): Promise<NodeAddress[]> {
  return (await readLinks(networkNamespace)).flatMap(({ addresses }) =>
    addresses
      .filter(({ label, address }) => label?.endsWith(":lb") !== true && !address.includes(":"))
      .map(({ address }) => ({ type: "InternalIP", address })),
  );
}
