import type { EndpointAddress, Endpoints } from "@coracle/api/core/v1";
import { invalidValue, parseLegacyIp, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid, requiredOneOf } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, portNumber } from "../validation/names.ts";
import { objectsIn, setDefaultText } from "../validation/pod-defaults.ts";
import { validateIp } from "../validation/pod-dns.ts";

const LINK_LOCAL_MULTICAST = 0xe00000n; // 224.0.0

/** Addresses that no endpoint may have: unspecified, loopback, link-local. */
export function validateNonSpecialIp(errors: FieldError[], path: string, ip: string): void {
  const parsed = parseLegacyIp(ip);
  if (parsed === undefined) {
    errors.push(invalidValue(path, ip, "must be a valid IP address"));
    return;
  }
  const { value } = parsed;
  const isV4 = parsed.family === 4 || value >> 32n === 0xffffn;
  const refuse = (why: string): void => void errors.push(invalidValue(path, ip, why));
  const v4 = value & 0xffffffffn;
  if (isV4 ? v4 === 0n : value === 0n) refuse(`may not be unspecified (${ip})`);
  if (isV4 ? v4 >> 24n === 127n : value === 1n) refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (isV4 ? v4 >> 16n === 0xa9fen : value >> 118n === 0x3fan)
    refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (isV4 ? v4 >> 8n === LINK_LOCAL_MULTICAST : ((value >> 112n) & 0xff0fn) === 0xff02n)
    refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

function validateAddress(errors: FieldError[], path: string, address: Decoded<EndpointAddress>): void {
  const ip = text(address.ip);
  validateIp(errors, `${path}.ip`, ip);
  if (text(address.hostname) !== "")
    pushInvalid(errors, `${path}.hostname`, address.hostname, dns1123Label(text(address.hostname)));
  if (address.nodeName !== undefined)
    pushInvalid(errors, `${path}.nodeName`, address.nodeName, dns1123Subdomain(address.nodeName));
  validateNonSpecialIp(errors, `${path}.ip`, ip);
}

export const endpoints: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "endpoints",
  kind: "Endpoints",
  allowCreateOnUpdate: true,
  defaults(draft) {
    for (const subset of objectsIn(draft, "subsets"))
      for (const port of objectsIn(subset, "ports")) setDefaultText(port, "protocol", "TCP");
  },
  validate(object) {
    const errors: FieldError[] = [];
    as<Endpoints>(object).subsets?.forEach((subset, i) => {
      const path = `subsets[${i}]`;
      const addresses = subset.addresses ?? [];
      const notReady = subset.notReadyAddresses ?? [];
      if (addresses.length + notReady.length === 0)
        errors.push(required(path, "must specify `addresses` or `notReadyAddresses`"));
      addresses.forEach((address, j) => validateAddress(errors, `${path}.addresses[${j}]`, address));
      notReady.forEach((address, j) => validateAddress(errors, `${path}.notReadyAddresses[${j}]`, address));
      const ports = subset.ports ?? [];
      ports.forEach((port, j) => {
        const at = `${path}.ports[${j}]`;
        if (ports.length > 1 && text(port.name) === "") errors.push(required(`${at}.name`));
        else if (text(port.name) !== "") pushInvalid(errors, `${at}.name`, port.name, dns1123Label(text(port.name)));
        pushInvalid(errors, `${at}.port`, port.port ?? 0, portNumber(port.port ?? 0));
        requiredOneOf(errors, `${at}.protocol`, port.protocol, ["SCTP", "TCP", "UDP"]);
      });
    });
    return errors;
  },
};
