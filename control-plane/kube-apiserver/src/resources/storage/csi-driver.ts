import type { CSIDriver } from "@coracle/api/storage/v1";
import { duplicate, equalJson, invalidValue, notSupported, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { oneOf } from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { validateDriverName } from "../validation/volumes.ts";

/** Tokens that a driver gets in volume attributes end in logs. */
function tokenWarnings(object: ApiObject): string[] {
  const spec = as<CSIDriver>(object).spec ?? {};
  if ((spec.tokenRequests ?? []).length === 0 || spec.serviceAccountTokenInSecrets !== undefined) return [];
  return [
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes",
  ];
}

export const csiDriver: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "csidrivers",
  kind: "CSIDriver",
  allowUnconditionalUpdate: false,
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "attachRequired", true);
    setDefault(spec, "podInfoOnMount", false);
    setDefault(spec, "storageCapacity", false);
    setDefault(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if (!Array.isArray(spec["volumeLifecycleModes"]) || spec["volumeLifecycleModes"].length === 0)
      spec["volumeLifecycleModes"] = ["Persistent"];
    setDefault(spec, "requiresRepublish", false);
    setDefault(spec, "seLinuxMount", false);
  },
  createWarnings: tokenWarnings,
  validate(object) {
    const errors: FieldError[] = [];
    const name = text(as<CSIDriver>(object).metadata?.name);
    const spec = as<CSIDriver>(object).spec ?? {};
    if (name.length > 63 && name.length <= 253) validateDriverName(errors, "metadata.name", name);
    oneOf(errors, "spec.fsGroupPolicy", spec.fsGroupPolicy, ["File", "None", "ReadWriteOnceWithFSType"]);
    const audiences = new Set<string>();
    spec.tokenRequests?.forEach((request, i) => {
      const path = `spec.tokenRequests[${i}]`;
      const audience = text(request.audience);
      if (audiences.has(audience)) errors.push(duplicate(`${path}.audience`, audience));
      audiences.add(audience);
      const seconds = request.expirationSeconds;
      if (seconds !== undefined && (seconds < 600 || seconds > 2 ** 32))
        errors.push(
          invalidValue(
            `${path}.expirationSeconds`,
            seconds,
            seconds < 600
              ? "may not specify a duration less than 10 minutes"
              : "may not specify a duration larger than 2^32 seconds",
          ),
        );
    });
    for (const mode of spec.volumeLifecycleModes ?? [])
      if (mode !== "Persistent" && mode !== "Ephemeral")
        errors.push(notSupported("spec.volumeLifecycleModes", mode, ["Persistent", "Ephemeral"]));
    return errors;
  },
  update: {
    warnings: (object, old) =>
      equalJson(as<CSIDriver>(object).spec?.tokenRequests ?? [], as<CSIDriver>(old).spec?.tokenRequests ?? [])
        ? []
        : tokenWarnings(object),
    validate(object, old) {
      const errors: FieldError[] = [];
      for (const field of ["attachRequired", "volumeLifecycleModes"] as const)
        validateImmutable(
          errors,
          `spec.${field}`,
          as<CSIDriver>(object).spec?.[field],
          as<CSIDriver>(old).spec?.[field],
        );
      return errors;
    },
  },
};
