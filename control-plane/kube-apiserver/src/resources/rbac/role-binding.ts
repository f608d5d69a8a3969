import type { RoleBinding, RoleRef, Subject } from "@coracle/api/rbac/v1";
import {
  equalJson,
  invalidValue,
  isObject,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain, pathSegmentName } from "../validation/names.ts";
import { objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";

const GROUP = "rbac.authorization.k8s.io";

function defaults(draft: ApiDraft): void {
  setDefault(draft, "roleRef", {});
  const reference = objectIn(draft, "roleRef");
  if (reference !== undefined) setDefaultText(reference, "apiGroup", GROUP);
  for (const subject of objectsIn(draft, "subjects")) defaultSubject(subject);
}
function defaultSubject(subject: Draft): void {
  if ((subject["apiGroup"] ?? "") !== "") return;
  if (subject["kind"] === "User" || subject["kind"] === "Group") subject["apiGroup"] = GROUP;
}

function validateReference(
  errors: FieldError[],
  reference: Decoded<RoleRef> | undefined,
  kinds: readonly string[],
): void {
  if (reference?.apiGroup !== GROUP) errors.push(notSupported("roleRef.apiGroup", text(reference?.apiGroup), [GROUP]));
  if (!kinds.includes(text(reference?.kind))) errors.push(notSupported("roleRef.kind", text(reference?.kind), kinds));
  const name = text(reference?.name);
  if (name === "") errors.push(required("roleRef.name"));
  else pushInvalid(errors, "roleRef.name", name, pathSegmentName(name, false));
}

function validateSubject(errors: FieldError[], path: string, subject: Decoded<Subject>, isNamespaced: boolean): void {
  const name = text(subject.name);
  if (name === "") errors.push(required(`${path}.name`));
  const group = text(subject.apiGroup);
  switch (subject.kind) {
    case "ServiceAccount":
      if (name !== "") pushInvalid(errors, `${path}.name`, name, dns1123Subdomain(name));
      if (group !== "") errors.push(notSupported(`${path}.apiGroup`, group, [""]));
      if (!isNamespaced && text(subject.namespace) === "") errors.push(required(`${path}.namespace`));
      break;
    case "User":
    case "Group":
      if (group !== GROUP) errors.push(notSupported(`${path}.apiGroup`, group, [GROUP]));
      break;
    default:
      errors.push(notSupported(`${path}.kind`, text(subject.kind), ["ServiceAccount", "User", "Group"]));
  }
}

function validateBinding(object: ApiObject, kinds: readonly string[], isNamespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const binding = as<RoleBinding>(object);
  validateReference(errors, binding.roleRef, kinds);
  binding.subjects?.forEach((subject, i) => validateSubject(errors, `subjects[${i}]`, subject, isNamespaced));
  return errors;
}

function validateUpdate(object: ApiObject, old: ApiObject): FieldError[] {
  return isObject(object["roleRef"]) && equalJson(object["roleRef"], old["roleRef"])
    ? []
    : [invalidValue("roleRef", object["roleRef"], "cannot change roleRef")];
}

export const roleBinding: ResourceDefinition = {
  group: GROUP,
  version: "v1",
  plural: "rolebindings",
  kind: "RoleBinding",
  allowCreateOnUpdate: true,
  defaults,
  validateName: pathSegmentName,
  validate: (object) => validateBinding(object, ["Role", "ClusterRole"], true),
  update: { validate: validateUpdate },
};

export const clusterRoleBinding: ResourceDefinition = {
  group: GROUP,
  version: "v1",
  plural: "clusterrolebindings",
  kind: "ClusterRoleBinding",
  allowCreateOnUpdate: true,
  defaults,
  validateName: pathSegmentName,
  validate: (object) => validateBinding(object, ["ClusterRole"], false),
  update: { validate: validateUpdate },
};
