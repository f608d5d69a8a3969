import type { DeviceClass } from "@coracle/api/resource/v1";
import { invalidValue, required, tooMany, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { longName } from "../validation/names.ts";
import { isExtendedResource } from "../validation/resources.ts";
import { validateDriverName } from "../validation/volumes.ts";
import { validateDeviceSelectors } from "./device-selector.ts";

const MAX_ITEMS = 32;

export const deviceClass: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1",
  plural: "deviceclasses",
  kind: "DeviceClass",
  validateName: longName,
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<DeviceClass>(object).spec ?? {};
    if ((spec.selectors?.length ?? 0) > MAX_ITEMS)
      errors.push(tooMany("spec.selectors", spec.selectors?.length ?? 0, MAX_ITEMS));
    validateDeviceSelectors(errors, "spec.selectors", spec.selectors);
    if ((spec.config?.length ?? 0) > MAX_ITEMS)
      errors.push(tooMany("spec.config", spec.config?.length ?? 0, MAX_ITEMS));
    spec.config?.forEach((config, i) => {
      const path = `spec.config[${i}]`;
      if (config.opaque === undefined) errors.push(required(`${path}.opaque`));
      else {
        validateDriverName(errors, `${path}.opaque.driver`, text(config.opaque.driver));
        if (config.opaque.parameters === undefined) errors.push(required(`${path}.opaque.parameters`));
      }
    });
    const resource = spec.extendedResourceName;
    if (resource !== undefined && !isExtendedResource(resource))
      errors.push(invalidValue("spec.extendedResourceName", resource, "must be a valid extended resource name"));
    return errors;
  },
};
