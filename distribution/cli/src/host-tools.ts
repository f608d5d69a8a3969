import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { ClusterConfig } from "@coracle/cluster";

export interface HostTool {
  readonly name: string;
  /** Debian's package. */
  readonly package: string;
  readonly purpose: string;
  readonly isNeeded: (config: Pick<ClusterConfig, "runtime" | "proxyMode">) => boolean;
}

const always = (): boolean => true;
const withOwnRuntime = ({ runtime }: Pick<ClusterConfig, "runtime">): boolean => !runtime.startsWith("unix://");

/** Programs of the host that a node runs. */
export const HOST_TOOLS: readonly HostTool[] = [
  { name: "ip", package: "iproute2", purpose: "pod network", isNeeded: always },
  { name: "nsenter", package: "util-linux", purpose: "pod network, port-forward", isNeeded: always },
  { name: "mount", package: "mount", purpose: "volumes, images", isNeeded: always },
  { name: "tar", package: "tar", purpose: "image layers", isNeeded: withOwnRuntime },
  { name: "conmon", package: "conmon", purpose: "container supervision", isNeeded: withOwnRuntime },
  {
    name: "crun",
    package: "crun",
    purpose: "containers",
    isNeeded: ({ runtime }) => runtime === "auto" || runtime === "crun",
  },
  { name: "runc", package: "runc", purpose: "containers", isNeeded: ({ runtime }) => runtime === "runc" },
  { name: "socat", package: "socat", purpose: "attach, port-forward", isNeeded: withOwnRuntime },
  { name: "script", package: "bsdutils", purpose: "terminals of exec", isNeeded: withOwnRuntime },
  { name: "iptables", package: "iptables", purpose: "Services", isNeeded: ({ proxyMode }) => proxyMode === "iptables" },
  { name: "nft", package: "nftables", purpose: "Services, masquerading", isNeeded: always },
  { name: "conntrack", package: "conntrack", purpose: "Services over UDP", isNeeded: always },
];

export function isOnPath(program: string): boolean {
  const dirs = `${process.env["PATH"] ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return dirs.some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What a node with this configuration needs and the host lacks. */
export function findMissingTools(config: Pick<ClusterConfig, "runtime" | "proxyMode">): HostTool[] {
  return HOST_TOOLS.filter((tool) => tool.isNeeded(config) && !isOnPath(tool.name));
}
