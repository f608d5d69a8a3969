import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { OciDevice, OciDeviceRule } from "./runtime-spec.ts";

export interface DevicePlan {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
}

// null zero full random urandom tty console, ptmx and the pseudo terminals; making nodes is harmless without access.
const BASIC_RULES: readonly OciDeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...[
    [1, 3],
    [1, 5],
    [1, 7],
    [1, 8],
    [1, 9],
    [5, 0],
    [5, 1],
    [5, 2],
  ].map(([major = 0, minor = 0]): OciDeviceRule => ({ allow: true, type: "c", major, minor, access: "rwm" })),
  { allow: true, type: "c", major: 136, access: "rwm" },
];

async function readDevice(hostPath: string, containerPath: string): Promise<OciDevice | undefined> {
  const info = await stat(hostPath);
  if (!info.isBlockDevice() && !info.isCharacterDevice()) return undefined;
  return {
    path: containerPath,
    type: info.isBlockDevice() ? "b" : "c",
    // The kernel's 64-bit device number: 12 + 20 bits, interleaved.
    major: Number((BigInt(info.rdev) >> 8n) & 0xfffn),
    minor: Number((BigInt(info.rdev) & 0xffn) | ((BigInt(info.rdev) >> 12n) & 0xfff00n)),
    fileMode: info.mode & 0o777,
    uid: info.uid,
    gid: info.gid,
  };
}

const OWN_TO_CONTAINER = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

async function hostDevices(folder: string): Promise<OciDevice[]> {
  const found: OciDevice[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (folder === "/dev" && OWN_TO_CONTAINER.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await hostDevices(path)));
    else if (entry.isBlockDevice() || entry.isCharacterDevice()) {
      const device = await readDevice(path, path).catch(() => undefined);
      if (device !== undefined) found.push(device);
    }
  }
  return found;
}

/** The devices of a container: its own list, or everything when it is privileged. */
export async function planDevices(wanted: readonly Device[], privileged: boolean): Promise<DevicePlan> {
  if (privileged) return { devices: await hostDevices("/dev"), rules: [{ allow: true, access: "rwm" }] };
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [...BASIC_RULES];
  for (const { hostPath = "", containerPath = "", permissions = "rwm" } of wanted) {
    const device = await readDevice(hostPath, containerPath).catch(() => undefined);
    if (device === undefined)
      throw new CriError("INVALID_ARGUMENT", `failed to set devices mapping: ${hostPath} is not a device`);
    devices.push(device);
    rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access: permissions });
  }
  return { devices, rules };
}
