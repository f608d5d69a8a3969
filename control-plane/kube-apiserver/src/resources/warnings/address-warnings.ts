import { formatIp, parseCidr, parseIp, parseLegacyCidr, parseLegacyIp } from "@coracle/apimachinery";

const quoted = (value: string): string => JSON.stringify(value);

/** What to say of an address that is not written as it should be. */
export function warningsForIp(path: string, value: string): string[] {
  const asWritten = parseIp(value);
  const ip = asWritten ?? parseLegacyIp(value);
  if (ip === undefined) return [];
  const canonical = formatIp(ip.family, ip.value);
  if (asWritten === undefined || (ip.family === 6 && !canonical.includes(":")))
    return [
      `${path}: non-standard IP address ${quoted(value)} will be considered invalid in a future Kubernetes release: use ${quoted(canonical)}`,
    ];
  return canonical === value
    ? []
    : [`${path}: IPv6 address ${quoted(value)} should be in RFC 5952 canonical format (${quoted(canonical)})`];
}

/** The same of a block of addresses, which may name more than its network, too. */
export function warningsForCidr(path: string, value: string): string[] {
  const asWritten = parseCidr(value);
  const cidr = asWritten ?? parseLegacyCidr(value);
  if (cidr === undefined) return [];
  const isMapped = cidr.family === 6 && cidr.address >> 32n === 0xffffn;
  const length = isMapped ? cidr.prefixLength - 96 : cidr.prefixLength;
  const block = `${formatIp(cidr.family, cidr.network)}/${isMapped && length < 0 ? cidr.prefixLength : length}`;
  const out: string[] = [];
  if (cidr.address !== cidr.network) {
    const one = `${formatIp(cidr.family, cidr.address)}/${cidr.family === 4 || isMapped ? 32 : 128}`;
    out.push(
      `${path}: CIDR value ${quoted(value)} is ambiguous in this context (should be ${quoted(block)} or ${quoted(one)}?)`,
    );
  }
  if (asWritten === undefined || isMapped)
    out.push(
      `${path}: non-standard CIDR value ${quoted(value)} will be considered invalid in a future Kubernetes release: use ${quoted(block)}`,
    );
  if (out.length === 0 && cidr.family === 6 && block !== value)
    out.push(`${path}: IPv6 CIDR value ${quoted(value)} should be in RFC 5952 canonical format (${quoted(block)})`);
  return out;
}
