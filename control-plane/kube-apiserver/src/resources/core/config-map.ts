import type { ConfigMap } from "@coracle/api/core/v1";
import { equalJson, forbiddenField, invalidValue, tooLong, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { configMapKey } from "../validation/names.ts";

const MAX_BYTES = 1_048_576;

export const configMap: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  validate(object) {
    const errors: FieldError[] = [];
    const { data = {}, binaryData = {} } = as<ConfigMap>(object);
    let size = 0;
    for (const key of Object.keys(data)) {
      pushInvalid(errors, `data[${key}]`, key, configMapKey(key));
      if (binaryData[key] !== undefined)
        errors.push(invalidValue(`data[${key}]`, key, "duplicate of key present in binaryData"));
      size += Buffer.byteLength(data[key] ?? "");
    }
    for (const key of Object.keys(binaryData)) {
      pushInvalid(errors, `binaryData[${key}]`, key, configMapKey(key));
      size += Buffer.byteLength(binaryData[key] ?? "", "base64");
    }
    if (size > MAX_BYTES) errors.push(tooLong("[]", MAX_BYTES));
    return errors;
  },
  update: {
    validate(object, old) {
      if (old["immutable"] !== true) return [];
      const errors: FieldError[] = [];
      if (object["immutable"] !== true)
        errors.push(forbiddenField("immutable", "field is immutable when `immutable` is set"));
      for (const field of ["data", "binaryData"])
        if (!equalJson(object[field] ?? {}, old[field] ?? {}))
          errors.push(forbiddenField(field, "field is immutable when `immutable` is set"));
      return errors;
    },
  },
};
