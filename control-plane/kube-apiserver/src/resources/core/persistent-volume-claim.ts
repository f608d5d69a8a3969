import type { PersistentVolumeClaim } from "@coracle/api/core/v1";
import { equalJson, forbiddenField, invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { validateClaimSpec } from "../validation/persistent-volume-claim-spec.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { quantityNanos } from "../validation/quantity.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";

function validateUpdate(object: ApiObject, before: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<PersistentVolumeClaim>(object).spec ?? {};
  const old = as<PersistentVolumeClaim>(before).spec ?? {};
  const frozen = { ...spec, volumeName: old.volumeName, volumeAttributesClassName: old.volumeAttributesClassName };
  const unset = text(old.volumeName) === "";
  if (!unset) frozen.volumeName = spec.volumeName;
  const amount = spec.resources?.requests?.["storage"];
  const was = old.resources?.requests?.["storage"];
  const bound = as<PersistentVolumeClaim>(before).status?.phase === "Bound";
  const expands = bound && quantityNanos(amount) > quantityNanos(was);
  const shrinks = quantityNanos(amount) < quantityNanos(was);
  const same = quantityNanos(amount) === quantityNanos(was);
  const comparable = same || expands ? { ...frozen, resources: old.resources } : frozen;
  if (old.storageClassName === undefined && spec.storageClassName !== undefined && !bound)
    Object.assign(comparable, { storageClassName: old.storageClassName });
  if (!equalJson(comparable, old))
    errors.push(
      forbiddenField(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
      ),
    );
  if (shrinks)
    errors.push(forbiddenField("spec.resources.requests.storage", "field can not be less than status.capacity"));
  if (!equalJson(spec.volumeMode, old.volumeMode))
    errors.push(invalidValue("volumeMode", spec.volumeMode, "field is immutable"));
  return errors;
}

export const persistentVolumeClaim: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "persistentvolumeclaims",
  kind: "PersistentVolumeClaim",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec !== undefined) {
      setDefault(spec, "volumeMode", "Filesystem");
      setDefault(spec, "resources", {});
    }
    setDefault(draft, "status", {});
    const status = objectIn(draft, "status");
    if (status !== undefined && (status["phase"] ?? "") === "") status["phase"] = "Pending";
  },
  prepareForCreate(draft) {
    draft["status"] = { phase: "Pending" };
  },
  validate(object) {
    const errors: FieldError[] = [];
    validateClaimSpec(errors, "spec", as<PersistentVolumeClaim>(object).spec ?? {});
    return errors;
  },
  update: { prepare: keepStatus, validate: validateUpdate },
  subresources: { status: statusUpdate },
};
