import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import type { ContainerConfig, Mount } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { OciMount } from "./runtime-spec.ts";

export interface MountContext {
  readonly privileged: boolean;
  /** The pod shares the node's network: /sys can only be bound, not mounted. */
  readonly hostNetwork: boolean;
  /** Folder that is the pod's /dev/shm. */
  readonly shmPath: string;
  /** The pod's resolv.conf; absent when the pod uses the node's. */
  readonly resolvConfPath: string | undefined;
  readonly hostnamePath: string | undefined;
}

const PROPAGATION = {
  PROPAGATION_PRIVATE: "rprivate",
  PROPAGATION_HOST_TO_CONTAINER: "rslave",
  PROPAGATION_BIDIRECTIONAL: "rshared",
} as const;

function systemMounts(context: MountContext): OciMount[] {
  const access = context.privileged ? "rw" : "ro";
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    context.hostNetwork
      ? { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", access] }
      : { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", access] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", access],
    },
  ];
}

const withoutSlash = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, "") : path);

function userMount(mount: Mount): OciMount {
  const propagation =
    mount.propagation === undefined || typeof mount.propagation === "number"
      ? "PROPAGATION_PRIVATE"
      : mount.propagation;
  return {
    destination: mount.containerPath ?? "",
    type: "bind",
    source: mount.hostPath ?? "",
    options: ["rbind", PROPAGATION[propagation], mount.readonly === true ? "ro" : "rw"],
  };
}

/** Everything to mount, parents before children; the container's own mounts win over the system's. */
export async function planMounts(
  config: ContainerConfig,
  context: MountContext,
): Promise<{ readonly mounts: OciMount[]; readonly rootfsPropagation: string | undefined }> {
  const own = config.mounts ?? [];
  for (const mount of own) {
    if (mount.image !== undefined && (mount.image.image ?? "") !== "") {
      throw new CriError("UNIMPLEMENTED", "image volumes are not supported by this runtime");
    }
    if (mount.recursiveReadOnly === true) {
      throw new CriError("UNIMPLEMENTED", "recursive read-only mounts are not supported by this runtime");
    }
    const source = mount.hostPath ?? "";
    // As other runtimes do: a bind source that is missing becomes a folder.
    if (!existsSync(source)) {
      await mkdir(source, { recursive: true }).catch((cause: Error) => {
        throw new CriError(
          "UNKNOWN",
          `failed to generate container mounts: failed to mkdir "${source}": ${cause.message}`,
          { cause },
        );
      });
    }
  }
  const taken = new Set(own.map((mount) => withoutSlash(mount.containerPath ?? "")));
  const system = systemMounts(context).filter((mount) => !taken.has(mount.destination));
  const bind = (destination: string, source: string, access: string): void => {
    if (!taken.has(destination))
      system.push({ destination, type: "bind", source, options: ["rbind", "rprivate", access] });
  };
  bind("/dev/shm", context.shmPath, "rw");
  if (context.resolvConfPath !== undefined) bind("/etc/resolv.conf", context.resolvConfPath, "rw");
  if (context.hostnamePath !== undefined) bind("/etc/hostname", context.hostnamePath, "rw");
  if (context.hostNetwork && existsSync("/etc/hosts")) bind("/etc/hosts", "/etc/hosts", "rw");
  const depth = (mount: OciMount): number => withoutSlash(mount.destination).split("/").length;
  const users = own.map(userMount).sort((a, b) => depth(a) - depth(b));
  const propagations = own.map((mount) => mount.propagation);
  const rootfsPropagation = propagations.includes("PROPAGATION_BIDIRECTIONAL")
    ? "rshared"
    : propagations.includes("PROPAGATION_HOST_TO_CONTAINER")
      ? "rslave"
      : undefined;
  return { mounts: [...system, ...users], rootfsPropagation };
}
