import type { RuntimeClass } from "@coracle/api/node/v1";
import { duplicate, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Label } from "../validation/names.ts";
import { validateImmutable, validateLabels } from "../validation/object-meta.ts";
import { validateTolerations } from "../validation/pod-scheduling.ts";
import { validateResourceRequirements } from "../validation/resources.ts";

export const runtimeClass: ResourceDefinition = {
  group: "node.k8s.io",
  version: "v1",
  plural: "runtimeclasses",
  kind: "RuntimeClass",
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate(object) {
    const errors: FieldError[] = [];
    const value = as<RuntimeClass>(object);
    pushInvalid(errors, "handler", text(value.handler), dns1123Label(text(value.handler)));
    // The fixed overhead is checked as a container's limits are.
    if (value.overhead !== undefined)
      validateResourceRequirements(errors, "overhead", { limits: value.overhead.podFixed }, new Set());
    const scheduling = value.scheduling;
    if (scheduling === undefined) return errors;
    validateLabels(errors, "scheduling.nodeSelector", scheduling.nodeSelector);
    validateTolerations(errors, "scheduling.tolerations", scheduling.tolerations);
    scheduling.tolerations?.forEach((toleration, i) => {
      if (scheduling.tolerations?.slice(0, i).some((t) => JSON.stringify(t) === JSON.stringify(toleration)) === true)
        errors.push(duplicate(`scheduling.tolerations[${i}]`, toleration));
    });
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "handler", object["handler"], old["handler"]);
      return errors;
    },
  },
};
