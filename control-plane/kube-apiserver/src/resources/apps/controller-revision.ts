import type { ControllerRevision } from "@coracle/api/apps/v1";
import { isObject, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { nonNegative } from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";

export const controllerRevision: ResourceDefinition = {
  group: "apps",
  version: "v1",
  plural: "controllerrevisions",
  kind: "ControllerRevision",
  validate(object) {
    const errors: FieldError[] = [];
    const revision = as<ControllerRevision>(object);
    const isNew = (object.metadata["resourceVersion"] ?? "") === "";
    nonNegative(errors, "revision", revision.revision);
    if (isNew && revision.data === undefined) errors.push(required("data", "data is mandatory"));
    else if (isNew && !isObject(revision.data)) errors.push(required("data", "data must be a valid JSON object"));
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "data", object["data"], old["data"]);
      return errors;
    },
  },
};
