import type { VolumeAttachment } from "@coracle/api/storage/v1";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { validateDriverName } from "../validation/volumes.ts";
import { freshStatus } from "../validation/workload.ts";

export const volumeAttachment: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "volumeattachments",
  kind: "VolumeAttachment",
  allowUnconditionalUpdate: false,
  prepareForCreate: freshStatus({ attached: false }),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<VolumeAttachment>(object).spec ?? {};
    const attacher = text(spec.attacher);
    if (attacher === "") errors.push(required("spec.attacher"));
    const source = spec.source ?? {};
    const name = source.persistentVolumeName;
    if (name === undefined && source.inlineVolumeSpec === undefined)
      errors.push(required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"));
    else if (name !== undefined && source.inlineVolumeSpec !== undefined)
      errors.push(
        invalidValue("spec.source", source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
      );
    else if (name !== undefined) {
      if (name === "")
        errors.push(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"));
    }
    pushInvalid(errors, "spec.nodeName", text(spec.nodeName), dns1123Subdomain(text(spec.nodeName)));
    // What this version asks more than those before it.
    validateDriverName(errors, "spec.attacher", attacher);
    if (name !== undefined) pushInvalid(errors, "spec.source.persistentVolumeName", name, dns1123Subdomain(name));
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
