import { run } from "../process/run.ts";
import { listMounts, type MountInfo } from "./mountinfo.ts";

export interface MountRequest {
  readonly type?: string | undefined;
  readonly source: string;
  readonly target: string;
  readonly options?: readonly string[] | undefined;
  /** Relative paths in options (an overlay's layers) start here. */
  readonly cwd?: string | undefined;
}

/** mount(8). */
export async function mount(request: MountRequest): Promise<void> {
  const { type, source, target, options = [], cwd } = request;
  const args = [
    ...(type === undefined ? [] : ["-t", type]),
    ...(options.length === 0 ? [] : ["-o", options.join(",")]),
    source,
    target,
  ];
  await run("mount", args, { cwd });
}

const NOT_MOUNTED = /not mounted|no mount point|not found|No such file/i;

/** Unmounts, at once from sight and for good when the last user is gone. What is not mounted is no error. */
export async function unmount(...targets: readonly string[]): Promise<void> {
  if (targets.length === 0) return;
  const result = await run("umount", ["-l", "--", ...targets], { allowFailure: true });
  if (result.code === 0) return;
  const failures = result.stderr.split("\n").filter((line) => line.trim() !== "" && !NOT_MOUNTED.test(line));
  if (failures.length > 0) throw new Error(failures.join("; "));
}

/** The mounts at and below a folder, deepest last. */
export function mountsBelow(mounts: readonly MountInfo[], folder: string): MountInfo[] {
  return mounts.filter((m) => m.mountPoint === folder || m.mountPoint.startsWith(`${folder}/`));
}

/** Unmounts everything at and below a folder. */
export async function unmountTree(folder: string): Promise<void> {
  const below = mountsBelow(await listMounts(), folder).map((m) => m.mountPoint);
  for (let at = below.length; at > 0; at -= 200) await unmount(...below.slice(Math.max(0, at - 200), at).reverse());
}

/** Makes a folder a mount of its own with this propagation, once: what is mounted below it then follows its rule. */
export async function ensureMountPoint(folder: string, propagation: "private" | "shared" | "rshared"): Promise<void> {
  const found = (await listMounts()).findLast((m) => m.mountPoint === folder);
  if (found === undefined) await run("mount", ["--bind", folder, folder]);
  const isShared = found?.propagation.some((p) => p.startsWith("shared:")) === true;
  if (found === undefined || isShared !== (propagation !== "private"))
    await run("mount", [`--make-${propagation}`, folder]);
}
