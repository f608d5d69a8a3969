import type { PodTemplate } from "@coracle/api/core/v1";
import type { FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { defaultPodTemplate } from "../validation/pod-defaults.ts";
import { validatePodTemplateSpec } from "../validation/pod-spec.ts";

export const podTemplate: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "podtemplates",
  kind: "PodTemplate",
  defaults: (draft) => defaultPodTemplate(draft),
  validate(object) {
    const errors: FieldError[] = [];
    validatePodTemplateSpec(errors, "template", as<PodTemplate>(object).template);
    return errors;
  },
};
