import type { EndpointAddress, Endpoints } from "@coracle/api/core/v1";
import { isIP } from "node:net";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid, requiredOneOf } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, portNumber } from "../validation/names.ts";
import { objectsIn, setDefaultText } from "../validation/pod-defaults.ts";
import { validateIp } from "../validation/pod-dns.ts";

/** Addresses that no endpoint may have: unspecified, loopback, link-local. */
export function validateNonSpecialIp(errors: FieldError[], path: string, ip: string): void {
  const family = isIP(ip);
  if (family === 0) {
    errors.push(invalidValue(path, ip, "must be a valid IP address"));
    return;
  }
  const lower = ip.toLowerCase();
  if (ip === "0.0.0.0" || lower === "::") errors.push(invalidValue(path, ip, `may not be unspecified (${ip})`));
  if (ip.startsWith("127.") || lower === "::1")
    errors.push(invalidValue(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
  if (ip.startsWith("169.254.") || /^fe[89ab]/.test(lower))
    errors.push(invalidValue(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
  if (ip.startsWith("224.0.0.") || lower.startsWith("ff02"))
    errors.push(invalidValue(path, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
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
