import { isIP, isIPv4, isIPv6 } from "node:net";

/** True for `10.0.0.1` and `fd00::1`; no zone, no leading zeros. */
export function isIpLiteral(value: string): boolean {
  return isIP(value) !== 0 && !value.includes("%");
}

/** Why the text is no IP address; none for a good one. */
export function isIpAddress(value: string): string[] {
  return isIpLiteral(value) ? [] : ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"];
}

export const isIpv4Address = (value: string): string[] => (isIPv4(value) ? [] : ["must be a valid IPv4 address"]);
export const isIpv6Address = (value: string): string[] =>
  isIPv6(value) && !value.includes("%") ? [] : ["must be a valid IPv6 address"];

/** Why the text is no `ADDRESS/PREFIX`; none for a good one. */
export function isCidr(value: string): string[] {
  return parseCidr(value) === undefined ? ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"] : [];
}

/** A parsed address block; `address` keeps host bits as they were given. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly address: bigint;
  /** The first address of the block. */
  readonly network: bigint;
  readonly prefixLength: number;
}

export function parseCidr(text: string): Cidr | undefined {
  const match = /^([0-9a-fA-F:.]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return undefined;
  const ip = parseIp(match[1] as string);
  const prefixLength = Number(match[2]);
  if (ip === undefined) return undefined;
  const bits = ip.family === 4 ? 32 : 128;
  if (prefixLength > bits) return undefined;
  const hostBits = BigInt(bits - prefixLength);
  return { family: ip.family, address: ip.value, network: (ip.value >> hostBits) << hostBits, prefixLength };
}

/** The address as a number; undefined for text that is none. */
export function parseIp(text: string): { readonly family: 4 | 6; readonly value: bigint } | undefined {
  if (isIPv4(text)) return { family: 4, value: BigInt(ipv4Number(text)) };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  let source = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const tail = ipv4Number(dotted[2] as string);
    source = `${dotted[1]}${(tail >>> 16).toString(16)}:${(tail & 0xffff).toString(16)}`;
  }
  const [head = "", tail] = source.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return { family: 6, value: groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n) };
}

/** As fields take it that are older than today's grammar: octets may have leading zeros, that say nothing. */
export function parseLegacyIp(text: string): { readonly family: 4 | 6; readonly value: bigint } | undefined {
  return parseIp(text) ?? (text.includes(".") ? parseIp(withoutZeros(text)) : undefined);
}

/** A block with such an address; its prefix may have leading zeros, too. */
export function parseLegacyCidr(text: string): Cidr | undefined {
  const at = text.lastIndexOf("/");
  return parseCidr(text) ?? parseCidr(withoutZeros(text.slice(0, at)) + text.slice(at).replace(/^\/0+(?=\d)/, "/"));
}

const withoutZeros = (address: string): string => address.replaceAll(/(?<=^|[:.])0+(?=\d+\.)|(?<=\.)0+(?=\d+$)/g, "");

function ipv4Number(text: string): number {
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The canonical text: RFC 5952 for IPv6; addresses mapped from IPv4 print as IPv4 does. */
export function formatIp(family: 4 | 6, value: bigint): string {
  if (family === 4) {
    const number = Number(value);
    return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
  }
  if (value >> 32n === 0xffffn) return formatIp(4, value & 0xffffffffn);
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start === -1) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}
