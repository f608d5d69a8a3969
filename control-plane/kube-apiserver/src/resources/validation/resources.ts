import type { ContainerResizePolicy, ResourceRequirements } from "@coracle/api/core/v1";
import { duplicate, fieldNotFound, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { pushInvalid } from "./field-values.ts";
import { qualifiedName } from "./names.ts";
import { isWholeQuantity, quantityNanos } from "./quantity.ts";

const CONTAINER_RESOURCES = new Set(["cpu", "memory", "ephemeral-storage"]);
const INTEGER_RESOURCES = new Set([
  "pods",
  "resourcequotas",
  "services",
  "replicationcontrollers",
  "secrets",
  "configmaps",
  "persistentvolumeclaims",
  "services.nodeports",
  "services.loadbalancers",
]);
const STANDARD_RESOURCES = new Set([
  ...CONTAINER_RESOURCES,
  ...INTEGER_RESOURCES,
  "storage",
  "requests.cpu",
  "requests.memory",
  "requests.storage",
  "requests.ephemeral-storage",
  "limits.cpu",
  "limits.memory",
  "limits.ephemeral-storage",
]);
const isHugePages = (name: string): boolean => name.startsWith("hugepages-");

/** Names without a domain, or in kubernetes.io's. */
const isNativeResource = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");
/** Names of resources that only nodes with them advertise. */
export function isExtendedResource(name: string): boolean {
  if (isNativeResource(name) || name.startsWith("requests.")) return false;
  return qualifiedName(`requests.${name}`).length === 0;
}
const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePages(name);
const isIntegerResource = (name: string): boolean => INTEGER_RESOURCES.has(name) || isExtendedResource(name);
const isStandardResource = (name: string): boolean =>
  STANDARD_RESOURCES.has(name) || isHugePages(name) || name.startsWith("requests.hugepages-");

/** Names without a domain that a ResourceQuota may limit. */
export const isStandardQuotaResource = (name: string): boolean => isStandardResource(name) && name !== "storage";

/** A resource's name: qualified; without a domain it must be one of the standard ones. */
export function validateResourceName(errors: FieldError[], path: string, name: string): void {
  const before = errors.length;
  pushInvalid(errors, path, name, qualifiedName(name));
  if (errors.length > before) return;
  if (!name.includes("/") && !isStandardResource(name))
    errors.push(invalidValue(path, name, "must be a standard resource type or fully qualified"));
}

export function validateContainerResourceName(errors: FieldError[], path: string, name: string): void {
  validateResourceName(errors, path, name);
  if (!name.includes("/")) {
    if (!CONTAINER_RESOURCES.has(name) && !isHugePages(name))
      errors.push(invalidValue(path, name, "must be a standard resource for containers"));
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    errors.push(invalidValue(path, name, "doesn't follow extended resource name standard"));
  }
}

/** Names a ResourceQuota may count: standard ones, `count/…`, and extended ones through `requests.`. */
export function validateQuotaResourceName(errors: FieldError[], path: string, name: string): void {
  validateResourceName(errors, path, name);
  if (!name.includes("/") && !isStandardQuotaResource(name))
    errors.push(invalidValue(path, name, "must be a standard resource for quota"));
}

/** Not negative, and whole where the resource is counted. */
export function validateResourceQuantity(
  errors: FieldError[],
  path: string,
  name: string,
  value: string | number | undefined,
): void {
  if (quantityNanos(value) < 0n)
    errors.push(invalidValue(path, String(value ?? "0"), "must be greater than or equal to 0"));
  if (isIntegerResource(name) && !isWholeQuantity(value))
    errors.push(invalidValue(path, String(value ?? "0"), "must be an integer"));
}

/** Requests, limits and claims of a container. `claims`: names the pod declares. */
export function validateResourceRequirements(
  errors: FieldError[],
  path: string,
  resources: Decoded<ResourceRequirements> | undefined,
  claims: ReadonlySet<string>,
): void {
  if (resources === undefined) return;
  const limits = resources.limits ?? {};
  const requests = resources.requests ?? {};
  for (const name of Object.keys(limits)) {
    const at = `${path}.limits[${name}]`;
    validateContainerResourceName(errors, at, name);
    validateResourceQuantity(errors, at, name, limits[name]);
  }
  for (const name of Object.keys(requests)) {
    const at = `${path}.requests[${name}]`;
    const value = requests[name];
    validateContainerResourceName(errors, at, name);
    validateResourceQuantity(errors, at, name, value);
    if (Object.hasOwn(limits, name)) {
      const request = quantityNanos(value);
      const limit = quantityNanos(limits[name]);
      if (request !== limit && !isOvercommitAllowed(name))
        errors.push(
          invalidValue(`${path}.requests`, String(value), `must be equal to ${name} limit of ${limits[name]}`),
        );
      else if (request > limit)
        errors.push(
          invalidValue(
            `${path}.requests`,
            String(value),
            `must be less than or equal to ${name} limit of ${limits[name]}`,
          ),
        );
    } else if (!isOvercommitAllowed(name)) {
      errors.push(required(`${path}.limits`, "Limit must be set for non overcommitable resources"));
    }
  }
  resources.claims?.forEach((claim, i) => {
    const name = text(claim.name);
    const at = `${path}.claims[${i}]`;
    if (name === "") errors.push(required(`${at}.name`));
    else if (!claims.has(name)) errors.push(fieldNotFound(`${at}.name`, name));
    if (resources.claims?.slice(0, i).some((c) => c.name === claim.name && c.request === claim.request))
      errors.push(duplicate(at, claim.request === undefined ? name : `${name}/${claim.request}`));
  });
}

/** How a container takes changed resources. Errors name the list, not its item. */
export function validateResizePolicy(
  errors: FieldError[],
  path: string,
  policies: readonly Decoded<ContainerResizePolicy>[] | undefined,
  podRestartPolicy: string | undefined,
): void {
  const seen = new Set<string>();
  policies?.forEach((policy, i) => {
    const resource = text(policy.resourceName);
    if (seen.has(resource)) errors.push(duplicate(`${path}[${i}]`, resource));
    seen.add(resource);
    if (resource === "") errors.push(required(path));
    else if (resource !== "cpu" && resource !== "memory") errors.push(notSupported(path, resource, ["cpu", "memory"]));
    const restart = text(policy.restartPolicy);
    if (restart === "") errors.push(required(path));
    else if (restart !== "NotRequired" && restart !== "RestartContainer")
      errors.push(notSupported(path, restart, ["NotRequired", "RestartContainer"]));
    if (podRestartPolicy === "Never" && restart === "RestartContainer")
      errors.push(invalidValue(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
  });
}
