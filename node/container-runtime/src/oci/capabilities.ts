import type { Capability } from "@coracle/api/cri";

/** What a container that asks for nothing gets. */
export const DEFAULT_CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

const canonical = (name: string): string => {
  const upper = name.toUpperCase();
  return upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
};

/**
 * The capabilities of a container: the defaults, `ALL` added or dropped first, single names after; never more than
 * this process may hand on, because the OCI runtime would fail.
 */
export function planCapabilities(
  wanted: Capability | undefined,
  privileged: boolean,
  bounding: readonly string[],
): string[] {
  if (privileged) return [...bounding];
  const add = (wanted?.addCapabilities ?? []).map(canonical);
  const drop = (wanted?.dropCapabilities ?? []).map(canonical);
  let set = new Set(DEFAULT_CAPABILITIES);
  if (add.includes("CAP_ALL")) set = new Set(bounding);
  if (drop.includes("CAP_ALL")) set = new Set();
  for (const name of add) if (name !== "CAP_ALL") set.add(name);
  for (const name of drop) set.delete(name);
  return bounding.filter((name) => set.has(name));
}
