import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sysctlPath } from "../namespace/pin.ts";

/** Changes at every boot: what a run folder says is void when it does. */
export async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/** A sysctl in dotted form, in the network namespace we are in; undefined when the kernel has none. */
export async function readSysctl(name: string): Promise<string | undefined> {
  try {
    return (await readFile(join("/proc/sys", sysctlPath(name)), "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Sets a sysctl in dotted form. */
export async function writeSysctl(name: string, value: string): Promise<void> {
  await writeFile(join("/proc/sys", sysctlPath(name)), value);
}

/** Capability names by number, without `CAP_`. */
const CAPABILITIES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
  "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
  "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split(" ");

/** The capabilities (`CAP_…`) of a mask as in /proc/PID/status. */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return CAPABILITIES.filter((_, bit) => (mask & (1n << BigInt(bit))) !== 0n).map((name) => `CAP_${name}`);
}

/** What this process may give to its children at most. */
export function boundingCapabilities(): string[] {
  const hex = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return capabilitiesOfMask(hex);
}

/** Our own hard limit by resource as in /proc/self/limits (`Max open files`); Infinity when there is none. */
export function hardLimits(): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const line of readFileSync("/proc/self/limits", "utf8").split("\n").slice(1)) {
    const name = line.slice(0, 26).trim();
    const hard = line.slice(47, 68).trim();
    if (name !== "") limits.set(name, hard === "unlimited" ? Infinity : Number(hard));
  }
  return limits;
}

/** Our own score; without CAP_SYS_RESOURCE no child can have a lower one. */
export function ownOomScore(): number {
  return Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
}

/** Tells apart two processes that had the same number: clock ticks from boot to the process' start. */
export function processStartTime(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended: only its parent has not looked yet.
    return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}
