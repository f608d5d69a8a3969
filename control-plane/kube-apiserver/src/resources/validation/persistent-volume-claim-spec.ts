import type { PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate } from "@coracle/api/core/v1";
import { forbiddenField, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { pushInvalid } from "./field-values.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { dns1123Label, dns1123Subdomain } from "./names.ts";
import { validateAnnotations, validateLabels } from "./object-meta.ts";
import { quantityNanos } from "./quantity.ts";
import { validateResourceName } from "./resources.ts";

/** How a volume may be used. */
export const ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
export const VOLUME_MODES = ["Block", "Filesystem"];

/** A storage amount above zero. */
export function validatePositiveQuantity(errors: FieldError[], path: string, value: string | undefined): void {
  if (quantityNanos(value) <= 0n) errors.push(invalidValue(path, value ?? "0", "must be greater than zero"));
}

function validateDataSource(errors: FieldError[], path: string, spec: Decoded<PersistentVolumeClaimSpec>): void {
  const source = spec.dataSource;
  if (source !== undefined) {
    if (text(source.name) === "") errors.push(required(`${path}.dataSource.name`));
    if (text(source.kind) === "") errors.push(required(`${path}.dataSource.kind`));
    const group = text(source.apiGroup);
    if (group === "" && source.kind !== "PersistentVolumeClaim")
      errors.push(
        invalidValue(
          `${path}.dataSource`,
          source.kind,
          "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ),
      );
    if (group !== "") pushInvalid(errors, `${path}.dataSource.apiGroup`, group, dns1123Subdomain(group));
  }
  const reference = spec.dataSourceRef;
  if (reference !== undefined) {
    if (text(reference.name) === "") errors.push(required(`${path}.dataSourceRef.name`));
    if (text(reference.kind) === "") errors.push(required(`${path}.dataSourceRef.kind`));
    const group = text(reference.apiGroup);
    if (group === "" && reference.kind !== "PersistentVolumeClaim")
      errors.push(
        invalidValue(
          `${path}.dataSourceRef`,
          reference.kind,
          "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ),
      );
    if (group !== "") pushInvalid(errors, `${path}.dataSourceRef.apiGroup`, group, dns1123Subdomain(group));
    if (reference.namespace !== undefined && reference.namespace !== "") {
      pushInvalid(errors, `${path}.dataSourceRef.namespace`, reference.namespace, dns1123Label(reference.namespace));
      if (source !== undefined)
        errors.push(invalidValue(path, "dataSource", "may not be specified when dataSourceRef.namespace is specified"));
    } else if (
      source !== undefined &&
      (source.name !== reference.name || source.kind !== reference.kind || text(source.apiGroup) !== group)
    ) {
      errors.push(invalidValue(path, "dataSourceRef", "must match dataSource"));
    }
  }
}

/** A claim's spec, also inside templates and ephemeral volumes. */
export function validateClaimSpec(errors: FieldError[], path: string, spec: Decoded<PersistentVolumeClaimSpec>): void {
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) errors.push(required(`${path}.accessModes`, "at least 1 access mode is required"));
  validateLabelSelector(errors, `${path}.selector`, spec.selector);
  for (const mode of modes) {
    if (!ACCESS_MODES.includes(mode)) errors.push(notSupported(`${path}.accessModes`, mode, ACCESS_MODES));
  }
  if (modes.includes("ReadWriteOncePod") && modes.length > 1)
    errors.push(forbiddenField(`${path}.accessModes`, "may not use ReadWriteOncePod with other access modes"));
  const requests = spec.resources?.requests ?? {};
  if (!Object.hasOwn(requests, "storage")) {
    errors.push(required(`${path}.resources[storage]`));
  } else {
    validateResourceName(errors, `${path}.resources[storage]`, "storage");
    validatePositiveQuantity(errors, `${path}.resources[storage]`, requests["storage"]);
  }
  if (spec.storageClassName !== undefined && spec.storageClassName !== "")
    pushInvalid(errors, `${path}.storageClassName`, spec.storageClassName, dns1123Subdomain(spec.storageClassName));
  if (spec.volumeMode !== undefined && !VOLUME_MODES.includes(spec.volumeMode))
    errors.push(notSupported(`${path}.volumeMode`, spec.volumeMode, VOLUME_MODES));
  validateDataSource(errors, path, spec);
  if (spec.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName !== "")
    pushInvalid(
      errors,
      `${path}.volumeAttributesClassName`,
      spec.volumeAttributesClassName,
      dns1123Subdomain(spec.volumeAttributesClassName),
    );
}

/** A claim template of an ephemeral volume: labels, annotations and the spec. */
export function validateClaimTemplate(
  errors: FieldError[],
  path: string,
  template: Decoded<PersistentVolumeClaimTemplate>,
): void {
  validateAnnotations(errors, `${path}.metadata.annotations`, template.metadata?.annotations);
  validateLabels(errors, `${path}.metadata.labels`, template.metadata?.labels);
  validateClaimSpec(errors, `${path}.spec`, template.spec ?? {});
}
