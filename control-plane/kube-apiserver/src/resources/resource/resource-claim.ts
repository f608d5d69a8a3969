import type { ResourceClaim, ResourceClaimTemplate } from "@coracle/api/resource/v1";
import type { FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { validateAnnotations, validateImmutable, validateLabels } from "../validation/object-meta.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";
import { defaultClaimSpec, validateClaimSpecOf } from "./claim-spec.ts";

export const resourceClaim: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1",
  plural: "resourceclaims",
  kind: "ResourceClaim",
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    if (spec !== undefined) defaultClaimSpec(spec);
  },
  prepareForCreate: freshStatus({}),
  validate(object) {
    const errors: FieldError[] = [];
    // A claim never changes, so what it says is checked once.
    if ((object.metadata["resourceVersion"] ?? "") === "")
      validateClaimSpecOf(errors, "spec", as<ResourceClaim>(object).spec ?? {});
    return errors;
  },
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "spec", object["spec"], old["spec"]);
      return errors;
    },
  },
  subresources: { status: onlyStatusUpdate },
};

export const resourceClaimTemplate: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1",
  plural: "resourceclaimtemplates",
  kind: "ResourceClaimTemplate",
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "metadata", {});
    setDefault(spec, "spec", {});
    const inner = objectIn(spec, "spec");
    if (inner !== undefined) defaultClaimSpec(inner);
  },
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<ResourceClaimTemplate>(object).spec;
    validateLabels(errors, "spec.metadata.labels", spec?.metadata?.labels);
    validateAnnotations(errors, "spec.metadata.annotations", spec?.metadata?.annotations);
    validateClaimSpecOf(errors, "spec.spec", spec?.spec ?? {});
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "spec", object["spec"], old["spec"]);
      return errors;
    },
  },
};
