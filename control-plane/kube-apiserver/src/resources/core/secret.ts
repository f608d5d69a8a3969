import type { Secret } from "@coracle/api/core/v1";
import {
  equalJson,
  forbiddenField,
  invalidValue,
  isObject,
  jsonFaultIn,
  required,
  tooLong,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { configMapKey } from "../validation/names.ts";
import { setDefaultText } from "../validation/pod-defaults.ts";
import { validateImmutable } from "../validation/object-meta.ts";

const MAX_BYTES = 1_048_576;
const SA_NAME = "kubernetes.io/service-account.name";

function validateJson(errors: FieldError[], key: string, data: { readonly [key: string]: string | undefined }): void {
  const value = data[key];
  if (value === undefined) {
    errors.push(required(`data[${key}]`));
    return;
  }
  const bytes = Buffer.from(value, "base64");
  const why = jsonFaultIn(bytes) ?? whyNoObject(JSON.parse(bytes.toString("utf8")));
  if (why !== undefined) errors.push(invalidValue(`data[${key}]`, "<secret contents redacted>", why));
}

/** JSON that is no object, in Go's words; nothing is as good as none. */
function whyNoObject(value: unknown): string | undefined {
  if (value === null || isObject(value)) return undefined;
  const form = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  return `json: cannot unmarshal ${form} into Go value of type map[string]interface {}`;
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const secret = as<Secret>(object);
  const data = secret.data ?? {};
  let size = 0;
  for (const key of Object.keys(data)) {
    pushInvalid(errors, `data[${key}]`, key, configMapKey(key));
    size += Buffer.byteLength(text(data[key]), "base64");
  }
  if (size > MAX_BYTES) errors.push(tooLong("data", MAX_BYTES));
  switch (secret.type) {
    case "kubernetes.io/service-account-token":
      if (text(secret.metadata?.annotations?.[SA_NAME]) === "")
        errors.push(required(`metadata.annotations[${SA_NAME}]`));
      break;
    case "kubernetes.io/dockercfg":
      validateJson(errors, ".dockercfg", data);
      break;
    case "kubernetes.io/dockerconfigjson":
      validateJson(errors, ".dockerconfigjson", data);
      break;
    case "kubernetes.io/basic-auth":
      if (data["username"] === undefined && data["password"] === undefined)
        errors.push(required("data[username]"), required("data[password]"));
      break;
    case "kubernetes.io/ssh-auth":
      if (text(data["ssh-privatekey"]) === "") errors.push(required("data[ssh-privatekey]"));
      break;
    case "kubernetes.io/tls":
      if (data["tls.crt"] === undefined) errors.push(required("data[tls.crt]"));
      if (data["tls.key"] === undefined) errors.push(required("data[tls.key]"));
      break;
    default:
      break;
  }
  return errors;
}

export const secret: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "secrets",
  kind: "Secret",
  defaults(draft) {
    setDefaultText(draft, "type", "Opaque");
    // stringData is write-only: its entries win over data's.
    if (isObject(draft["stringData"])) {
      const entries = Object.entries(draft["stringData"]);
      if (entries.length > 0) {
        if (!isObject(draft["data"])) draft["data"] = {};
        for (const [key, value] of entries)
          (draft["data"] as Draft)[key] = Buffer.from(typeof value === "string" ? value : "").toString("base64");
      }
    }
    delete draft["stringData"];
  },
  validate,
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(errors, "type", object["type"], old["type"]);
      if (old["immutable"] === true) {
        if (object["immutable"] !== true)
          errors.push(forbiddenField("immutable", "field is immutable when `immutable` is set"));
        if (!equalJson(object["data"] ?? {}, old["data"] ?? {}))
          errors.push(forbiddenField("data", "field is immutable when `immutable` is set"));
      }
      return errors;
    },
  },
  selectableFields: { type: (o) => text(as<Secret>(o).type) },
};
