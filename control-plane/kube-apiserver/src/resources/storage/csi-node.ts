import type { CSINode } from "@coracle/api/storage/v1";
import { duplicate, equalJson, invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { nonNegative, pushInvalid } from "../validation/field-values.ts";
import { qualifiedName } from "../validation/names.ts";
import { validateDriverName } from "../validation/volumes.ts";

const MAX_NODE_ID = 256;

export const csiNode: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "csinodes",
  kind: "CSINode",
  allowUnconditionalUpdate: false,
  validate(object) {
    const errors: FieldError[] = [];
    const names = new Set<string>();
    as<CSINode>(object).spec?.drivers?.forEach((driver, i) => {
      const path = `spec.drivers[${i}]`;
      const name = text(driver.name);
      validateDriverName(errors, `${path}.name`, name);
      const id = text(driver.nodeID);
      if (id === "") errors.push(required(`${path}.nodeID`));
      else if (id.length > MAX_NODE_ID)
        errors.push(invalidValue(`${path}.nodeID`, id, `must be ${MAX_NODE_ID} characters or less`));
      if (driver.allocatable !== undefined) nonNegative(errors, `${path}.allocatable.count`, driver.allocatable.count);
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      names.add(name);
      driver.topologyKeys?.forEach((key, j) => {
        if (key === "") errors.push(required(path));
        if (driver.topologyKeys?.indexOf(key) !== j) errors.push(duplicate(path, key));
        pushInvalid(errors, path, key, qualifiedName(key));
      });
    });
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      for (const driver of as<CSINode>(old).spec?.drivers ?? []) {
        const now = as<CSINode>(object).spec?.drivers?.find((d) => d.name === driver.name);
        if (now !== undefined && !equalJson({ ...now, allocatable: null }, { ...driver, allocatable: null }))
          errors.push(invalidValue("spec.drivers", now, "field is immutable"));
      }
      return errors;
    },
  },
};
