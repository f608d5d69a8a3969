import { networkInterfaces } from "node:os";
import { readFileSync } from "node:fs";

/** The interface of the default route, from /proc/net/route. */
function defaultInterface(): string | undefined {
  for (const line of readFileSync("/proc/net/route", "utf8").split("\n").slice(1)) {
    const [name, destination, , , , , , mask] = line.trim().split(/\s+/);
    if (destination === "00000000" && mask === "00000000") return name;
  }
  return undefined;
}

/** The IPv4 address other machines (and pods) reach this one at; undefined when there is only loopback. */
export function nodeAddress(): string | undefined {
  const interfaces = networkInterfaces();
  const preferred = defaultInterface();
  const names = Object.keys(interfaces).sort((a, b) => Number(b === preferred) - Number(a === preferred));
  for (const name of names) {
    for (const address of interfaces[name] ?? []) {
      if (address.family === "IPv4" && !address.internal) return address.address;
    }
  }
  return undefined;
}
