import type { Endpoint, EndpointSlice } from "@coracle/api/discovery/v1";
import {
  duplicate,
  equalJson,
  formatIp,
  invalidValue,
  notSupported,
  parseIp,
  parseLegacyIp,
  required,
  tooMany,
  type FieldError,
} from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, pushInvalid } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from "../validation/names.ts";
import { validateImmutable, validateLabels } from "../validation/object-meta.ts";
import { objectsIn, setDefault } from "../validation/pod-defaults.ts";
import { validateNonSpecialIp } from "../core/endpoints.ts";

const TYPES = ["FQDN", "IPv4", "IPv6"];

const NO_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

const oldAddressProblem = (address: string): string | undefined =>
  parseLegacyIp(address) === undefined ? NO_IP : undefined;

/** Addresses of version 6 came later, and are taken in one form alone. */
function strictAddressProblem(address: string): string | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return parseLegacyIp(address) === undefined ? NO_IP : "must not have leading 0s";
  const canonical = formatIp(ip.family, ip.value);
  if (ip.family === 6 && !canonical.includes(":")) return "must not be an IPv4-mapped IPv6 address";
  return canonical === address ? undefined : `must be in canonical form (${JSON.stringify(canonical)})`;
}

function validateEndpoint(errors: FieldError[], path: string, endpoint: Decoded<Endpoint>, type: string): void {
  const addresses = endpoint.addresses ?? [];
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, "must contain at least 1 address"));
  else if (addresses.length > 100) errors.push(tooMany(`${path}.addresses`, addresses.length, 100));
  addresses.forEach((address, i) => {
    const at = `${path}.addresses[${i}]`;
    if (type === "FQDN") pushInvalid(errors, at, address, dns1123Subdomain(address));
    else if (type === "IPv4" || type === "IPv6") {
      const problem = type === "IPv4" ? oldAddressProblem(address) : strictAddressProblem(address);
      if (problem !== undefined) {
        errors.push(invalidValue(at, address, problem));
        return;
      }
      if (parseLegacyIp(address)?.family !== (type === "IPv4" ? 4 : 6))
        errors.push(invalidValue(`${path}.addresses`, address, `must be an ${type} address`));
      validateNonSpecialIp(errors, at, address);
    }
  });
  if (endpoint.nodeName !== undefined)
    pushInvalid(errors, `${path}.nodeName`, endpoint.nodeName, dns1123Subdomain(endpoint.nodeName));
  validateLabels(errors, `${path}.deprecatedTopology`, endpoint.deprecatedTopology);
  if (endpoint.hostname !== undefined)
    pushInvalid(errors, `${path}.hostname`, endpoint.hostname, dns1123Label(endpoint.hostname));
  for (const [list, check] of [
    ["forZones", labelValue],
    ["forNodes", dns1123Subdomain],
  ] as const) {
    const hints = endpoint.hints?.[list] ?? [];
    if (hints.length > 8) errors.push(tooMany(`${path}.hints.${list}`, hints.length, 8));
    hints.forEach((hint, i) => {
      const at = `${path}.hints.${list}[${i}].name`;
      const name = text(hint.name);
      if (hints.findIndex((h) => h.name === hint.name) !== i) errors.push(duplicate(at, name));
      pushInvalid(errors, at, name, check(name));
    });
  }
}

export const endpointSlice: ResourceDefinition = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  defaults(draft) {
    for (const port of objectsIn(draft, "ports")) {
      setDefault(port, "name", "");
      setDefault(port, "protocol", "TCP");
    }
  },
  validate(object) {
    const errors: FieldError[] = [];
    const slice = as<EndpointSlice>(object);
    const type = text(slice.addressType);
    if (type === "") errors.push(required("addressType"));
    else if (!TYPES.includes(type)) errors.push(notSupported("addressType", type, TYPES));
    const names = new Set<string>();
    slice.ports?.forEach((port, i) => {
      const path = `ports[${i}]`;
      const name = text(port.name);
      if (name !== "") pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      names.add(name);
      if (port.protocol === undefined) errors.push(required(`${path}.protocol`));
      else oneOf(errors, `${path}.protocol`, port.protocol, ["SCTP", "TCP", "UDP"]);
      if (port.appProtocol !== undefined)
        pushInvalid(errors, `${path}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol));
    });
    const endpoints = slice.endpoints ?? [];
    if (endpoints.length > 1000) errors.push(tooMany("endpoints", endpoints.length, 1000));
    else endpoints.forEach((endpoint, i) => validateEndpoint(errors, `endpoints[${i}]`, endpoint, type));
    return errors;
  },
  // Whatever changes is worth looking at again: labels say which service a slice belongs to.
  countsMetadata: ({ metadata }, old) => !equalJson(metadata["labels"] ?? {}, old.metadata["labels"] ?? {}),
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "addressType", object["addressType"], old["addressType"]);
      return errors;
    },
  },
};
