import type { Device, ResourceSlice, ResourceSliceSpec } from "@coracle/api/resource/v1";
import { duplicate, invalidValue, required, tooLong, tooMany, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { cIdentifier, dns1123Label, dns1123Subdomain } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { validateNodeSelector } from "../validation/pod-scheduling.ts";
import { validateDriverName } from "../validation/volumes.ts";

const MAX_DEVICES = 128;
const MAX_COMPLEX_DEVICES = 64;
const MAX_ID = 32;
const MAX_MEMBERS = 32;
const NUMBER = "(?:0|[1-9]\\d*)";
const PRE_RELEASE = "(?:0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)";
const SEMANTIC_VERSION = new RegExp(
  `^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-${PRE_RELEASE}(?:\\.${PRE_RELEASE})*)?(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?$`,
);

type Spec = Decoded<ResourceSliceSpec>;
const MAX_STRING = 64;
const MAX_POOL = 253;

/** A name, or a domain and a name. Of more than two parts upstream looks at none. */
function validateQualified(errors: FieldError[], path: string, name: string): void {
  const parts = name.split("/");
  const [first = "", second = ""] = parts;
  if (parts.length === 1) validateIdentifier(errors, path, first);
  if (parts.length !== 2) return;
  if (first === "") errors.push(invalidValue(path, "", "the domain must not be empty"));
  else validateDriverName(errors, path, first);
  if (second === "") errors.push(invalidValue(path, "", "the name must not be empty"));
  else validateIdentifier(errors, path, second);
}

function validateIdentifier(errors: FieldError[], path: string, id: string): void {
  if (Buffer.byteLength(id) > MAX_ID) errors.push(tooLong(path, MAX_ID));
  pushInvalid(errors, path, id, cIdentifier(id));
}

function validateDevice(errors: FieldError[], path: string, device: Decoded<Device>): void {
  const name = text(device.name);
  pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
  const members = Object.keys(device.attributes ?? {}).length + Object.keys(device.capacity ?? {}).length;
  if (members > MAX_MEMBERS)
    errors.push(
      invalidValue(path, members, `the total number of attributes and capacities must not exceed ${MAX_MEMBERS}`),
    );
  for (const [key, attribute] of Object.entries(device.attributes ?? {})) {
    const at = `${path}.attributes[${key}]`;
    validateQualified(errors, at, key);
    if (attribute?.string !== undefined && Buffer.byteLength(attribute.string) > MAX_STRING)
      errors.push(tooLong(`${at}.string`, MAX_STRING));
    if (attribute?.version !== undefined) {
      if (!SEMANTIC_VERSION.test(attribute.version))
        errors.push(
          invalidValue(`${at}.version`, attribute.version, "must be a string compatible with semver.org spec 2.0.0"),
        );
      if (Buffer.byteLength(attribute.version) > MAX_STRING) errors.push(tooLong(`${at}.version`, MAX_STRING));
    }
    const given = (["bool", "int", "string", "version"] as const).filter((type) => attribute?.[type] !== undefined);
    if (given.length === 0) errors.push(invalidValue(at, "", "exactly one value must be specified"));
    else if (given.length > 1)
      errors.push(invalidValue(at, attribute, "exactly one value must be specified, multiple values found"));
  }
  for (const key of Object.keys(device.capacity ?? {})) validateQualified(errors, `${path}.capacity[${key}]`, key);
}

function validateUnchanged(errors: FieldError[], spec: Spec, old: Spec): void {
  validateImmutable(errors, "spec.pool.name", text(spec.pool?.name), text(old.pool?.name));
  validateImmutable(errors, "spec.driver", spec.driver, old.driver);
  validateImmutable(errors, "spec.nodeName", spec.nodeName, old.nodeName, null);
}

/** The name of a pool of devices. */
export function validatePoolName(errors: FieldError[], path: string, pool: string): void {
  if (pool === "") return void errors.push(required(path));
  if (pool.length > MAX_POOL) errors.push(tooLong(path, MAX_POOL));
  for (const part of pool.split("/")) pushInvalid(errors, path, pool, dns1123Subdomain(part));
}

function validateSpec(object: ApiObject, before?: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<ResourceSlice>(object).spec ?? {};
  const old = before === undefined ? undefined : (as<ResourceSlice>(before).spec ?? {});
  validateDriverName(errors, "spec.driver", text(spec.driver));
  validatePoolName(errors, "spec.pool.name", text(spec.pool?.name));
  if ((spec.pool?.resourceSliceCount ?? 0) <= 0)
    errors.push(
      invalidValue("spec.pool.resourceSliceCount", spec.pool?.resourceSliceCount ?? 0, "must be greater than zero"),
    );
  if ((spec.pool?.generation ?? 0) < 0)
    errors.push(invalidValue("spec.pool.generation", spec.pool?.generation, "must be greater than or equal to zero"));
  if (old !== undefined) validateUnchanged(errors, spec, old);
  if (spec.nodeName === "")
    errors.push(invalidValue("spec.nodeName", "", "must be either unset or set to a non-empty string"));
  else if (spec.nodeName !== undefined)
    pushInvalid(errors, "spec.nodeName", spec.nodeName, dns1123Subdomain(spec.nodeName));
  if (spec.nodeSelector !== undefined) {
    validateNodeSelector(errors, "spec.nodeSelector", spec.nodeSelector);
    const terms = spec.nodeSelector.nodeSelectorTerms ?? [];
    if (terms.length !== 1)
      errors.push(
        invalidValue("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term"),
      );
  }
  const places: string[] = [];
  if (spec.nodeName !== undefined && spec.nodeName !== "") places.push("`nodeName`");
  if (spec.nodeSelector !== undefined) places.push("`nodeSelector`");
  for (const field of ["allNodes", "perDeviceNodeSelection"] as const) {
    if (spec[field] === true) places.push(`\`${field}\``);
    else if (spec[field] === false)
      errors.push(invalidValue(`spec.${field}`, false, "must be either unset or set to true"));
  }
  const hint = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (places.length === 0) errors.push(required("spec", hint));
  else if (places.length > 1)
    errors.push(invalidValue("spec", `{${places.join(", ")}}`, `${hint}, but multiple fields are set`));
  if (spec.sharedCounters !== undefined && spec.devices !== undefined)
    errors.push(invalidValue("spec", "", "only one of `sharedCounters` or `devices` is allowed"));
  const devices = spec.devices ?? [];
  const isComplex = devices.some(
    ({ taints, consumesCounters }) => (taints?.length ?? 0) + (consumesCounters?.length ?? 0) > 0,
  );
  const most = isComplex ? MAX_COMPLEX_DEVICES : MAX_DEVICES;
  if (devices.length > most) {
    errors.push(tooMany("spec.devices", devices.length, most));
    return errors;
  }
  devices.forEach((device, i) => validateDevice(errors, `spec.devices[${i}]`, device));
  const names = new Set<string>();
  devices.forEach((device, i) => {
    const name = text(device.name);
    if (names.has(name)) errors.push(duplicate(`spec.devices[${i}]`, name));
    names.add(name);
  });
  return errors;
}

function driverWarnings(object: ApiObject): string[] {
  const driver = text(as<ResourceSlice>(object).spec?.driver);
  if (driver === driver.toLowerCase()) return [];
  return [`spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`];
}

export const resourceSlice: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1",
  plural: "resourceslices",
  kind: "ResourceSlice",
  validateNew: (object) => validateSpec(object),
  createWarnings: driverWarnings,
  update: { validate: validateSpec, warnings: driverWarnings },
  selectableFields: {
    "spec.nodeName": (o) => text(as<ResourceSlice>(o).spec?.nodeName),
    "spec.driver": (o) => text(as<ResourceSlice>(o).spec?.driver),
  },
};
