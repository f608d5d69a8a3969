import { access, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ipBatch, nft, run, writeSysctl } from "@coracle/linux";
import { AddressPool, formatIpv4, parseRange, type AddressRange } from "./address-pool.ts";
import { hostInterfaceOf, planLink } from "./pod-links.ts";
import { hostPortRules, type PublishedPort } from "./port-mappings.ts";

/** The part of a pod that its network needs. */
export interface PodNetworkAttachment {
  readonly sandboxId: string;
  readonly netnsPath: string;
  readonly portMappings?: readonly {
    readonly protocol?: string | number | undefined;
    readonly containerPort?: number | undefined;
    readonly hostPort?: number | undefined;
    readonly hostIp?: string | undefined;
  }[];
}

export interface PodNetworkOptions {
  /** Where addresses are remembered; outlives a reboot. */
  readonly dataDir: string;
  /** The node's range; without it pods wait until `setPodCidr`. */
  readonly podCidr?: string | undefined;
  readonly mtu?: number | undefined;
  /** Traffic from pods to anywhere but this range (the cluster's) leaves with the node's address. */
  readonly masqueradeOutside?: string | undefined;
}

/** The pod network of one node, for pods in network namespaces of their own. */
export interface RoutedPodNetwork {
  add(pod: PodNetworkAttachment): Promise<{ readonly ips: readonly string[] }>;
  remove(pod: PodNetworkAttachment): Promise<void>;
  /** The same for many at once: the kernel waits once for all links, not once for each. */
  removeAll(pods: readonly PodNetworkAttachment[]): Promise<void>;
  /** Finds a pod whose link or address is gone. */
  check(pod: PodNetworkAttachment): Promise<void>;
  notReady(): string | undefined;
  setPodCidr(podCidr: string): Promise<void>;
  /** Takes the node-wide rules away. Pods' links go with `remove`. */
  close(): Promise<void>;
}

const MASQUERADE_TABLE = "coracle_masquerade";
/** Number of the group that links are put in to be deleted together. */
const LEAVING_GROUP = 0xc0c1;

interface Range {
  readonly cidr: string;
  readonly range: AddressRange;
  readonly pool: AddressPool;
}

