import type { HTTPIngressPath, Ingress, IngressBackend } from "@coracle/api/networking/v1";
import { isIP } from "node:net";
import { invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1035Label, dns1123Subdomain, portName, portNumber, wildcardSubdomain } from "../validation/names.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const PATH_TYPES = ["Exact", "ImplementationSpecific", "Prefix"];
const FORBIDDEN_SEQUENCES = ["//", "/./", "/../", "%2f", "%2F"];
const FORBIDDEN_SUFFIXES = ["/..", "/."];

const hostMessages = (host: string): string[] =>
  host.includes("*") ? wildcardSubdomain(host) : dns1123Subdomain(host);

function validateBackend(errors: FieldError[], path: string, backend: Decoded<IngressBackend> | undefined): void {
  const service = backend?.service;
  const resource = backend?.resource;
  if (service !== undefined && resource !== undefined) {
    errors.push(invalidValue(path, "", "cannot set both resource and service backends"));
  } else if (resource !== undefined) {
    for (const field of ["kind", "name"] as const)
      if (text(resource[field]) === "") errors.push(required(`${path}.resource.${field}`));
  } else if (service === undefined) {
    errors.push(invalidValue(path, "", "resource or service backend is required"));
  } else {
    const name = text(service.name);
    if (name === "") errors.push(required(`${path}.service.name`));
    else pushInvalid(errors, `${path}.service.name`, name, dns1035Label(name));
    const hasName = text(service.port?.name) !== "";
    const number = service.port?.number ?? 0;
    if (hasName && number !== 0) errors.push(invalidValue(path, "", "cannot set both port name & port number"));
    else if (hasName)
      pushInvalid(errors, `${path}.service.port.name`, service.port?.name, portName(text(service.port?.name)));
    else if (number !== 0) pushInvalid(errors, `${path}.service.port.number`, number, portNumber(number));
    else errors.push(required(path, "port name or number is required"));
  }
}

function validatePath(errors: FieldError[], at: string, path: Decoded<HTTPIngressPath>): void {
  const value = text(path.path);
  if (path.pathType === undefined) {
    errors.push(required(`${at}.pathType`, "pathType must be specified"));
    return;
  }
  if (path.pathType === "Exact" || path.pathType === "Prefix") {
    if (!value.startsWith("/")) errors.push(invalidValue(`${at}.path`, value, "must be an absolute path"));
    if (value !== "") {
      for (const sequence of FORBIDDEN_SEQUENCES)
        if (value.includes(sequence)) errors.push(invalidValue(`${at}.path`, value, `must not contain '${sequence}'`));
      for (const suffix of FORBIDDEN_SUFFIXES)
        if (value.endsWith(suffix)) errors.push(invalidValue(`${at}.path`, value, `cannot end with '${suffix}'`));
    }
  } else if (path.pathType === "ImplementationSpecific") {
    if (value !== "" && !value.startsWith("/"))
      errors.push(invalidValue(`${at}.path`, value, "must be an absolute path"));
  } else errors.push(notSupported(`${at}.pathType`, path.pathType, PATH_TYPES));
  validateBackend(errors, `${at}.backend`, path.backend);
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<Ingress>(object).spec ?? {};
  if ((spec.rules?.length ?? 0) === 0 && spec.defaultBackend === undefined)
    errors.push(invalidValue("spec", spec.rules, "either `defaultBackend` or `rules` must be specified"));
  if (spec.defaultBackend !== undefined) validateBackend(errors, "spec.defaultBackend", spec.defaultBackend);
  spec.rules?.forEach((rule, i) => {
    const path = `spec.rules[${i}]`;
    const host = text(rule.host);
    if (host !== "") {
      if (isIP(host) !== 0) errors.push(invalidValue(`${path}.host`, host, "must be a DNS name, not an IP address"));
      pushInvalid(errors, `${path}.host`, host, hostMessages(host));
    }
    if (rule.http === undefined) return;
    const paths = rule.http.paths ?? [];
    if (paths.length === 0) errors.push(required(`${path}.http.paths`));
    paths.forEach((p, j) => validatePath(errors, `${path}.http.paths[${j}]`, p));
  });
  spec.tls?.forEach((tls, i) => {
    tls.hosts?.forEach((host, j) => pushInvalid(errors, `spec.tls[${i}].hosts[${j}]`, host, hostMessages(host)));
    const name = text(tls.secretName);
    if (name !== "") pushInvalid(errors, `spec.tls[${i}].secretName`, name, dns1123Subdomain(name));
  });
  if (spec.ingressClassName !== undefined)
    pushInvalid(errors, "spec.ingressClassName", spec.ingressClassName, dns1123Subdomain(spec.ingressClassName));
  return errors;
}

export const ingress: ResourceDefinition = {
  group: "networking.k8s.io",
  version: "v1",
  plural: "ingresses",
  kind: "Ingress",
  prepareForCreate: freshStatus({ loadBalancer: {} }),
  validate,
  update: { prepare: keepStatus },
  subresources: { status: statusUpdate },
};
