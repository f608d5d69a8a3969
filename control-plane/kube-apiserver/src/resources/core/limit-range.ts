import { randomUUID } from "node:crypto";
import type { LimitRange, LimitRangeItem } from "@coracle/api/core/v1";
import { duplicate, forbiddenField, invalidValue, isObject, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { qualifiedName } from "../validation/names.ts";
import { objectIn, objectsIn } from "../validation/pod-defaults.ts";
import { quantityNanos } from "../validation/quantity.ts";
import { validateContainerResourceName, validateResourceName } from "../validation/resources.ts";

const TYPES = ["Pod", "Container", "PersistentVolumeClaim"];
type Amounts = { readonly [key: string]: string | undefined } | undefined;

function validateType(errors: FieldError[], path: string, type: string): void {
  pushInvalid(errors, path, type, qualifiedName(type));
  if (!type.includes("/") && !TYPES.includes(type) && qualifiedName(type).length === 0)
    errors.push(invalidValue(path, type, "must be a standard limit type or fully qualified"));
}

/** min ≤ defaultRequest ≤ default ≤ max, each where given. */
function compare(errors: FieldError[], path: string, item: Decoded<LimitRangeItem>, name: string): void {
  const at = (field: string): string => `${path}.${field}[${name}]`;
  const value = (amounts: Amounts): bigint | undefined => {
    const amount = amounts?.[name];
    return amount === undefined ? undefined : quantityNanos(amount);
  };
  const shown = (amounts: Amounts): string => String(amounts?.[name]);
  const min = value(item.min);
  const max = value(item.max);
  const fallback = value(item.default);
  const request = value(item.defaultRequest);
  const ratio = value(item.maxLimitRequestRatio);
  if (min !== undefined && max !== undefined && min > max)
    errors.push(
      invalidValue(
        at("min"),
        shown(item.min),
        `min value ${shown(item.min)} is greater than max value ${shown(item.max)}`,
      ),
    );
  const order: readonly [bigint | undefined, bigint | undefined, string, string, string][] = [
    [
      min,
      request,
      "defaultRequest",
      `min value ${shown(item.min)} is greater than default request value ${shown(item.defaultRequest)}`,
      shown(item.defaultRequest),
    ],
    [
      request,
      max,
      "defaultRequest",
      `default request value ${shown(item.defaultRequest)} is greater than max value ${shown(item.max)}`,
      shown(item.defaultRequest),
    ],
    [
      request,
      fallback,
      "defaultRequest",
      `default request value ${shown(item.defaultRequest)} is greater than default limit value ${shown(item.default)}`,
      shown(item.defaultRequest),
    ],
    [
      min,
      fallback,
      "default",
      `min value ${shown(item.min)} is greater than default value ${shown(item.default)}`,
      shown(item.min),
    ],
    [
      fallback,
      max,
      "default",
      `default value ${shown(item.default)} is greater than max value ${shown(item.max)}`,
      shown(item.max),
    ],
  ];
  for (const [low, high, field, detail, quoted] of order) {
    if (low !== undefined && high !== undefined && low > high) errors.push(invalidValue(at(field), quoted, detail));
  }
  if (ratio === undefined) return;
  if (ratio < 1_000_000_000n)
    errors.push(
      invalidValue(
        at("maxLimitRequestRatio"),
        shown(item.maxLimitRequestRatio),
        `ratio ${shown(item.maxLimitRequestRatio)} is less than 1`,
      ),
    );
  if (min === undefined || max === undefined) return;
  const limit = Number(max) / Number(min);
  if (Number(ratio) / 1e9 > limit)
    errors.push(
      invalidValue(
        at("maxLimitRequestRatio"),
        shown(item.maxLimitRequestRatio),
        `ratio ${shown(item.maxLimitRequestRatio)} is greater than max/min = ${limit.toFixed(6)}`,
      ),
    );
}

function validateItem(errors: FieldError[], path: string, item: Decoded<LimitRangeItem>): void {
  const names = new Set<string>();
  const fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] as const;
  for (const field of fields) {
    const amounts = item[field];
    if (amounts === undefined) continue;
    if (item.type === "Pod" && (field === "default" || field === "defaultRequest")) {
      if (Object.keys(amounts).length > 0)
        errors.push(forbiddenField(`${path}.${field}`, "may not be specified when `type` is 'Pod'"));
      continue;
    }
    for (const name of Object.keys(amounts)) {
      names.add(name);
      if (item.type === "Pod" || item.type === "Container")
        validateContainerResourceName(errors, `${path}.${field}[${name}]`, name);
      else validateResourceName(errors, `${path}.${field}[${name}]`, name);
    }
  }
  if (
    item.type === "PersistentVolumeClaim" &&
    item.min?.["storage"] === undefined &&
    item.max?.["storage"] === undefined
  )
    errors.push({
      type: "FieldValueRequired",
      field: `${path}.limits`,
      message: "Required value: either minimum or maximum storage value is required, but neither was provided",
    });
  for (const name of names) compare(errors, path, item, name);
}

function fill(item: Draft, field: string, source: Draft | undefined): void {
  if (source === undefined) return;
  const target = isObject(item[field]) ? (item[field] as Draft) : {};
  for (const [name, value] of Object.entries(source)) target[name] ??= value;
  if (Object.keys(target).length > 0) item[field] = target;
}

export const limitRange: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "limitranges",
  kind: "LimitRange",
  allowCreateOnUpdate: true,
  defaults(draft) {
    for (const item of objectsIn(objectIn(draft, "spec"), "limits")) {
      if (item["type"] !== "Container") continue;
      fill(item, "default", objectIn(item, "max"));
      fill(item, "defaultRequest", objectIn(item, "default"));
      fill(item, "defaultRequest", objectIn(item, "min"));
    }
  },
  prepareForCreate(draft) {
    if ((draft.metadata["name"] ?? "") === "") draft.metadata["name"] = randomUUID();
  },
  validate(object) {
    const errors: FieldError[] = [];
    const types = new Set<string>();
    as<LimitRange>(object).spec?.limits?.forEach((item, i) => {
      const path = `spec.limits[${i}]`;
      const type = text(item.type);
      validateType(errors, `${path}.type`, type);
      if (types.has(type)) errors.push(duplicate(`${path}.type`, type));
      types.add(type);
      validateItem(errors, path, item);
    });
    return errors;
  },
};
