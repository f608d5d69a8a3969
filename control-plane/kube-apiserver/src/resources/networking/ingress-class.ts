import type { IngressClass } from "@coracle/api/networking/v1";
import { notSupported, required, tooLong, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, domainPrefixedPath, pathSegmentName } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";

const MAX_CONTROLLER = 250;

/** A domain, and a path below it: each is complained of by itself. */
function validateController(errors: FieldError[], controller: string): void {
  const slash = controller.indexOf("/");
  if (slash <= 0 || slash === controller.length - 1) {
    pushInvalid(errors, "spec.controller", controller, domainPrefixedPath(controller));
    return;
  }
  const [domain, path] = [controller.slice(0, slash), controller.slice(slash + 1)];
  pushInvalid(errors, "spec.controller", domain, dns1123Subdomain(domain));
  pushInvalid(errors, "spec.controller", path, domainPrefixedPath(`a/${path}`));
}

export const ingressClass: ResourceDefinition = {
  group: "networking.k8s.io",
  version: "v1",
  plural: "ingressclasses",
  kind: "IngressClass",
  defaults(draft) {
    const parameters = objectIn(objectIn(draft, "spec"), "parameters");
    if (parameters !== undefined) setDefault(parameters, "scope", "Cluster");
  },
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<IngressClass>(object).spec ?? {};
    const controller = text(spec.controller);
    if (controller.length > MAX_CONTROLLER) errors.push(tooLong("spec.controller", MAX_CONTROLLER));
    if (controller === "") errors.push(required("spec.controller"));
    else validateController(errors, controller);
    const parameters = spec.parameters;
    if (parameters === undefined) return errors;
    const path = "spec.parameters";
    if (parameters.apiGroup !== undefined)
      pushInvalid(errors, `${path}.apiGroup`, parameters.apiGroup, dns1123Subdomain(parameters.apiGroup));
    for (const field of ["kind", "name"] as const) {
      const value = text(parameters[field]);
      if (value === "") errors.push(required(`${path}.${field}`));
      else pushInvalid(errors, `${path}.${field}`, value, pathSegmentName(value, false));
    }
    if (parameters.scope === "Namespace") {
      if (text(parameters.namespace) === "")
        errors.push(required(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'"));
      else pushInvalid(errors, `${path}.namespace`, parameters.namespace, dns1123Label(text(parameters.namespace)));
    } else if (parameters.scope === "Cluster") {
      if (parameters.namespace !== undefined)
        errors.push({
          type: "FieldValueForbidden",
          field: `${path}.namespace`,
          message: "Forbidden: `parameters.scope` is set to 'Cluster'",
        });
    } else if (parameters.scope === undefined) errors.push(required(`${path}.scope`));
    else errors.push(notSupported(`${path}.scope`, parameters.scope, ["Cluster", "Namespace"]));
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(
        errors,
        "spec.controller",
        as<IngressClass>(object).spec?.controller,
        as<IngressClass>(old).spec?.controller,
      );
      return errors;
    },
  },
};
