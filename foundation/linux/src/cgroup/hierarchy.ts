import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "../process/run.ts";
import { listMounts, type MountInfo } from "../mount/mountinfo.ts";

/** Where the kernel's cgroup controllers are mounted on this host. */
export interface CgroupHierarchy {
  /** 2 when the controllers are on the unified hierarchy, 1 when they have one each. */
  readonly version: 1 | 2;
  /** Mount point of the unified hierarchy; on version 1 it carries no controllers and may be missing. */
  readonly unified: string | undefined;
  /** Mount point by controller (version 1; several controllers may share one), and `name=systemd`. */
  readonly controllers: ReadonlyMap<string, string>;
}

const V1_CONTROLLERS = [
  "cpu",
  "cpuacct",
  "cpuset",
  "memory",
  "devices",
  "freezer",
  "blkio",
  "pids",
  "hugetlb",
  "net_cls",
  "net_prio",
  "perf_event",
  "rdma",
  "misc",
  "name=systemd",
];

/** Works out the hierarchy from a mount table. */
export function cgroupHierarchyOf(mounts: readonly MountInfo[]): CgroupHierarchy {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const m of mounts) {
    if (m.fsType === "cgroup2") unified ??= m.mountPoint;
    if (m.fsType !== "cgroup") continue;
    for (const option of m.superOptions) if (V1_CONTROLLERS.includes(option)) controllers.set(option, m.mountPoint);
  }
  return { version: controllers.has("memory") || controllers.has("cpu") ? 1 : 2, unified, controllers };
}

/** Looks at the host. */
export async function detectCgroups(): Promise<CgroupHierarchy> {
  return cgroupHierarchyOf(await listMounts());
}

/** The folders that make up one cgroup, one for each hierarchy. */
export function cgroupFolders(hierarchy: CgroupHierarchy, path: string): string[] {
  const roots = new Set(hierarchy.controllers.values());
  if (hierarchy.unified !== undefined) roots.add(hierarchy.unified);
  return [...roots].map((root) => join(root, path));
}

/** The folder of one cgroup that holds a controller's files. */
export function cgroupFolder(hierarchy: CgroupHierarchy, controller: string, path: string): string | undefined {
  const root = hierarchy.version === 2 ? hierarchy.unified : hierarchy.controllers.get(controller);
  return root === undefined ? undefined : join(root, path);
}

/** Writes one control file; a controller that the host lacks is skipped. */
export async function writeCgroupFile(
  hierarchy: CgroupHierarchy,
  controller: string,
  path: string,
  file: string,
  value: string,
): Promise<void> {
  const folder = cgroupFolder(hierarchy, controller, path);
  if (folder !== undefined) await writeFile(join(folder, file), value);
}

