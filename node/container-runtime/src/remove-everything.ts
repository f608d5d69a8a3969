import { existsSync } from "node:fs";
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  cgroupFolders,
  detectCgroups,
  killCgroup,
  removeCgroup,
  unmountTree,
  type CgroupHierarchy,
} from "@coracle/linux";
import { sleep, systemClock, type Clock } from "@coracle/base";
import type { ContainerRecord } from "./container/container-record.ts";
import { runtimePaths, shortId, type RuntimePaths } from "./host/paths.ts";
import { readJsonFile } from "./json-file.ts";
import type { PodNetwork, PodNetworkRequest } from "./network/pod-network.ts";
import type { SandboxRecord } from "./sandbox/sandbox-record.ts";

export interface RemoveEverythingOptions {
  readonly stateDir: string;
  /** Default: what the state folder remembers. */
  readonly rootDir?: string;
  /** Gives the pods' addresses and links back; without it they go with their namespaces. */
  readonly network?: PodNetwork;
  readonly clock?: Clock;
}

/**
 * Ends every container and pod of a runtime that does not run any more, however it ended, and removes all they had on
 * this host: processes, mounts, cgroups, namespaces, records. Images stay. Nothing there is no error; twice neither.
 */
export async function removeEverything(options: RemoveEverythingOptions): Promise<void> {
  const { stateDir, clock = systemClock } = options;
  const root = options.rootDir ?? (await readFile(join(stateDir, "root"), "utf8").catch(() => undefined));
  const paths = runtimePaths(root ?? stateDir, stateDir);
  const hierarchy = await detectCgroups();
  const containers = await readRecords<ContainerRecord>(paths.containers, (name) => join(name, "container.json"));
  const sandboxes = await readRecords<SandboxRecord>(paths.sandboxRecords, (name) => name);
  const cgroups = new Set(containers.map((record) => record.cgroupsPath));
  for (const record of sandboxes) {
    const parent = record.config.linux?.cgroupParent ?? "";
    cgroups.add(join("/", parent === "" ? "/coracle" : parent, `pause-${shortId(record.id)}`));
  }
  // Their supervisors first, or they would write exit files into folders that go.
  const supervisors = await supervisorPids(paths);
  for (const cgroup of cgroups) await killCgroup(hierarchy, cgroup);
  for (let attempt = 0; attempt < 200 && [...cgroups].some((path) => existsInAny(hierarchy, path)); attempt++) {
    const left = await Promise.all([...cgroups].map((path) => removeCgroup(hierarchy, path)));
    if (left.every(Boolean)) break;
    for (const cgroup of cgroups) await killCgroup(hierarchy, cgroup);
    await sleep(clock, 10);
  }
  for (const pid of supervisors) kill(pid);
  await removeEmptyParents(hierarchy, cgroups);
  if (options.network !== undefined) {
    const requests = sandboxes.map((record) => networkRequestOf(paths, record));
    if (options.network.removeAll !== undefined) await options.network.removeAll(requests).catch(() => {});
    else for (const request of requests) await options.network.remove(request).catch(() => {});
  }
  await unmountTree(stateDir);
  await rm(stateDir, { recursive: true, force: true });
  await rm(paths.containers, { recursive: true, force: true });
  await rm(paths.sandboxRecords, { recursive: true, force: true });
  await rm(paths.bootId, { force: true });
}

async function readRecords<T>(folder: string, fileOf: (name: string) => string): Promise<T[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const records = await Promise.all(
    names.map((name) => readJsonFile<T>(join(folder, fileOf(name))).catch(() => undefined)),
  );
  return records.filter((record): record is Awaited<T> & NonNullable<T> => record !== undefined);
}

async function supervisorPids(paths: RuntimePaths): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir(paths.bundles).catch(() => [] as string[])) {
    const pid = Number(await readFile(join(paths.bundles, name, "conmon-pid"), "utf8").catch(() => ""));
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    // The number may be someone else's by now.
    if (pid > 0 && command.includes("conmon") && command.includes(join(paths.bundles, name))) pids.push(pid);
  }
  return pids;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

const existsInAny = (hierarchy: CgroupHierarchy, path: string): boolean =>
  cgroupFolders(hierarchy, path).some((folder) => existsSync(folder));

/** Pods' and classes' own cgroups are the kubelet's; those that stand empty now have no owner any more. */
async function removeEmptyParents(hierarchy: CgroupHierarchy, cgroups: ReadonlySet<string>): Promise<void> {
  const parents = new Set<string>();
  for (const path of cgroups) for (let up = dirname(path); up !== "/"; up = dirname(up)) parents.add(up);
  for (const path of [...parents].sort((a, b) => b.length - a.length)) {
    for (const folder of cgroupFolders(hierarchy, path)) await rmdir(folder).catch(() => {});
  }
}

function networkRequestOf(paths: RuntimePaths, record: SandboxRecord): PodNetworkRequest {
  const { metadata, portMappings = [], annotations = {}, labels = {} } = record.config;
  return {
    sandboxId: record.id,
    netnsPath: join(paths.namespaces, shortId(record.id), "net"),
    namespace: metadata?.namespace ?? "",
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    portMappings,
    annotations,
    labels,
  };
}
