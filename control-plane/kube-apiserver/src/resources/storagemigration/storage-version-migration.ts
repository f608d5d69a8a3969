import type { StorageVersionMigration } from "@coracle/api/storagemigration/v1beta1";
import { equalJson, invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { dns1035Label, dns1123Subdomain } from "../validation/names.ts";
import { keepStatus, onlyStatusUpdate, validateConditions } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const RESOURCE_VERSION = /^[1-9]\d*$/;

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const { group, resource } = as<StorageVersionMigration>(object).spec?.resource ?? {};
  if (text(resource) === "") errors.push(required("spec.resource.resource", "resource is required to be set"));
  else {
    const problems = dns1035Label(text(resource));
    if (problems.length > 0) errors.push(invalidValue("spec.resource.resource", resource, problems.join(",")));
  }
  if (text(group) !== "") {
    const problems = dns1123Subdomain(text(group));
    if (problems.length > 0) errors.push(invalidValue("spec.resource.group", group, problems.join(",")));
  }
  return errors;
}

function validateStatus(object: ApiObject, old: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const { resourceVersion, conditions = [] } = as<StorageVersionMigration>(object).status ?? {};
  const before = as<StorageVersionMigration>(old).status ?? {};
  const version = text(resourceVersion);
  if (!RESOURCE_VERSION.test(version))
    errors.push(invalidValue("status.resourceVersion", version, `resource version is not well formed: ${version}`));
  validateConditions(errors, "status.conditions", conditions);
  if (text(before.resourceVersion) !== "" && before.resourceVersion !== version)
    errors.push(invalidValue("status.resourceVersion", version, "field is immutable"));
  const refuse = (why: string): void => void errors.push(invalidValue("status.conditions", conditions, why));
  const isTrue = (type: string, of: typeof conditions = conditions): boolean =>
    of.find((each) => each.type === type)?.status === "True";
  const wasTrue = (type: string): boolean => isTrue(type, before.conditions ?? []);
  if (isTrue("Succeeded") && isTrue("Failed"))
    refuse("Both success and failed conditions cannot be true at the same time");
  if (isTrue("Succeeded") && isTrue("Running"))
    refuse("Running condition cannot be true when success condition is true");
  if (isTrue("Failed") && isTrue("Running")) refuse("Running condition cannot be true when failed condition is true");
  if (wasTrue("Succeeded") && !isTrue("Succeeded")) refuse("Success condition cannot be set to false once it is true");
  if (wasTrue("Failed") && !isTrue("Failed")) refuse("Failed condition cannot be set to false once it is true");
  return errors;
}

/** Orders to write objects anew in the version they are to be stored in; served behind its feature. */
export const storageVersionMigration: ResourceDefinition = {
  group: "storagemigration.k8s.io",
  version: "v1beta1",
  plural: "storageversionmigrations",
  kind: "StorageVersionMigration",
  allowUnconditionalUpdate: false,
  hasGeneration: false,
  prepareForCreate: freshStatus({}),
  validate,
  update: {
    prepare: keepStatus,
    validate(object, old) {
      if (equalJson(object["spec"], old["spec"])) return [];
      const { spec } = as<StorageVersionMigration>(object);
      return [invalidValue("spec", { Resource: spec?.resource ?? {} }, "field is immutable")];
    },
  },
  subresources: { status: { ...onlyStatusUpdate, validate: validateStatus } },
};
