import { readFile, statfs } from "node:fs/promises";
import { arch, availableParallelism, hostname, release } from "node:os";
import type { NodeSystemInfo } from "@coracle/api/core/v1";
import { bootId } from "@coracle/linux";

/** What the host has. */
export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly ephemeralStorageBytes: number;
  readonly hugePages: readonly { readonly size: string; readonly bytes: number }[];
  readonly info: Omit<NodeSystemInfo, "containerRuntimeVersion" | "kubeletVersion" | "kubeProxyVersion">;
}

const firstLine = async (path: string): Promise<string> => (await readFile(path, "utf8").catch(() => "")).trim();

/** Reads the host's size and names; `folder` is on the file system that pods write to. */
export async function readMachine(folder: string): Promise<Machine> {
  const [meminfo, osRelease, machineID, systemUUID, disk, bootID] = await Promise.all([
    readFile("/proc/meminfo", "utf8"),
    readFile("/etc/os-release", "utf8").catch(() => ""),
    firstLine("/etc/machine-id"),
    firstLine("/sys/class/dmi/id/product_uuid"),
    statfs(folder),
    bootId(),
  ]);
  const memory = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo)?.[1] ?? 0) * 1024;
  const swapBytes = memory("SwapTotal");
  return {
    cpus: availableParallelism(),
    memoryBytes: memory("MemTotal"),
    swapBytes,
    ephemeralStorageBytes: disk.blocks * disk.bsize,
    hugePages: [],
    info: {
      architecture: arch() === "x64" ? "amd64" : arch(),
      bootID,
      kernelVersion: release(),
      machineID: machineID === "" ? hostname() : machineID,
      operatingSystem: "linux",
      osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? "Linux",
      systemUUID: systemUUID === "" ? machineID : systemUUID,
      ...(swapBytes > 0 ? { swap: { capacity: swapBytes } } : {}),
    },
  };
}

/** Memory that could still be used, from the kernel. */
export async function availableMemoryBytes(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8");
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
