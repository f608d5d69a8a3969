import type { Device, ResourceSlice } from "@coracle/api/resource/v1";
import { duplicate, invalidValue, required, tooLong, tooMany, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { cIdentifier, dns1123Label, dns1123Subdomain } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { validateNodeSelector } from "../validation/pod-scheduling.ts";
import { validateDriverName } from "../validation/volumes.ts";

const MAX_DEVICES = 128;
const MAX_STRING = 64;
const MAX_POOL = 253;

function validateQualified(errors: FieldError[], path: string, name: string): void {
  if (name === "") {
    errors.push(required(path, "name required"));
    return;
  }
  const slash = name.indexOf("/");
  const domain = slash < 0 ? undefined : name.slice(0, slash);
  const id = slash < 0 ? name : name.slice(slash + 1);
  if (domain !== undefined) validateDriverName(errors, path, domain);
  if (id.length > 32) errors.push(tooLong(path, 32));
  else pushInvalid(errors, path, id, cIdentifier(id));
}

function validateDevice(errors: FieldError[], path: string, device: Decoded<Device>): void {
  const name = text(device.name);
  pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
  for (const [key, attribute] of Object.entries(device.attributes ?? {})) {
    const at = `${path}.attributes[${key}]`;
    validateQualified(errors, at, key);
    const given = (["bool", "int", "string", "version"] as const).filter((type) => attribute?.[type] !== undefined);
    if (given.length !== 1)
      errors.push(
        invalidValue(
          at,
          attribute,
          given.length === 0
            ? "exactly one value must be specified"
            : "exactly one value must be specified, multiple values found",
        ),
      );
    if (attribute?.string !== undefined && attribute.string.length > MAX_STRING)
      errors.push(tooLong(`${at}.string`, MAX_STRING));
    if (
      attribute?.version !== undefined &&
      !/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/.test(attribute.version)
    )
      errors.push(
        invalidValue(`${at}.version`, attribute.version, "must be a string compatible with semver.org spec 2.0.0"),
      );
  }
  for (const key of Object.keys(device.capacity ?? {})) validateQualified(errors, `${path}.capacity[${key}]`, key);
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<ResourceSlice>(object).spec ?? {};
  validateDriverName(errors, "spec.driver", text(spec.driver));
  const pool = text(spec.pool?.name);
  if (pool === "") errors.push(required("spec.pool.name"));
  else {
    if (pool.length > MAX_POOL) errors.push(tooLong("spec.pool.name", MAX_POOL));
    for (const part of pool.split("/")) pushInvalid(errors, "spec.pool.name", pool, dns1123Subdomain(part));
  }
  if ((spec.pool?.resourceSliceCount ?? 0) <= 0)
    errors.push(
      invalidValue("spec.pool.resourceSliceCount", spec.pool?.resourceSliceCount ?? 0, "must be greater than zero"),
    );
  if ((spec.pool?.generation ?? 0) < 0)
    errors.push(invalidValue("spec.pool.generation", spec.pool?.generation, "must be greater than or equal to zero"));
  if (spec.nodeName !== undefined) pushInvalid(errors, "spec.nodeName", spec.nodeName, dns1123Subdomain(spec.nodeName));
  if (spec.nodeSelector !== undefined) validateNodeSelector(errors, "spec.nodeSelector", spec.nodeSelector);
  const places = [
    text(spec.nodeName) !== "",
    spec.nodeSelector !== undefined,
    spec.allNodes === true,
    spec.perDeviceNodeSelection === true,
  ].filter(Boolean).length;
  const hint = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (places === 0) errors.push(required("spec", hint));
  else if (places > 1) errors.push(invalidValue("spec", "", hint));
  const devices = spec.devices ?? [];
  if (devices.length > MAX_DEVICES) errors.push(tooMany("spec.devices", devices.length, MAX_DEVICES));
  const names = new Set<string>();
  devices.forEach((device, i) => {
    validateDevice(errors, `spec.devices[${i}]`, device);
    const name = text(device.name);
    if (names.has(name)) errors.push(duplicate(`spec.devices[${i}]`, name));
    names.add(name);
  });
  return errors;
}

export const resourceSlice: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1",
  plural: "resourceslices",
  kind: "ResourceSlice",
  validate,
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      const spec = as<ResourceSlice>(object).spec;
      const before = as<ResourceSlice>(old).spec;
      validateImmutable(errors, "spec.pool.name", text(spec?.pool?.name), text(before?.pool?.name));
      for (const field of ["driver", "nodeName", "nodeSelector", "allNodes"] as const)
        validateImmutable(errors, `spec.${field}`, spec?.[field], before?.[field]);
      return errors;
    },
  },
  selectableFields: {
    "spec.nodeName": (o) => text(as<ResourceSlice>(o).spec?.nodeName),
    "spec.driver": (o) => text(as<ResourceSlice>(o).spec?.driver),
  },
};
