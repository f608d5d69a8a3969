import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ipBatch, readSysctl, writeSysctl } from "@coracle/linux";
import type { ClusterConfig, NodeConfig } from "./cluster-config.ts";
import { isNamespaced } from "./cluster-network.ts";

/** Kernel switches that a node needs, and what they must be. Others that nodes change are remembered as well. */
const SWITCHES = { "net.ipv4.ip_forward": "1" } as const;
const REMEMBERED = ["net.ipv4.ip_forward", "net.ipv4.conf.all.route_localnet"] as const;

const memoryFile = (config: ClusterConfig): string => join(config.runDir, "sysctl.json");

/** Remembers the host's switches, before the first change, for `restoreNodeNetwork`. */
export async function rememberSwitches(config: ClusterConfig): Promise<void> {
  const before: Record<string, string> = {};
  for (const name of REMEMBERED) {
    const value = await readSysctl(name);
    if (value !== undefined) before[name] = value;
  }
  mkdirSync(dirname(memoryFile(config)), { recursive: true });
  try {
    writeFileSync(memoryFile(config), JSON.stringify(before), { flag: "wx" });
  } catch (error) {
    // A restart: the values remembered at the first start are the ones to go back to.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/**
 * Makes the node's network fit for pods: forwarding, and a route for service addresses that stays on this machine, so
 * that a service without rules never leaks a packet.
 */
export async function prepareNodeNetwork(config: ClusterConfig, node: NodeConfig): Promise<void> {
  for (const [name, value] of Object.entries(SWITCHES)) await writeSysctl(name, value);
  await ipBatch([`route replace ${config.serviceCidr} dev lo src ${node.address}`]);
}

/** Takes back what `prepareNodeNetwork` did. */
export async function restoreNodeNetwork(config: ClusterConfig): Promise<void> {
  // Nodes in namespaces have the route there.
  if (!isNamespaced(config)) await ipBatch([`route del ${config.serviceCidr} dev lo`], { force: true });
  let before: Record<string, string>;
  try {
    before = JSON.parse(readFileSync(memoryFile(config), "utf8")) as Record<string, string>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  for (const [name, value] of Object.entries(before)) await writeSysctl(name, value);
}
