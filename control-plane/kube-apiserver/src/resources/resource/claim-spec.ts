import type { DeviceRequest, ExactDeviceRequest, ResourceClaimSpec } from "@coracle/api/resource/v1";
import {
  duplicate,
  invalidValue,
  notSupported,
  required,
  tooMany,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import { text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain } from "../validation/names.ts";
import { objectIn, objectsIn, setDefaultNumber, setDefaultText } from "../validation/pod-defaults.ts";
import { validateTolerations } from "../validation/pod-scheduling.ts";
import { validateDeviceSelectors } from "./device-selector.ts";

const MAX_ITEMS = 32;
const MAX_FIRST_AVAILABLE = 8;

function defaultRequest(request: Draft): void {
  setDefaultText(request, "allocationMode", "ExactCount");
  if (request["allocationMode"] === "ExactCount") setDefaultNumber(request, "count", 1);
  for (const toleration of objectsIn(request, "tolerations")) setDefaultText(toleration, "operator", "Equal");
}

/** Defaults of a claim's spec, in claims and in templates. */
export function defaultClaimSpec(spec: Draft): void {
  for (const request of objectsIn(objectIn(spec, "devices"), "requests")) {
    const exactly = objectIn(request, "exactly");
    if (exactly !== undefined) defaultRequest(exactly);
    for (const alternative of objectsIn(request, "firstAvailable")) defaultRequest(alternative);
  }
}

function validateExact(errors: FieldError[], path: string, request: Decoded<ExactDeviceRequest>): void {
  const deviceClass = text(request.deviceClassName);
  if (deviceClass === "") errors.push(required(`${path}.deviceClassName`));
  else pushInvalid(errors, `${path}.deviceClassName`, deviceClass, dns1123Subdomain(deviceClass));
  if ((request.selectors?.length ?? 0) > MAX_ITEMS)
    errors.push(tooMany(`${path}.selectors`, request.selectors?.length ?? 0, MAX_ITEMS));
  validateDeviceSelectors(errors, `${path}.selectors`, request.selectors);
  const count = request.count ?? 0;
  if (request.allocationMode === "All") {
    if (count !== 0)
      errors.push(invalidValue(`${path}.count`, count, "must not be specified when allocationMode is 'All'"));
  } else if (request.allocationMode === "ExactCount") {
    if (count <= 0) errors.push(invalidValue(`${path}.count`, count, "must be greater than zero"));
  } else errors.push(notSupported(`${path}.allocationMode`, text(request.allocationMode), ["All", "ExactCount"]));
  validateTolerations(errors, `${path}.tolerations`, request.tolerations);
}

function validateRequest(errors: FieldError[], path: string, request: Decoded<DeviceRequest>): void {
  const name = text(request.name);
  pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
  const alternatives = request.firstAvailable ?? [];
  if (request.exactly !== undefined && alternatives.length > 0)
    errors.push(invalidValue(path, "", "exactly one of `exactly` or `firstAvailable` must be specified"));
  else if (request.exactly === undefined && alternatives.length === 0)
    errors.push(required(path, "exactly one of `exactly` or `firstAvailable` is required"));
  if (request.exactly !== undefined) validateExact(errors, `${path}.exactly`, request.exactly);
  if (alternatives.length > MAX_FIRST_AVAILABLE)
    errors.push(tooMany(`${path}.firstAvailable`, alternatives.length, MAX_FIRST_AVAILABLE));
  alternatives.forEach((alternative, i) => {
    const at = `${path}.firstAvailable[${i}]`;
    pushInvalid(errors, `${at}.name`, text(alternative.name), dns1123Label(text(alternative.name)));
    if (alternatives.findIndex((other) => other.name === alternative.name) !== i)
      errors.push(duplicate(at, text(alternative.name)));
    validateExact(errors, at, alternative);
  });
}

/** What a claim asks for. */
export function validateClaimSpecOf(errors: FieldError[], path: string, spec: Decoded<ResourceClaimSpec>): void {
  const devices = spec.devices ?? {};
  const requests = devices.requests ?? [];
  if (requests.length > MAX_ITEMS) errors.push(tooMany(`${path}.devices.requests`, requests.length, MAX_ITEMS));
  const names = new Set<string>();
  requests.forEach((request, i) => {
    const at = `${path}.devices.requests[${i}]`;
    validateRequest(errors, at, request);
    const name = text(request.name);
    if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
  });
  for (const list of ["constraints", "config"] as const) {
    devices[list]?.forEach((item, i) =>
      item.requests?.forEach((name, j) => {
        if (!names.has(name.split("/")[0] ?? ""))
          errors.push(
            invalidValue(
              `${path}.devices.${list}[${i}].requests[${j}]`,
              name,
              "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
            ),
          );
      }),
    );
  }
}
