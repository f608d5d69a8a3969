import ipaddr from "ipaddr.js";

/** The first usable address of a CIDR: the one after the network's own. Throws when it is no CIDR. */
export function firstServiceIp(cidr: string): string {
  const [address, bits] = ipaddr.parseCIDR(cidr);
  const bytes = address.toByteArray();
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.max(0, Math.min(8, bits - i * 8));
    bytes[i]! &= (0xff << (8 - keep)) & 0xff;
  }
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i]! += 1;
    if (bytes[i]! <= 0xff) break;
    bytes[i] = 0;
  }
  return ipaddr.fromByteArray(bytes).toString();
}
