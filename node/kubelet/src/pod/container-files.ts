import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Container, Pod } from "@coracle/api/core/v1";
import type { ContainerConfig } from "@coracle/api/cri";
import type { CriClient } from "../cri/cri-client.ts";
import { hostsFile } from "../network/hosts-file.ts";
import type { ContainerRun } from "./runtime-state.ts";

/** Files that the node itself puts into a container: host path by container path. */
export async function writeOwnFiles(
  node: { readonly podsFolder: string; readonly context: { readonly dns: { readonly clusterDomain: string } } },
  pod: Pod,
  container: Container,
  podIps: readonly string[],
  restartCount: number,
): Promise<Map<string, string>> {
  const folder = join(node.podsFolder, pod.metadata.uid ?? "");
  const files = new Map<string, string>();
  const hosts = join(folder, "etc-hosts");
  const nodeFile = pod.spec?.hostNetwork === true ? await readFile("/etc/hosts", "utf8").catch(() => "") : undefined;
  const message = join(folder, "containers", container.name, String(restartCount));
  await mkdir(dirname(message), { recursive: true });
  await Promise.all([
    writeFile(hosts, hostsFile(pod, podIps, node.context.dns.clusterDomain, nodeFile), { mode: 0o644 }),
    writeFile(message, ""),
  ]);
  // Anyone in the container may leave a message, whatever the umask says.
  await chmod(message, 0o666);
  files.set("/etc/hosts", hosts);
  files.set(container.terminationMessagePath ?? "/dev/termination-log", message);
  return files;
}

/** Makes the paths inside volumes that a container mounts and that are not there yet, as folders. */
export async function makeSubPaths(container: Container, config: ContainerConfig): Promise<void> {
  for (const [index, volumeMount] of (container.volumeMounts ?? []).entries()) {
    if (volumeMount.subPath === undefined && volumeMount.subPathExpr === undefined) continue;
    try {
      await mkdir(config.mounts?.[index]?.hostPath ?? "", { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // a file is as good
    }
  }
}

/** Keeps one ended run for its log. */
export async function removeOldRuns(cri: CriClient, runs: readonly ContainerRun[]): Promise<void> {
  for (const run of runs.slice(1)) {
    if (run.state === "running") continue;
    await cri.call("RemoveContainer", { containerId: run.id }).catch(() => undefined);
    if (run.logPath !== "") await rm(run.logPath, { force: true });
  }
}
