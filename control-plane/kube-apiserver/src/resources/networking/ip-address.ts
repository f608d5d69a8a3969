import type { IPAddress } from "@coracle/api/networking/v1";
import { formatIp, parseIp, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain, pathSegmentName } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";

/** The name is the address, in the one form that addresses are written in. */
function validateName(name: string): string[] {
  const ip = parseIp(name);
  if (ip === undefined) return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"];
  return formatIp(ip.family, ip.value) === name ? [] : ["must be a valid IP address in canonical form"];
}

export const ipAddress: ResourceDefinition = {
  group: "networking.k8s.io",
  version: "v1",
  plural: "ipaddresses",
  kind: "IPAddress",
  validateName,
  validate(object) {
    const errors: FieldError[] = [];
    const parent = as<IPAddress>(object).spec?.parentRef;
    const path = "spec.parentRef";
    if (parent === undefined) {
      errors.push(required(path));
      return errors;
    }
    if (text(parent.group) !== "")
      pushInvalid(errors, `${path}.group`, parent.group, dns1123Subdomain(text(parent.group)));
    for (const field of ["resource", "name"] as const) {
      const value = text(parent[field]);
      if (value === "") errors.push(required(`${path}.${field}`));
      else pushInvalid(errors, `${path}.${field}`, value, pathSegmentName(value, false));
    }
    if (text(parent.namespace) !== "")
      pushInvalid(errors, `${path}.namespace`, parent.namespace, pathSegmentName(text(parent.namespace), false));
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(
        errors,
        "spec.parentRef",
        as<IPAddress>(object).spec?.parentRef,
        as<IPAddress>(old).spec?.parentRef,
      );
      return errors;
    },
  },
};
