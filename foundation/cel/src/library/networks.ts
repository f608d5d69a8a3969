import { formatIp, parseIp } from "@coracle/apimachinery";
import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, INT, STRING, opaqueType } from "../types/cel-type.ts";
import { CelError, CelOpaque, type CelValue } from "../values/value.ts";
import { define, member, overload } from "./define.ts";

const IP = opaqueType("net.IP");
const CIDR = opaqueType("net.CIDR");

interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

class IpValue extends CelOpaque {
  readonly type = IP;
  readonly address: Address;
  constructor(address: Address) {
    super();
    this.address = address;
  }
  override get size(): number {
    return this.address.family === 4 ? 4 : 16;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof IpValue && sameAddress(this.address, other.address);
  }
}

class CidrValue extends CelOpaque {
  readonly type = CIDR;
  readonly address: Address;
  readonly bits: number;
  constructor(address: Address, bits: number) {
    super();
    this.address = address;
    this.bits = bits;
  }
  override get size(): number {
    return Math.ceil(this.bits / 8);
  }
  equals(other: CelOpaque): boolean {
    return other instanceof CidrValue && this.bits === other.bits && sameAddress(this.address, other.address);
  }
}

function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

function width(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function prefixOf({ family, value }: Address, bits: number): bigint {
  const spare = BigInt(width(family) - bits);
  return (value >> spare) << spare;
}

function isMapped(text: string, { family, value }: Address): boolean {
  return (family === 6 || text.includes(":")) && value >> 32n === 0xffffn;
}

/** Why Go's parser refuses an address. */
function refusal(text: string): string {
  if (/^[0-9.]*$/.test(text) && text.includes(".")) {
    const fields = text.split(".");
    for (const field of fields.slice(0, 4)) {
      if (field === "")
        return text.endsWith(".") && fields.length <= 4
          ? "IPv4 field must have at least one digit"
          : "IPv4 field must have at least one digit";
      if (field.length > 1 && field.startsWith("0")) return "IPv4 field has octet with leading zero";
      if (Number(field) > 255) return "IPv4 field has value >255";
    }
    return fields.length < 4 ? "IPv4 address too short" : "IPv4 address too long";
  }
  if (text.includes(".") && !text.includes(":"))
    return /^\d/.test(text) ? "unexpected character" : "unexpected character";
  return "unable to parse IP";
}

function parseAddress(text: string): Address | string {
  const percent = text.indexOf("%");
  if (percent !== -1 && text.includes(":")) {
    return parseIp(text.slice(0, percent)) === undefined
      ? `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): ${refusal(text)}`
      : `IP address ${JSON.stringify(text)} with zone value is not allowed`;
  }
  const parsed = parseIp(text);
  if (parsed === undefined) {
    const quoted = JSON.stringify(text);
    return `IP Address ${quoted} parse error during conversion from string: ParseAddr(${quoted}): ${refusal(text)}`;
  }
  if (isMapped(text, parsed)) return `IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`;
  return parsed;
}

function parseNetwork(text: string): CidrValue | string {
  const quoted = JSON.stringify(text);
  const failed = (reason: string): string =>
    `network address parse error during conversion from string: netip.ParsePrefix(${quoted}): ${reason}`;
  const slash = text.lastIndexOf("/");
  if (slash === -1) return failed("no '/'");
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (address.includes("%")) return failed("IPv6 zones cannot be present in a prefix");
  const parsed = parseIp(address);
  if (parsed === undefined) return failed(`ParseAddr(${JSON.stringify(address)}): ${refusal(address)}`);
  if (!/^\d+$/.test(bits) || (bits.length > 1 && bits.startsWith("0"))) {
    return failed(`bad bits after slash: ${JSON.stringify(bits)}`);
  }
  if (Number(bits) > width(parsed.family)) return failed("prefix length out of range");
  if (isMapped(address, parsed)) return `IPv4-mapped IPv6 address ${quoted} is not allowed`;
  return new CidrValue(parsed, Number(bits));
}

function toIp(text: CelValue | undefined): CelValue {
  const parsed = parseAddress(text as string);
  return typeof parsed === "string" ? new CelError(parsed) : new IpValue(parsed);
}

function toCidr(text: CelValue | undefined): CelValue {
  const parsed = parseNetwork(text as string);
  if (typeof parsed !== "string") return parsed;
  return new CelError(`network address parse error during conversion from string: ${parsed}`);
}

function containsIp(cidr: CelValue | undefined, ip: CelValue): CelValue {
  if (ip instanceof CelError) return new CelError("no such overload");
  const { address, bits } = cidr as CidrValue;
  const other = (ip as IpValue).address;
  return address.family === other.family && prefixOf(other, bits) === prefixOf(address, bits);
}

function containsCidr(cidr: CelValue | undefined, inner: CelValue): CelValue {
  if (inner instanceof CelError) return inner;
  const { address, bits } = cidr as CidrValue;
  const other = inner as CidrValue;
  const overlaps = address.family === other.address.family && prefixOf(other.address, bits) === prefixOf(address, bits);
  return overlaps && bits <= other.bits;
}

function test(name: string, id: string, holds: (address: Address) => boolean): FunctionDeclaration {
  return define(
    name,
    member(id, [IP], BOOL, ([ip]) => holds((ip as IpValue).address)),
  );
}

function isLoopback({ family, value }: Address): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n;
}

