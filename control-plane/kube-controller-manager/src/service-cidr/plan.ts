import type { IPAddress, ServiceCIDR } from "@coracle/api/networking/v1";
import { parseCidr, parseIp, type Cidr } from "@coracle/apimachinery";

/** Objects with this label are addresses of Services. */
export const MANAGED_BY = "ipaddress.kubernetes.io/managed-by";
/** What API servers write there. */
export const ALLOCATOR = "ipallocator.k8s.io";

const BITS = { 4: 32, 6: 128 } as const;

const blocksOf = (cidr: ServiceCIDR): readonly Cidr[] =>
  (cidr.spec?.cidrs ?? []).map((text) => parseCidr(text)).filter((block) => block !== undefined);

/** Whether all of `inner` lies in `outer`. */
function holdsBlock(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || outer.prefixLength > inner.prefixLength) return false;
  const shift = BigInt(BITS[outer.family] - outer.prefixLength);
  return outer.network >> shift === inner.network >> shift;
}

/** Whether a Service may have the address out of the block: not the network's own, nor IPv4's last. */
function holdsAddress(block: Cidr, ip: { readonly family: 4 | 6; readonly value: bigint }): boolean {
  if (block.family !== ip.family || ip.value === block.network) return false;
  const size = 1n << BigInt(BITS[block.family] - block.prefixLength);
  const last = block.network + size - 1n;
  return ip.value > block.network && (ip.value < last || (ip.value === last && ip.family === 6));
}

/** Names of the ServiceCIDRs that hold an address. */
export function cidrsWith(ip: string, cidrs: readonly ServiceCIDR[]): readonly string[] {
  const address = parseIp(ip);
  if (address === undefined) return [];
  return cidrs
    .filter((cidr) => blocksOf(cidr).some((block) => holdsAddress(block, address)))
    .map(({ metadata }) => metadata.name ?? "");
}

/** Whether two ServiceCIDRs share addresses. */
export function overlaps(a: ServiceCIDR, b: ServiceCIDR): boolean {
  return blocksOf(a).some((one) => blocksOf(b).some((other) => holdsBlock(one, other) || holdsBlock(other, one)));
}

/** Whether a ServiceCIDR may go: no address of a Service would be left in none. */
export function mayGo(cidr: ServiceCIDR, all: readonly ServiceCIDR[], addresses: readonly IPAddress[]): boolean {
  const own = cidr.metadata.name ?? "";
  const others = all.filter(({ metadata }) => metadata.name !== own);
  const isHeld = blocksOf(cidr).every((block) =>
    others.some((other) => blocksOf(other).some((outer) => holdsBlock(outer, block))),
  );
  if (isHeld) return true;
  return addresses.every(({ metadata }) => {
    if (metadata.labels?.[MANAGED_BY] !== ALLOCATOR) return true;
    const holders = cidrsWith(metadata.name ?? "", all);
    return !(holders.length === 1 && holders[0] === own);
  });
}