/** A control file's text; undefined when the cgroup or the controller is not there. */
export async function readCgroupFile(
  hierarchy: CgroupHierarchy,
  controller: string,
  path: string,
  file: string,
): Promise<string | undefined> {
  const folder = cgroupFolder(hierarchy, controller, path);
  if (folder === undefined) return undefined;
  try {
    return await readFile(join(folder, file), "utf8");
  } catch (error) {
    // ENODEV: removed between open and read.
    if (["ENOENT", "ENODEV", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Creates a cgroup in every hierarchy, controllers switched on all the way down (version 2). */
export async function createCgroup(hierarchy: CgroupHierarchy, path: string): Promise<void> {
  await Promise.all(cgroupFolders(hierarchy, path).map((folder) => mkdir(folder, { recursive: true })));
  if (hierarchy.version === 2 && hierarchy.unified !== undefined) {
    let folder = hierarchy.unified;
    const parts = path.split("/").filter((part) => part !== "");
    for (const part of parts) {
      await enableControllers(folder);
      folder = join(folder, part);
    }
  } else await inheritCpuset(hierarchy, path);
}

async function enableControllers(folder: string): Promise<void> {
  const available = (await readFile(join(folder, "cgroup.controllers"), "utf8")).trim().split(" ");
  const enabled = (await readFile(join(folder, "cgroup.subtree_control"), "utf8")).trim().split(" ");
  const missing = available.filter((name) => name !== "" && !enabled.includes(name));
  if (missing.length > 0)
    await writeFile(join(folder, "cgroup.subtree_control"), missing.map((c) => `+${c}`).join(" "));
}

/** A version 1 cpuset starts empty, and nothing can run in it until it names processors and memory nodes. */
async function inheritCpuset(hierarchy: CgroupHierarchy, path: string): Promise<void> {
  const root = hierarchy.controllers.get("cpuset");
  if (root === undefined) return;
  let parent = root;
  for (const part of path.split("/").filter((p) => p !== "")) {
    const folder = join(parent, part);
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if ((await readFile(join(folder, file), "utf8")).trim() !== "") continue;
      await writeFile(join(folder, file), await readFile(join(parent, file), "utf8"));
    }
    parent = folder;
  }
}

/** Processes in a cgroup and all below it. */
export async function cgroupProcesses(hierarchy: CgroupHierarchy, path: string): Promise<number[]> {
  const pids = new Set<number>();
  const visit = async (folder: string): Promise<void> => {
    let text: string;
    try {
      text = await readFile(join(folder, "cgroup.procs"), "utf8");
    } catch (error) {
      if (["ENOENT", "ENODEV", "EOPNOTSUPP"].includes((error as NodeJS.ErrnoException).code ?? "")) text = "";
      else throw error;
    }
    for (const line of text.split("\n")) if (line !== "" && line !== "0") pids.add(Number(line));
    for (const child of await childFolders(folder)) await visit(child);
  };
  const folder = cgroupFolder(hierarchy, "memory", path) ?? cgroupFolders(hierarchy, path)[0];
  if (folder !== undefined) await visit(folder);
  return [...pids];
}

async function childFolders(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Kills every process in a cgroup and below; tells how many there were. */
export async function killCgroup(hierarchy: CgroupHierarchy, path: string): Promise<number> {
  const pids = await cgroupProcesses(hierarchy, path);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  return pids.length;
}

/** Removes a cgroup with everything below it from every hierarchy; false while processes still live in it. */
export async function removeCgroup(hierarchy: CgroupHierarchy, path: string): Promise<boolean> {
  const remove = async (folder: string): Promise<boolean> => {
    let isGone = true;
    for (const child of await childFolders(folder)) isGone = (await remove(child)) && isGone;
    try {
      await rmdir(folder);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EBUSY") return false;
      if (code !== "ENOENT") throw error;
    }
    return isGone;
  };
  const results = await Promise.all(cgroupFolders(hierarchy, path).map(remove));
  return results.every(Boolean);
}

/**
 * crun refuses version 1 hosts that leave a controller on the unified mount ("drop all controllers from cgroupv2").
 * Mounts what is left there the version 1 way; tells whether crun can work.
 */
export async function freeUnifiedControllers(hierarchy: CgroupHierarchy): Promise<boolean> {
  if (hierarchy.version === 2 || hierarchy.unified === undefined) return true;
  const text = await readFile(join(hierarchy.unified, "cgroup.controllers"), "utf8");
  const left = text
    .trim()
    .split(" ")
    .filter((name) => name !== "");
  const base = join(hierarchy.unified, "..");
  for (const controller of left) {
    const folder = join(base, controller);
    if (!existsSync(folder)) await mkdir(folder);
    const { code } = await run("mount", ["-t", "cgroup", "-o", controller, OWN_MOUNT, folder], { allowFailure: true });
    if (code !== 0) return false;
  }
  return true;
}

/** Source name by which mounts of ours are recognised. */
const OWN_MOUNT = "coracle";

/** Takes the mounts of `freeUnifiedControllers` back; those that somebody uses stay. */
export async function restoreUnifiedControllers(): Promise<void> {
  for (const { source, mountPoint, fsType } of await listMounts()) {
    if (source !== OWN_MOUNT || fsType !== "cgroup") continue;
    if ((await childFolders(mountPoint)).length > 0) continue;
    const { code } = await run("umount", [mountPoint], { allowFailure: true });
    if (code === 0) await rmdir(mountPoint);
  }
}