function isMulticast({ family, value }: Address): boolean {
  return family === 4 ? value >> 28n === 0xen : value >> 120n === 0xffn;
}

function isLinkLocalUnicast({ family, value }: Address): boolean {
  return family === 4 ? value >> 16n === 0xa9fen : value >> 118n === 0x3fan;
}

function isLinkLocalMulticast({ family, value }: Address): boolean {
  return family === 4 ? value >> 8n === 0xe00000n : value >> 120n === 0xffn && ((value >> 112n) & 0xfn) === 2n;
}

function isGlobalUnicast(address: Address): boolean {
  const isBroadcast = address.family === 4 && address.value === 0xffffffffn;
  return (
    !isBroadcast &&
    address.value !== 0n &&
    !isLoopback(address) &&
    !isMulticast(address) &&
    !isLinkLocalUnicast(address)
  );
}

function textOf({ family, value }: Address): string {
  return formatIp(family, value);
}

/** The functions of IP addresses and networks. */
export const NETWORKS: readonly FunctionDeclaration[] = [
  define(
    "ip",
    overload("string_to_ip", [STRING], IP, ([text]) => toIp(text)),
    member("cidr_ip", [CIDR], IP, ([cidr]) => new IpValue((cidr as CidrValue).address)),
  ),
  define(
    "family",
    member("ip_family", [IP], INT, ([ip]) => (ip as IpValue).address.family),
  ),
  define(
    "ip.isCanonical",
    overload("ip_is_canonical", [STRING], BOOL, ([text]) => {
      const parsed = parseAddress(text as string);
      return typeof parsed === "string" ? new CelError(parsed) : textOf(parsed) === text;
    }),
  ),
  test("isUnspecified", "ip_is_unspecified", ({ value }) => value === 0n),
  test("isLoopback", "ip_is_loopback", isLoopback),
  test("isLinkLocalMulticast", "ip_is_link_local_multicast", isLinkLocalMulticast),
  test("isLinkLocalUnicast", "ip_is_link_local_unicast", isLinkLocalUnicast),
  test("isGlobalUnicast", "ip_is_global_unicast", isGlobalUnicast),
  define(
    "isIP",
    overload("is_ip", [STRING], BOOL, ([text]) => typeof parseAddress(text as string) !== "string"),
  ),
  define(
    "string",
    overload("ip_to_string", [IP], STRING, ([ip]) => textOf((ip as IpValue).address)),
    overload("cidr_to_string", [CIDR], STRING, ([cidr]) => {
      const { address, bits } = cidr as CidrValue;
      return `${textOf(address)}/${bits}`;
    }),
  ),
  define(
    "cidr",
    overload("string_to_cidr", [STRING], CIDR, ([text]) => toCidr(text)),
  ),
  define(
    "containsIP",
    member("cidr_contains_ip_string", [CIDR, STRING], BOOL, ([cidr, text]) => {
      const ip = toIp(text);
      return ip instanceof CelError ? new CelError("no such overload") : containsIp(cidr, ip);
    }),
    member("cidr_contains_ip_ip", [CIDR, IP], BOOL, ([cidr, ip]) => containsIp(cidr, ip!)),
  ),
  define(
    "containsCIDR",
    member("cidr_contains_cidr_string", [CIDR, STRING], BOOL, ([cidr, text]) => containsCidr(cidr, toCidr(text))),
    member("cidr_contains_cidr", [CIDR, CIDR], BOOL, ([cidr, inner]) => containsCidr(cidr, inner!)),
  ),
  define(
    "prefixLength",
    member("cidr_prefix_length", [CIDR], INT, ([cidr]) => (cidr as CidrValue).bits),
  ),
  define(
    "masked",
    member("cidr_masked", [CIDR], CIDR, ([cidr]) => {
      const { address, bits } = cidr as CidrValue;
      return new CidrValue({ family: address.family, value: prefixOf(address, bits) }, bits);
    }),
  ),
  define(
    "isCIDR",
    overload("is_cidr", [STRING], BOOL, ([text]) => typeof parseNetwork(text as string) !== "string"),
  ),
];
