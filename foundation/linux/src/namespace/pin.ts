import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../process/run.ts";
import { unmountTree } from "../mount/mount.ts";

export type PinnedNamespace = "net" | "ipc" | "uts";

export interface PinOptions {
  /** Gets one file for each namespace. Must lie below a private mount (`ensureMountPoint`), or the kernel refuses. */
  readonly folder: string;
  readonly namespaces: readonly PinnedNamespace[];
  readonly hostname?: string | undefined;
  /** Set inside the new namespaces: `net.core.somaxconn` → `1024`. */
  readonly sysctls?: Readonly<Record<string, string>> | undefined;
  /** Shell text run inside first, for what must be there before anything else; no user's text may come in here. */
  readonly script?: string | undefined;
}

// Values come in as positional parameters, so that none is ever read as shell text.
const SETUP = `set -e
if [ -n "$1" ]; then hostname "$1"; fi
shift
while [ $# -gt 0 ]; do
  if ! printf %s "$2" > "/proc/sys/$1"; then echo "cannot set sysctl $1" >&2; exit 1; fi
  shift 2
done
`;

/** The file below /proc/sys of a sysctl in dotted form. */
export function sysctlPath(name: string): string {
  return name.includes("/") ? name : name.replaceAll(".", "/");
}

/** Makes namespaces that live without a process, for as long as their file is mounted. Loopback is up. */
export async function pinNamespaces(options: PinOptions): Promise<void> {
  const { folder, namespaces, hostname = "", sysctls = {}, script = "" } = options;
  await mkdir(folder, { recursive: true });
  if (namespaces.length === 0) {
    if (script !== "") await run("sh", ["-c", `set -e\n${script}`]);
    return;
  }
  for (const name of namespaces) await writeFile(join(folder, name), "");
  const settings = Object.entries(sysctls).flatMap(([name, value]) => [sysctlPath(name), value]);
  const loopback = namespaces.includes("net") ? "ip link set lo up\n" : "";
  const withHostname = namespaces.includes("uts") ? hostname : "";
  await run("unshare", [
    ...namespaces.map((name) => `--${name}=${join(folder, name)}`),
    "sh",
    "-c",
    `${SETUP}${loopback}${script}`,
    "sh",
    withHostname,
    ...settings,
  ]);
}

/** Lets go of the namespaces pinned in a folder, and removes it. */
export async function unpinNamespaces(folder: string): Promise<void> {
  await unmountTree(folder);
  await rm(folder, { recursive: true, force: true });
}
