import { readdirSync, readFileSync } from "node:fs";
import type { Catalog } from "../discovery/catalog.ts";
import type { Registry } from "../registry/registry.ts";
import { versionInfo } from "../discovery/version.ts";

/** A kind of object that is stored. */
export interface CountedResource {
  readonly group: string;
  readonly plural: string;
  readonly count: number;
}

/** Counts what is stored, each kind once, by its best version. */
export function countResources(catalog: Catalog, registry: Registry): CountedResource[] {
  const found = new Map<string, CountedResource>();
  for (const { name: group, versions } of catalog.groups) {
    for (const version of versions) {
      for (const { plural } of catalog.resources(group, version)) {
        const count = registry.resource(group, version, plural)?.count;
        const key = `${group}/${plural}`;
        if (count !== undefined && !found.has(key)) found.set(key, { group, plural, count });
      }
    }
  }
  return [...found.values()];
}

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

/** What the kernel says of this process. */
function kernelMetrics(): string[] {
  const lines: string[] = [];
  const gauge = (name: string, value: number | string): void =>
    void lines.push(`# TYPE ${name} gauge`, `${name} ${value}`);
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    if (limit !== undefined) gauge("process_max_fds", limit);
    const size = /^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (size !== undefined) gauge("process_virtual_memory_bytes", Number(size) * 1024);
  } catch {
    // Not every system has them.
  }
  return lines;
}

/** What the process itself is, under upstream's names. */
export function processMetrics(startedAt: number): string {
  const { major, minor, gitVersion, gitCommit, gitTreeState, buildDate, goVersion, compiler, platform } =
    versionInfo() as unknown as Record<string, string>;
  const build = { build_date: buildDate, compiler, git_commit: gitCommit, git_tree_state: gitTreeState };
  const labels = { ...build, git_version: gitVersion, go_version: goVersion, major, minor, platform };
  const text = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value ?? "")}`);
  const lines = [
    "# TYPE kubernetes_build_info gauge",
    `kubernetes_build_info{${text.join(",")}} 1`,
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${(startedAt / 1000).toFixed(2)}`,
  ];
  const open = openFiles();
  if (open !== undefined) lines.push("# TYPE process_open_fds gauge", `process_open_fds ${open}`);
  lines.push(...kernelMetrics());
  return lines.join("\n");
}

/** How many objects there are of each kind. */
export function objectMetrics(resources: readonly CountedResource[]): string {
  const lines = ["# TYPE apiserver_storage_objects gauge"];
  for (const { group, plural, count } of resources) {
    const name = group === "" ? plural : `${plural}.${group}`;
    lines.push(`apiserver_storage_objects{resource=${JSON.stringify(name)}} ${count}`);
  }
  lines.push("# TYPE apiserver_resource_objects gauge");
  for (const { group, plural, count } of resources) {
    lines.push(
      `apiserver_resource_objects{group=${JSON.stringify(group)},resource=${JSON.stringify(plural)}} ${count}`,
    );
  }
  return lines.join("\n");
}
