import type { VolumeAttributesClass } from "@coracle/api/storage/v1";
import { equalJson, forbiddenField, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { qualifiedName } from "../validation/names.ts";
import { validateParameters } from "./storage-class.ts";

export const volumeAttributesClass: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "volumeattributesclasses",
  kind: "VolumeAttributesClass",
  validate(object) {
    const errors: FieldError[] = [];
    const value = as<VolumeAttributesClass>(object);
    const driver = text(value.driverName);
    if (driver === "") errors.push(required("driverName"));
    else pushInvalid(errors, "driverName", driver.toLowerCase(), qualifiedName(driver.toLowerCase()));
    validateParameters(errors, value.parameters, false);
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      const value = as<VolumeAttributesClass>(object);
      const before = as<VolumeAttributesClass>(old);
      if (value.driverName !== before.driverName)
        errors.push(forbiddenField("driverName", "updates to driverName are forbidden."));
      if (!equalJson(value.parameters ?? {}, before.parameters ?? {}))
        errors.push(forbiddenField("parameters", "updates to parameters are forbidden."));
      return errors;
    },
  },
};
