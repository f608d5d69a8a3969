import type { ServiceCIDR } from "@coracle/api/networking/v1";
import { equalJson, invalidValue, isCidr, parseCidr, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const cidrs = as<ServiceCIDR>(object).spec?.cidrs ?? [];
  const isNew = (object.metadata["resourceVersion"] ?? "") === "";
  if (isNew) {
    if (cidrs.length === 0) return [required("spec.cidrs", "at least one CIDR required")];
    if (cidrs.length > 2) return [invalidValue("spec.cidrs", { cidrs }, "may only hold up to 2 values")];
  }
  cidrs.forEach((cidr, i) => {
    if (isNew && isCidr(cidr).length > 0)
      errors.push(
        invalidValue(`spec.cidrs[${i}]`, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
      );
  });
  const [first = "", second = ""] = cidrs;
  if (isNew && cidrs.length === 2 && familyOf(first) !== 0 && familyOf(first) === familyOf(second))
    errors.push(
      invalidValue(
        "spec.cidrs",
        cidrs,
        "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
      ),
    );
  return errors;
}

/** 4 or 6; 0 for what is no range of addresses. */
function familyOf(cidr: string): 0 | 4 | 6 {
  if (parseCidr(cidr) === undefined) return 0;
  return cidr.includes(":") ? 6 : 4;
}

export const serviceCidr: ResourceDefinition = {
  group: "networking.k8s.io",
  version: "v1",
  plural: "servicecidrs",
  kind: "ServiceCIDR",
  prepareForCreate: freshStatus({}),
  validate,
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const now = as<ServiceCIDR>(object).spec?.cidrs ?? [];
      const before = as<ServiceCIDR>(old).spec?.cidrs ?? [];
      const errors: FieldError[] = [];
      if (now.length < before.length) errors.push(invalidValue("spec.cidrs", now, "field is immutable"));
      else
        before.forEach((cidr, i) => {
          if (!equalJson(cidr, now[i])) errors.push(invalidValue(`spec.cidrs[${i}]`, now[i], "field is immutable"));
        });
      return errors;
    },
  },
  subresources: { status: onlyStatusUpdate },
};
