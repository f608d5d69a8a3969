import type { StorageClass } from "@coracle/api/storage/v1";
import { duplicate, equalJson, forbiddenField, required, tooLong, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { oneOf, pushInvalid } from "../validation/field-values.ts";
import { qualifiedName } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { setDefault } from "../validation/pod-defaults.ts";

const MAX_PARAMETERS = 512;
const MAX_PARAMETER_BYTES = 262_144;

/** Parameters of classes: few, small, with names. */
export function validateParameters(
  errors: FieldError[],
  parameters: { readonly [key: string]: string | undefined } | undefined,
  allowEmpty: boolean,
): void {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > MAX_PARAMETERS) errors.push(tooLong("parameters", MAX_PARAMETERS));
  let size = 0;
  for (const [key, value] of entries) {
    if (key === "")
      errors.push({
        type: "FieldValueInvalid",
        field: "parameters",
        message: 'Invalid value: "": field can not be empty.',
      });
    size += key.length + text(value).length;
  }
  if (size > MAX_PARAMETER_BYTES) errors.push(tooLong("parameters", MAX_PARAMETER_BYTES));
  if (!allowEmpty && entries.length === 0)
    errors.push(required("parameters", "must contain at least one key/value pair"));
}

function validateTopologies(errors: FieldError[], topologies: StorageClass["allowedTopologies"]): void {
  const seen: unknown[] = [];
  topologies?.forEach((term, i) => {
    const path = `allowedTopologies[${i}].matchLabelExpressions`;
    const expressions = term.matchLabelExpressions ?? [];
    const sets = new Map<string, readonly string[]>();
    expressions.forEach((expression, j) => {
      const at = `${path}[${j}]`;
      const key = text(expression.key);
      const values = expression.values ?? [];
      if (values.length === 0) errors.push(required(`${at}.values`));
      values.forEach((value, k) => {
        if (values.indexOf(value) !== k) errors.push(duplicate(`${at}.values[${k}]`, value));
      });
      pushInvalid(errors, `${at}.key`, key, qualifiedName(key));
      if (sets.has(key)) errors.push(duplicate(`${at}.key`, key));
      sets.set(key, values.toSorted());
    });
    const form = Object.fromEntries(sets);
    // A term without expressions says nothing and is reported as a repetition.
    if (expressions.length === 0 || seen.some((other) => equalJson(other, form))) errors.push(duplicate(path, ""));
    seen.push(form);
  });
}

export const storageClass: ResourceDefinition = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "storageclasses",
  kind: "StorageClass",
  defaults(draft) {
    setDefault(draft, "reclaimPolicy", "Delete");
    setDefault(draft, "volumeBindingMode", "Immediate");
  },
  validate(object) {
    const errors: FieldError[] = [];
    const value = as<StorageClass>(object);
    const provisioner = text(value.provisioner);
    if (provisioner === "") errors.push(required("provisioner"));
    else pushInvalid(errors, "provisioner", provisioner.toLowerCase(), qualifiedName(provisioner.toLowerCase()));
    validateParameters(errors, value.parameters, true);
    oneOf(errors, "reclaimPolicy", value.reclaimPolicy, ["Delete", "Retain"]);
    oneOf(errors, "volumeBindingMode", value.volumeBindingMode, ["Immediate", "WaitForFirstConsumer"]);
    validateTopologies(errors, value.allowedTopologies as StorageClass["allowedTopologies"]);
    return errors;
  },
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      const value = as<StorageClass>(object);
      const before = as<StorageClass>(old);
      if (!equalJson(value.parameters ?? {}, before.parameters ?? {}))
        errors.push(forbiddenField("parameters", "updates to parameters are forbidden."));
      if (value.provisioner !== before.provisioner)
        errors.push(forbiddenField("provisioner", "updates to provisioner are forbidden."));
      if (value.reclaimPolicy !== before.reclaimPolicy)
        errors.push(forbiddenField("reclaimPolicy", "updates to reclaimPolicy are forbidden."));
      validateImmutable(errors, "volumeBindingMode", value.volumeBindingMode, before.volumeBindingMode);
      return errors;
    },
  },
};
