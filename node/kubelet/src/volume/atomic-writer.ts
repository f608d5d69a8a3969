import {
  chmod,
  lchown,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";

/** A file of a volume that is made of API data. */
export interface VolumeFile {
  readonly data: Buffer;
  /** Permission bits. */
  readonly mode: number;
  /** Owner, when it is not root's. */
  readonly uid?: number | undefined;
}

export type VolumePayload = ReadonlyMap<string, VolumeFile>;

const DATA_LINK = "..data";
const NEW_DATA_LINK = "..data_tmp";

/**
 * Writes all files of a volume so that a reader sees either all old or all new ones: a new folder beside the old one, then
 * one rename of the link `..data` that the visible names lead through. Tells whether anything was written.
 */
export async function writeVolume(
  folder: string,
  payload: VolumePayload,
  options: { readonly gid?: number | undefined; readonly stamp: string },
): Promise<boolean> {
  const current = await readlink(join(folder, DATA_LINK)).catch(() => undefined);
  if (current !== undefined && (await isSame(join(folder, current), payload))) return false;
  const name = `..${options.stamp}`;
  const target = join(folder, name);
  await mkdir(target, { mode: 0o755 });
  await chmod(target, 0o755);
  for (const [path, file] of payload) {
    const full = join(target, path);
    await mkdir(dirname(full), { recursive: true, mode: 0o755 });
    await writeFile(full, file.data);
    await chmod(full, file.mode);
    if (file.uid !== undefined || options.gid !== undefined) await lchown(full, file.uid ?? 0, options.gid ?? 0);
  }
  await rm(join(folder, NEW_DATA_LINK), { force: true });
  await symlink(name, join(folder, NEW_DATA_LINK));
  await rename(join(folder, NEW_DATA_LINK), join(folder, DATA_LINK));

  const visible = new Set([...payload.keys()].map((path) => path.split("/")[0] ?? path));
  for (const entry of await readdir(folder)) {
    if (entry.startsWith("..")) {
      if (entry !== DATA_LINK && entry !== name) await rm(join(folder, entry), { recursive: true, force: true });
    } else if (!visible.has(entry)) await rm(join(folder, entry), { force: true });
    else visible.delete(entry);
  }
  for (const entry of visible) await symlink(`${DATA_LINK}/${entry}`, join(folder, entry));
  return true;
}

async function isSame(folder: string, payload: VolumePayload): Promise<boolean> {
  const present = new Set(await listFiles(folder, ""));
  if (present.size !== payload.size) return false;
  for (const [path, file] of payload) {
    if (!present.has(path)) return false;
    const full = join(folder, path);
    if (((await stat(full)).mode & 0o7777) !== file.mode) return false;
    if (!(await readFile(full)).equals(file.data)) return false;
  }
  return true;
}

async function listFiles(folder: string, prefix: string): Promise<string[]> {
  const out: string[] = [];
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) out.push(...(await listFiles(folder, path)));
    else out.push(path);
  }
  return out;
}
