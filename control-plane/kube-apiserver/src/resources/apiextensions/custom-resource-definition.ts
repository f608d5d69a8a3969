import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionVersion,
} from "@coracle/api/apiextensions/v1";
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
import { holdForCleanup } from "../../extensions/definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf } from "../validation/field-values.ts";
import { dns1035Label, dns1123Subdomain } from "../validation/names.ts";
import { objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { validateClientConfig } from "../validation/webhook.ts";
import { validateStructuralSchema } from "./structural-schema.ts";

const COLUMN_TYPES = ["integer", "number", "string", "boolean", "date"];
const COLUMN_FORMATS = ["int32", "int64", "float", "double", "byte", "date", "date-time", "password"];

function defaults(draft: ApiDraft): void {
  setDefault(draft, "spec", {});
  const spec = objectIn(draft, "spec");
  if (spec === undefined) return;
  setDefault(spec, "names", {});
  const names = objectIn(spec, "names");
  if (names !== undefined) {
    const kind = typeof names["kind"] === "string" ? names["kind"] : "";
    if (kind !== "") {
      setDefaultText(names, "singular", kind.toLowerCase());
      setDefaultText(names, "listKind", `${kind}List`);
    }
  }
  setDefault(spec, "conversion", {});
  const conversion = objectIn(spec, "conversion");
  if (conversion !== undefined) {
    setDefaultText(conversion, "strategy", "None");
    const service = objectIn(objectIn(objectIn(conversion, "webhook"), "clientConfig"), "service");
    if (service !== undefined) setDefault(service, "port", 443);
  }
  setDefault(draft, "status", {});
  const status = objectIn(draft, "status");
  if (status === undefined) return;
  if (!Array.isArray(status["storedVersions"]) || status["storedVersions"].length === 0) {
    const stored = objectsIn(spec, "versions").find((v) => v["storage"] === true);
    status["storedVersions"] = stored === undefined ? [] : [stored["name"]];
  }
}

function validateNames(errors: FieldError[], path: string, names: Decoded<CustomResourceDefinitionNames>): void {
  for (const field of ["plural", "singular", "kind", "listKind"] as const) {
    const value = text(names[field]);
    if (value === "") {
      errors.push(required(`${path}.${field}`));
      continue;
    }
    const lower = field === "plural" || field === "singular" ? value : value.toLowerCase();
    const messages = dns1035Label(lower);
    if (messages.length > 0) errors.push(invalidValue(`${path}.${field}`, value, messages.join(",")));
  }
  if (text(names.kind) !== "" && names.kind === names.listKind)
    errors.push(invalidValue(`${path}.listKind`, names.listKind, "kind and listKind may not be the same"));
  for (const list of ["shortNames", "categories"] as const)
    names[list]?.forEach((name, i) => {
      const messages = dns1035Label(name);
      if (messages.length > 0) errors.push(invalidValue(`${path}.${list}[${i}]`, name, messages.join(",")));
    });
}

/** A path to a scalar below the object, without arrays: `.spec.replicas`. */
function validateSimplePath(errors: FieldError[], path: string, value: string): void {
  if (value === "") errors.push(required(path));
  else if (!/^(?:\.[a-zA-Z0-9_-]+|\['[^']+'\])+$/.test(value))
    errors.push(invalidValue(path, value, "is not a simple json path"));
}

function validateColumn(errors: FieldError[], path: string, column: Decoded<CustomResourceColumnDefinition>): void {
  if (text(column.name) === "") errors.push(required(`${path}.name`));
  const type = text(column.type);
  if (type === "") errors.push(required(`${path}.type`, `must be one of ${COLUMN_TYPES.join(",")}`));
  else if (!COLUMN_TYPES.includes(type))
    errors.push(invalidValue(`${path}.type`, type, `must be one of ${COLUMN_TYPES.join(",")}`));
  if (text(column.format) !== "" && !COLUMN_FORMATS.includes(text(column.format)))
    errors.push(invalidValue(`${path}.format`, column.format, `must be one of ${COLUMN_FORMATS.join(",")}`));
  const expression = text(column.jsonPath);
  if (expression === "") errors.push(required(`${path}.JSONPath`));
  else if (!/^\.|^\[/.test(expression))
    errors.push(invalidValue(`${path}.JSONPath`, expression, "JSONPath must start with '.'"));
}

function validateSubresources(
  errors: FieldError[],
  path: string,
  version: Decoded<CustomResourceDefinitionVersion>,
): void {
  const scale = version.subresources?.scale;
  if (scale === undefined) return;
  for (const [field, prefix] of [
    ["specReplicasPath", ".spec."],
    ["statusReplicasPath", ".status."],
    ["labelSelectorPath", "."],
  ] as const) {
    const value = text(scale[field]);
    if (field === "labelSelectorPath" && value === "") continue;
    const before = errors.length;
    validateSimplePath(errors, `${path}.scale.${field}`, value);
    if (errors.length === before && !value.startsWith(prefix))
      errors.push(invalidValue(`${path}.scale.${field}`, value, `should be a json path under ${prefix.slice(0, -1)}`));
  }
}

function validateVersions(errors: FieldError[], object: ApiObject): void {
  const { spec, status } = as<CustomResourceDefinition>(object);
  const versions = spec?.versions ?? [];
  const stored = versions.filter((v) => v.storage === true);
  const names = new Set<string>();
  let unique = true;
  // What all versions share is reported at the spec, as in the days of a single version.
  const same = <T>(pick: (v: Decoded<CustomResourceDefinitionVersion>) => T): boolean =>
    versions.every((v) => equalJson(pick(v), pick(versions[0] ?? {})));
  const perVersion = {
    schema: !same((v) => v.schema),
    columns: !same((v) => v.additionalPrinterColumns),
    subresources: !same((v) => v.subresources),
  };
  const counted = (i: number, isPerVersion: boolean): boolean => isPerVersion || i === 0;
  versions.forEach((version, i) => {
    const path = `spec.versions[${i}]`;
    const name = text(version.name);
    if (names.has(name)) unique = false;
    names.add(name);
    if (dns1035Label(name).length > 0) errors.push(invalidValue(`${path}.name`, name, dns1035Label(name).join(",")));
    const schema = version.schema?.openAPIV3Schema;
    if (schema === undefined) errors.push(required(`${path}.schema.openAPIV3Schema`, "schemas are required"));
    else if (counted(i, perVersion.schema))
      validateStructuralSchema(
        errors,
        perVersion.schema ? `${path}.schema.openAPIV3Schema` : "spec.validation.openAPIV3Schema",
        schema as never,
      );
    if (counted(i, perVersion.columns))
      version.additionalPrinterColumns?.forEach((column, j) =>
        validateColumn(
          errors,
          perVersion.columns ? `${path}.additionalPrinterColumns[${j}]` : `spec.additionalPrinterColumns[${j}]`,
          column,
        ),
      );
    if (counted(i, perVersion.subresources))
      validateSubresources(errors, perVersion.subresources ? `${path}.subresources` : "spec.subresources", version);
  });
  if (!unique) errors.push(invalidValue("spec.versions", versions, "must contain unique version names"));
  if (stored.length !== 1)
    errors.push(invalidValue("spec.versions", versions, "must have exactly one version marked as storage version"));
  const first = text(versions[0]?.name);
  if (first !== "" && dns1035Label(first).length > 0)
    errors.push(invalidValue("spec.version", first, dns1035Label(first).join(",")));
  const kept = status?.storedVersions ?? [];
  if (kept.length === 0 || (stored.length !== 1 ? true : !kept.includes(text(stored[0]?.name))))
    errors.push(invalidValue("status.storedVersions", kept, "must have at least one stored version"));
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const value = as<CustomResourceDefinition>(object);
  const spec = value.spec ?? {};
  const group = text(spec.group);
  const expected = `${text(spec.names?.plural)}.${group}`;
  const name = text(value.metadata?.name);
  if (name !== "" && name !== expected)
    errors.push(invalidValue("metadata.name", name, `must be spec.names.plural+"."+spec.group`));
  if (group === "") errors.push(required("spec.group"));
  else {
    const messages = dns1123Subdomain(group);
    if (messages.length > 0) errors.push(invalidValue("spec.group", group, messages.join(",")));
    else if (group.split(".").length < 2)
      errors.push(invalidValue("spec.group", group, "should be a domain with at least one dot"));
  }
  if (text(spec.scope) === "") errors.push(required("spec.scope"));
  else oneOf(errors, "spec.scope", spec.scope, ["Cluster", "Namespaced"]);
  validateVersions(errors, object);
  validateNames(errors, "spec.names", spec.names ?? {});
  const conversion = spec.conversion;
  if (conversion !== undefined) {
    if (conversion.strategy !== "None" && conversion.strategy !== "Webhook")
      errors.push(notSupported("spec.conversion.strategy", text(conversion.strategy), ["None", "Webhook"]));
    if (conversion.strategy === "Webhook") {
      if (conversion.webhook?.clientConfig === undefined)
        errors.push(required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook"));
      else validateClientConfig(errors, "spec.conversion.webhookClientConfig", conversion.webhook.clientConfig);
    }
  }
  return errors;
}

export const customResourceDefinition: ResourceDefinition = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  allowUnconditionalUpdate: false,
  holdDeletion: holdForCleanup,
  defaults,
  prepareForCreate(draft) {
    const status = isObject(draft["status"]) ? draft["status"] : {};
    const fresh: Draft = {
      conditions: null,
      acceptedNames: { plural: "", kind: "" },
      storedVersions: status["storedVersions"] ?? [],
    };
    draft["status"] = fresh;
  },
  validate,
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      const status = isObject(draft["status"]) ? { ...draft["status"] } : {};
      const versions = Array.isArray(status["storedVersions"]) ? [...(status["storedVersions"] as string[])] : [];
      const stored = objectsIn(objectIn(draft, "spec"), "versions").find((v) => v["storage"] === true)?.["name"];
      if (typeof stored === "string" && !versions.includes(stored)) versions.push(stored);
      status["storedVersions"] = versions;
      draft["status"] = status;
    },
    validate(object, old) {
      const errors: FieldError[] = [];
      const spec = as<CustomResourceDefinition>(object).spec;
      const before = as<CustomResourceDefinition>(old).spec;
      const established =
        as<CustomResourceDefinition>(old).status?.conditions?.some(
          (c) => c.type === "Established" && c.status === "True",
        ) === true;
      if (established) {
        if (spec?.scope !== before?.scope) errors.push(invalidValue("spec.scope", spec?.scope, "field is immutable"));
        if (spec?.names?.kind !== before?.names?.kind)
          errors.push(invalidValue("spec.names.kind", spec?.names?.kind, "field is immutable"));
      }
      if (spec?.group !== before?.group) errors.push(invalidValue("spec.group", spec?.group, "field is immutable"));
      if (spec?.names?.plural !== before?.names?.plural)
        errors.push(invalidValue("spec.names.plural", spec?.names?.plural, "field is immutable"));
      return errors;
    },
  },
  subresources: { status: statusUpdate },
};
