import type { APIService } from "@coracle/api/apiregistration/v1";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1035Label, dns1123Subdomain, pathSegmentName, portNumber } from "../validation/names.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

export const apiService: ResourceDefinition = {
  group: "apiregistration.k8s.io",
  version: "v1",
  plural: "apiservices",
  kind: "APIService",
  allowUnconditionalUpdate: false,
  defaults(draft) {
    const service = objectIn(objectIn(draft, "spec"), "service");
    if (service !== undefined) setDefault(service, "port", 443);
  },
  prepareForCreate: freshStatus({}),
  validateName(name, isPrefix, object) {
    const faults = pathSegmentName(name, isPrefix);
    if (faults.length > 0 || object === undefined) return faults;
    const { group, version } = as<APIService>(object).spec ?? {};
    const expected = `${text(version)}.${text(group)}`;
    return name === expected ? [] : [`must be \`spec.version+"."+spec.group\`: ${JSON.stringify(expected)}`];
  },
  validate(object) {
    const errors: FieldError[] = [];
    const value = as<APIService>(object);
    const spec = value.spec ?? {};
    const group = text(spec.group);
    const version = text(spec.version);
    if (group === "" && version !== "v1")
      errors.push(required("spec.group", "only v1 may have an empty group and it better be legacy kube"));
    if (group !== "") pushInvalid(errors, "spec.group", group, dns1123Subdomain(group));
    pushInvalid(errors, "spec.version", version, dns1035Label(version));
    for (const [field, high] of [
      ["groupPriorityMinimum", 20_000],
      ["versionPriority", 1000],
    ] as const) {
      const priority = spec[field] ?? 0;
      if (priority <= 0 || priority > high)
        errors.push(invalidValue(`spec.${field}`, priority, `must be positive and less than ${high}`));
    }
    const service = spec.service;
    if (service === undefined) {
      if ((spec.caBundle?.length ?? 0) > 0)
        errors.push(
          invalidValue("spec.caBundle", `${spec.caBundle?.length} bytes`, "local APIServices may not have a caBundle"),
        );
      if (spec.insecureSkipTLSVerify === true)
        errors.push(
          invalidValue("spec.insecureSkipTLSVerify", true, "local APIServices may not have insecureSkipTLSVerify"),
        );
      return errors;
    }
    if (text(service.namespace) === "") errors.push(required("spec.service.namespace"));
    if (text(service.name) === "") errors.push(required("spec.service.name"));
    const port = service.port ?? 443;
    if (portNumber(port).length > 0)
      errors.push(invalidValue("spec.service.port", port, "port is not valid: must be between 1 and 65535, inclusive"));
    if (spec.insecureSkipTLSVerify === true && (spec.caBundle?.length ?? 0) > 0)
      errors.push(invalidValue("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"));
    return errors;
  },
  update: { prepare: keepStatus },
  subresources: { status: onlyStatusUpdate },
};
