import type { CSIStorageCapacity } from "@coracle/api/storage/v1";
import { invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { dns1123Subdomain } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { quantityNanos } from "../validation/quantity.ts";

export const csiStorageCapacity: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "csistoragecapacities",
  kind: "CSIStorageCapacity",
  allowUnconditionalUpdate: false,
  validate(object) {
    const errors: FieldError[] = [];
    const capacity = as<CSIStorageCapacity>(object);
    validateLabelSelector(errors, "nodeTopology", capacity.nodeTopology);
    pushInvalid(
      errors,
      "storageClassName",
      text(capacity.storageClassName),
      dns1123Subdomain(text(capacity.storageClassName)),
    );
    for (const field of ["capacity", "maximumVolumeSize"] as const)
      if (capacity[field] !== undefined && quantityNanos(capacity[field]) < 0n)
        errors.push(invalidValue(field, capacity[field], "must be greater than or equal to 0"));
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      for (const field of ["nodeTopology", "storageClassName"])
        validateImmutable(errors, field, object[field], old[field]);
      return errors;
    },
  },
};