/** Opens the pod network; what pods had before a restart they keep. */
export async function openPodNetwork(options: PodNetworkOptions): Promise<RoutedPodNetwork> {
  const cidrFile = join(options.dataDir, "pod-cidr");
  const portsFile = join(options.dataDir, "host-ports.json");
  await mkdir(options.dataDir, { recursive: true });
  let current: Range | undefined;
  let ports: Record<string, PublishedPort[]> = {};
  try {
    ports = JSON.parse(await readFile(portsFile, "utf8")) as typeof ports;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" && !(error instanceof SyntaxError)) throw error;
  }

  const setPodCidr = async (cidr: string): Promise<void> => {
    if (current?.cidr === cidr) return;
    const range = parseRange(cidr);
    current = { cidr, range, pool: await AddressPool.open(join(options.dataDir, "addresses"), range) };
    await writeFile(cidrFile, cidr);
    await writeSysctl("net.ipv4.ip_forward", "1");
    if (options.masqueradeOutside !== undefined) await nft(masqueradeRules(cidr, options.masqueradeOutside));
  };
  const known = options.podCidr ?? (await readFile(cidrFile, "utf8").catch(() => undefined));
  if (known !== undefined && known !== "") await setPodCidr(known.trim());

  // The kernel takes one rule set at a time, and each must show all ports.
  let turn: Promise<void> = Promise.resolve();
  const publish = (sandboxId: string, own: readonly PublishedPort[]): Promise<void> => {
    turn = turn
      .catch(() => {})
      .then(async () => {
        if (own.length === 0 && ports[sandboxId] === undefined) return;
        if (own.length === 0) delete ports[sandboxId];
        else ports[sandboxId] = [...own];
        await writeFile(`${portsFile}.tmp`, JSON.stringify(ports));
        await rename(`${portsFile}.tmp`, portsFile);
        if (own.some((port) => port.hostIp === undefined || port.hostIp.startsWith("127.")))
          await writeSysctl("net.ipv4.conf.all.route_localnet", "1");
        await nft(hostPortRules(Object.values(ports).flat(), current?.cidr ?? "0.0.0.0/0"));
      });
    return turn;
  };

  return {
    setPodCidr,
    notReady: () => (current === undefined ? "cni plugin not initialized: the node has no pod CIDR yet" : undefined),
    async add(pod) {
      if (current === undefined) throw new Error("cni plugin not initialized: the node has no pod CIDR yet");
      const { range, pool } = current;
      const podAddress = formatIpv4(await pool.take(pod.sandboxId));
      try {
        const plan = planLink({
          podAddress,
          gateway: formatIpv4(range.gateway),
          hostInterface: hostInterfaceOf(pod.sandboxId),
          netnsPath: pod.netnsPath,
          mtu: options.mtu,
        });
        await ipBatch(plan.host);
        await ipBatch(plan.pod, { netns: pod.netnsPath });
        await publish(pod.sandboxId, publishedPorts(pod, podAddress));
      } catch (error) {
        await run("ip", ["link", "del", hostInterfaceOf(pod.sandboxId)], { allowFailure: true });
        await pool.release(pod.sandboxId);
        throw error;
      }
      return { ips: [podAddress] };
    },
    async remove(pod) {
      await publish(pod.sandboxId, []);
      await run("ip", ["link", "del", hostInterfaceOf(pod.sandboxId)], { allowFailure: true });
      await current?.pool.release(pod.sandboxId);
    },
    async removeAll(pods) {
      const links = pods.map((pod) => hostInterfaceOf(pod.sandboxId));
      // Links that are gone already are skipped; no link at all leaves an empty group, which ip calls an error.
      const leave = links.map((link) => `link set dev ${link} group ${LEAVING_GROUP}`);
      await ipBatch(leave, { force: true });
      if (links.length > 0) await run("ip", ["link", "del", "group", String(LEAVING_GROUP)], { allowFailure: true });
      for (const { sandboxId } of pods) {
        await publish(sandboxId, []);
        await current?.pool.release(sandboxId);
      }
    },
    async check(pod) {
      await access(pod.netnsPath);
      if (current?.pool.addressOf(pod.sandboxId) === undefined) throw new Error(`pod ${pod.sandboxId} has no address`);
      await run("ip", ["link", "show", hostInterfaceOf(pod.sandboxId)]);
    },
    async close() {
      await turn.catch(() => {});
      await run("nft", ["delete", "table", "ip", "coracle_hostports"], { allowFailure: true });
      await run("nft", ["delete", "table", "ip", MASQUERADE_TABLE], { allowFailure: true });
    },
  };
}

function publishedPorts(pod: PodNetworkAttachment, podAddress: string): PublishedPort[] {
  const published: PublishedPort[] = [];
  for (const { protocol, containerPort = 0, hostPort = 0, hostIp = "" } of pod.portMappings ?? []) {
    const name = String(protocol ?? "TCP").toLowerCase();
    if (hostPort === 0 || (name !== "tcp" && name !== "udp") || hostIp.includes(":")) continue;
    published.push({
      protocol: name,
      hostIp: hostIp === "" || hostIp === "0.0.0.0" ? undefined : hostIp,
      hostPort,
      podAddress,
      podPort: containerPort,
    });
  }
  return published;
}

function masqueradeRules(podCidr: string, clusterCidr: string): string {
  return `table ip ${MASQUERADE_TABLE}
delete table ip ${MASQUERADE_TABLE}
table ip ${MASQUERADE_TABLE} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${podCidr} ip daddr != ${clusterCidr} ip daddr != 224.0.0.0/4 masquerade
  }
}
`;
}

/** Forgets everything a node's pod network remembered on disk. */
export async function removePodNetworkData(dataDir: string): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
}
