import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "@coracle/api/networking/v1";
import { forbiddenField, invalidValue, parseLegacyCidr, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, portNumberOrName } from "../validation/field-values.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { objectIn, objectsIn, setDefault } from "../validation/pod-defaults.ts";

function validatePort(errors: FieldError[], path: string, port: Decoded<NetworkPolicyPort>): void {
  if (port.protocol !== undefined) oneOf(errors, `${path}.protocol`, port.protocol, ["TCP", "UDP", "SCTP"]);
  if (port.port !== undefined) {
    if (typeof port.port === "number") portNumberOrName(errors, `${path}.port`, port.port);
    if (typeof port.port === "number" && port.endPort !== undefined) {
      if (port.endPort < port.port)
        errors.push(invalidValue(`${path}.endPort`, port.port, `must be greater than or equal to \`port\``));
      if (port.endPort < 1 || port.endPort > 65_535)
        errors.push(invalidValue(`${path}.endPort`, port.endPort, "must be between 1 and 65535, inclusive"));
    } else if (port.endPort !== undefined)
      errors.push(invalidValue(`${path}.endPort`, port.endPort, "may not be specified when `port` is non-numeric"));
    if (typeof port.port === "string") portNumberOrName(errors, `${path}.port`, port.port);
  } else if (port.endPort !== undefined)
    errors.push(invalidValue(`${path}.endPort`, port.endPort, "may not be specified when `port` is not specified"));
}

const CIDR_DETAIL = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
function validatePeer(errors: FieldError[], path: string, peer: Decoded<NetworkPolicyPeer>): void {
  let count = 0;
  if (peer.podSelector !== undefined) {
    count++;
    validateLabelSelector(errors, `${path}.podSelector`, peer.podSelector);
  }
  if (peer.namespaceSelector !== undefined) {
    count++;
    validateLabelSelector(errors, `${path}.namespaceSelector`, peer.namespaceSelector);
  }
  const block = peer.ipBlock;
  if (block !== undefined) {
    if (count > 0) errors.push(forbiddenField(path, "may not specify both ipBlock and another peer"));
    count++;
    const cidr = text(block.cidr);
    if (cidr === "") errors.push(required(`${path}.ipBlock.cidr`));
    else if (parseLegacyCidr(cidr) === undefined) errors.push(invalidValue(`${path}.ipBlock.cidr`, cidr, CIDR_DETAIL));
    else
      block.except?.forEach((except, i) => {
        const at = `${path}.ipBlock.except[${i}]`;
        if (parseLegacyCidr(except) === undefined) errors.push(invalidValue(at, except, CIDR_DETAIL));
        else if (!isWithin(except, cidr)) errors.push(invalidValue(at, except, "must be a strict subset of `cidr`"));
      });
  }
  if (count === 0) errors.push(required(path, "must specify a peer"));
}

/** Whether the first range lies within the second and is smaller. */
function isWithin(inner: string, outer: string): boolean {
  const small = parseLegacyCidr(inner);
  const large = parseLegacyCidr(outer);
  if (small === undefined || large === undefined) return false;
  if (small.family !== large.family || small.prefixLength <= large.prefixLength) return false;
  const shift = BigInt((large.family === 4 ? 32 : 128) - large.prefixLength);
  return small.network >> shift === large.network >> shift;
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<NetworkPolicy>(object).spec ?? {};
  validateLabelSelector(errors, "spec.podSelector", spec.podSelector);
  spec.ingress?.forEach((rule, i) => {
    rule.ports?.forEach((port, j) => validatePort(errors, `spec.ingress[${i}].ports[${j}]`, port));
    rule.from?.forEach((peer, j) => validatePeer(errors, `spec.ingress[${i}].from[${j}]`, peer));
  });
  spec.egress?.forEach((rule, i) => {
    rule.ports?.forEach((port, j) => validatePort(errors, `spec.egress[${i}].ports[${j}]`, port));
    rule.to?.forEach((peer, j) => validatePeer(errors, `spec.egress[${i}].to[${j}]`, peer));
  });
  const types = spec.policyTypes ?? [];
  if (types.length > 2)
    errors.push(invalidValue("spec.policyTypes", types, "may not specify more than two policyTypes"));
  else types.forEach((type, i) => oneOf(errors, `spec.policyTypes[${i}]`, type, ["Ingress", "Egress"]));
  return errors;
}

export const networkPolicy: ResourceDefinition = {
  group: "networking.k8s.io",
  version: "v1",
  plural: "networkpolicies",
  kind: "NetworkPolicy",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    for (const list of ["ingress", "egress"])
      for (const rule of objectsIn(spec, list))
        for (const port of objectsIn(rule, "ports")) setDefault(port, "protocol", "TCP");
    if (!Array.isArray(spec["policyTypes"]) || spec["policyTypes"].length === 0) {
      spec["policyTypes"] = ["Ingress"];
      if (objectsIn(spec, "egress").length > 0) spec["policyTypes"] = ["Ingress", "Egress"];
    }
  },
  validate,
  // The whole check is run a second time on updates, and its errors count twice.
  update: { validate: (object) => validate(object) },
};
