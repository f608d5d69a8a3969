import type { PriorityClass } from "@coracle/api/scheduling/v1";
import { forbiddenField, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { oneOf } from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { setDefault } from "../validation/pod-defaults.ts";

const HIGHEST_USER_VALUE = 1_000_000_000;
const SYSTEM = new Map([
  ["system-node-critical", 2_000_001_000],
  ["system-cluster-critical", 2_000_000_000],
]);

export const priorityClass: ResourceDefinition = {
  group: "scheduling.k8s.io",
  version: "v1",
  plural: "priorityclasses",
  kind: "PriorityClass",
  keepsGeneration: true,
  defaults: (draft) => setDefault(draft, "preemptionPolicy", "PreemptLowerPriority"),
  validate(object) {
    const errors: FieldError[] = [];
    const value = as<PriorityClass>(object);
    const name = text(value.metadata?.name);
    if (name.startsWith("system-")) {
      if (SYSTEM.get(name) !== value.value)
        errors.push(
          forbiddenField(
            "metadata.name",
            "priority class names with 'system-' prefix are reserved for system use only. error: is not a known system priority class",
          ),
        );
    } else if ((value.value ?? 0) > HIGHEST_USER_VALUE)
      errors.push(forbiddenField("value", `maximum allowed value of a user defined priority is ${HIGHEST_USER_VALUE}`));
    const policy = text(value.preemptionPolicy);
    if (policy === "") errors.push(required("preemptionPolicy"));
    else if ((object.metadata["resourceVersion"] ?? "") === "")
      oneOf(errors, "preemptionPolicy", policy, ["PreemptLowerPriority", "Never"]);
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      if ((object["value"] ?? 0) !== (old["value"] ?? 0))
        errors.push(forbiddenField("value", "may not be changed in an update."));
      validateImmutable(errors, "preemptionPolicy", object["preemptionPolicy"], old["preemptionPolicy"]);
      return errors;
    },
  },
};
