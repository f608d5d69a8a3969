import type { EnvFromSource, EnvVar, ObjectFieldSelector, ResourceFieldSelector } from "@coracle/api/core/v1";
import { invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { pushInvalid } from "./field-values.ts";
import { configMapKey, dns1123Subdomain, envVarName, qualifiedName } from "./names.ts";

const ENV_FIELD_PATHS = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];
/** Paths that a downward API volume may show. */
export const VOLUME_FIELD_PATHS = [
  "metadata.name",
  "metadata.namespace",
  "metadata.labels",
  "metadata.annotations",
  "metadata.uid",
];
const KNOWN_FIELD_PATHS = new Set([
  ...ENV_FIELD_PATHS,
  ...VOLUME_FIELD_PATHS,
  "spec.host",
  "spec.restartPolicy",
  "spec.schedulerName",
  "status.phase",
]);
const RESOURCES = ["cpu", "ephemeral-storage", "memory"].flatMap((r) => [`limits.${r}`, `requests.${r}`]).toSorted();
const isResourceField = (name: string): boolean =>
  RESOURCES.includes(name) || name.startsWith("limits.hugepages-") || name.startsWith("requests.hugepages-");
const CPU_DIVISORS = ["1", "1m"];
const MEMORY_DIVISORS = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/** A path into the pod's own object: `metadata.name`, `metadata.labels['KEY']`. */
export function validateFieldSelector(
  errors: FieldError[],
  path: string,
  selector: Decoded<ObjectFieldSelector>,
  supported: readonly string[],
): void {
  if (text(selector.apiVersion) === "") {
    errors.push(required(`${path}.apiVersion`));
    return;
  }
  const fieldPath = text(selector.fieldPath);
  if (fieldPath === "") {
    errors.push(required(`${path}.fieldPath`));
    return;
  }
  const subscript = /^(metadata\.(?:annotations|labels))\['(.*)'\]$/s.exec(fieldPath);
  if (subscript !== null) {
    const key = subscript[2] ?? "";
    pushInvalid(errors, path, key, qualifiedName(subscript[1] === "metadata.labels" ? key : key.toLowerCase()));
    return;
  }
  if (selector.apiVersion !== "v1" || !KNOWN_FIELD_PATHS.has(fieldPath)) {
    errors.push(
      invalidValue(
        `${path}.fieldPath`,
        fieldPath,
        `error converting fieldPath: field label not supported: ${fieldPath}`,
      ),
    );
  } else if (!supported.includes(fieldPath)) {
    errors.push(notSupported(`${path}.fieldPath`, fieldPath, supported));
  }
}

/** A container's request or limit. In a volume the container must be named. */
export function validateResourceField(
  errors: FieldError[],
  path: string,
  selector: Decoded<ResourceFieldSelector>,
  inVolume: boolean,
): void {
  const resource = text(selector.resource);
  if (inVolume && text(selector.containerName) === "") {
    errors.push(required(`${path}.containerName`));
    return;
  }
  if (resource === "") {
    errors.push(required(`${path}.resource`));
    return;
  }
  if (!isResourceField(resource)) {
    errors.push(notSupported(`${path}.resource`, resource, RESOURCES));
    return;
  }
  const divisor = selector.divisor === undefined ? "0" : String(selector.divisor);
  if (divisor === "0") return;
  const allowed = resource.endsWith(".cpu") ? CPU_DIVISORS : MEMORY_DIVISORS;
  if (!allowed.includes(divisor))
    errors.push(
      invalidValue(
        `${path}.divisor`,
        divisor,
        resource.endsWith(".cpu")
          ? "only divisor's values 1m and 1 are supported with the cpu resource"
          : `only divisor's values ${MEMORY_DIVISORS.join(", ")} are supported with the ${resource.slice(resource.indexOf(".") + 1)} resource`,
      ),
    );
}

function validateKeySelector(
  errors: FieldError[],
  path: string,
  selector: { readonly name?: string | undefined; readonly key?: string | undefined },
): void {
  pushInvalid(errors, `${path}.name`, text(selector.name), dns1123Subdomain(text(selector.name)));
  const key = text(selector.key);
  if (key === "") errors.push(required(`${path}.key`));
  else pushInvalid(errors, `${path}.key`, key, configMapKey(key));
}

function validateEnvSource(errors: FieldError[], path: string, env: Decoded<EnvVar>): void {
  const source = env.valueFrom;
  if (source === undefined) return;
  let count = 0;
  if (source.fieldRef !== undefined) {
    count++;
    validateFieldSelector(errors, `${path}.fieldRef`, source.fieldRef, ENV_FIELD_PATHS);
  }
  if (source.resourceFieldRef !== undefined) {
    count++;
    validateResourceField(errors, `${path}.resourceFieldRef`, source.resourceFieldRef, false);
  }
  if (source.configMapKeyRef !== undefined) {
    count++;
    validateKeySelector(errors, `${path}.configMapKeyRef`, source.configMapKeyRef);
  }
  if (source.secretKeyRef !== undefined) {
    count++;
    validateKeySelector(errors, `${path}.secretKeyRef`, source.secretKeyRef);
  }
  if (source.fileKeyRef !== undefined) count++;
  if (count === 0)
    errors.push(
      invalidValue(
        path,
        "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
      ),
    );
  else if (text(env.value) !== "")
    errors.push(invalidValue(path, "", "may not be specified when `value` is not empty"));
  else if (count > 1) errors.push(invalidValue(path, "", "may not have more than one field specified at a time"));
}

/** A container's variables. */
export function validateEnv(
  errors: FieldError[],
  path: string,
  variables: readonly Decoded<EnvVar>[] | undefined,
): void {
  variables?.forEach((env, i) => {
    const name = text(env.name);
    if (name === "") errors.push(required(`${path}[${i}].name`));
    else pushInvalid(errors, `${path}[${i}].name`, name, envVarName(name));
    validateEnvSource(errors, `${path}[${i}].valueFrom`, env);
  });
}

/** Whole ConfigMaps and Secrets as variables. Some errors name the list, not its item. */
export function validateEnvFrom(
  errors: FieldError[],
  path: string,
  sources: readonly Decoded<EnvFromSource>[] | undefined,
): void {
  sources?.forEach((source, i) => {
    const at = `${path}[${i}]`;
    const prefix = text(source.prefix);
    if (prefix !== "") pushInvalid(errors, `${at}.prefix`, prefix, envVarName(prefix));
    let count = 0;
    for (const field of ["configMapRef", "secretRef"] as const) {
      const reference = source[field];
      if (reference === undefined) continue;
      count++;
      const name = text(reference.name);
      if (name === "") errors.push(required(`${at}.${field}.name`));
      else pushInvalid(errors, `${at}.${field}.name`, name, dns1123Subdomain(name));
    }
    if (count === 0) errors.push(invalidValue(path, "", "must specify one of: `configMapRef` or `secretRef`"));
    else if (count > 1) errors.push(invalidValue(path, "", "may not have more than one field specified at a time"));
  });
}
