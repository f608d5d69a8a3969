import { X509Certificate } from "node:crypto";
import type {
  CustomResourceConversion,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
} from "@coracle/api/apiextensions/v1";
import {
  equalJson,
  forbiddenField,
  IMMUTABLE_MESSAGE,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { isKnownFormat, someSchema, type RuleCheckPort } from "@coracle/apimachinery/structural";
import { text, type Decoded } from "../validation/decoded.ts";
import { dns1035Label, dns1123Subdomain } from "../validation/names.ts";
import { validateClientConfig } from "../validation/webhook.ts";
import { NEW_DEFINITION, rulesForUpdate, type DefinitionRules } from "./definition-laxness.ts";
import {
  validateColumns,
  validateDeprecation,
  validateSchema,
  validateSelectableFields,
  validateSubresources,
} from "./validate-version.ts";

type Definition = Decoded<CustomResourceDefinition>;
type Spec = Decoded<CustomResourceDefinitionSpec>;
type Version = Decoded<CustomResourceDefinitionVersion>;

/** What is wrong with a new definition, beside its metadata. */
export function validateNewDefinition(definition: Definition, rules: RuleCheckPort): FieldError[] {
  const name = text(definition.metadata?.name);
  const expected = `${text(definition.spec?.names?.plural)}.${text(definition.spec?.group)}`;
  return [
    ...(name === "" || name === expected
      ? []
      : [invalidValue("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]),
    ...validateDefinition(definition, undefined, NEW_DEFINITION, rules),
  ];
}

/** What is wrong with an update; what was wrong before may stay. */
export function validateDefinitionUpdate(definition: Definition, old: Definition, rules: RuleCheckPort): FieldError[] {
  return validateDefinition(definition, old, rulesForUpdate(definition, old, isCaBundle), rules);
}

function validateDefinition(
  definition: Definition,
  old: Definition | undefined,
  held: DefinitionRules,
  rules: RuleCheckPort,
): FieldError[] {
  const errors: FieldError[] = [];
  const spec = definition.spec ?? {};
  validateSpec(errors, spec, held, rules);
  if (old !== undefined) validateImmutable(errors, spec, old.spec ?? {}, held);
  validateAcceptedNames(errors, definition);
  validateStoredVersions(errors, definition);
  validateApproval(errors, definition, old);
  if (spec.preserveUnknownFields === true && old?.spec?.preserveUnknownFields !== true)
    errors.push(
      invalidValue(
        "spec.preserveUnknownFields",
        true,
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
      ),
    );
  return errors;
}

/** What the controller says of names has the rules of the names that users give. */
export function acceptedNamesErrors(definition: Definition): FieldError[] {
  const errors: FieldError[] = [];
  validateAcceptedNames(errors, definition);
  return errors;
}

/** `unrecognized format "x"`, for each format of a schema that asks nothing. */
export function unknownFormats(definition: Definition): string[] {
  const formats: string[] = [];
  for (const version of definition.spec?.versions ?? [])
    someSchema(version.schema?.openAPIV3Schema, ({ format, type }) => {
      if (typeof format === "string" && format !== "" && type === "string" && !isKnownFormat(format))
        formats.push(`unrecognized format ${JSON.stringify(format)}`);
      return false;
    });
  return formats;
}

function validateAcceptedNames(errors: FieldError[], definition: Definition): void {
  validateNames(errors, "status.acceptedNames", definition.status?.acceptedNames ?? {});
}

/**
 * What all versions have in common was once said for the whole definition, and errors are still found there:
 * `spec.validation`, not `spec.versions[0].schema`.
 */
interface Shared {
  readonly schema: boolean;
  readonly columns: boolean;
  readonly subresources: boolean;
  readonly selectableFields: boolean;
}

function sharedBy(versions: readonly Version[]): Shared {
  const same = (pick: (version: Version) => unknown): boolean =>
    versions.every((version) => equalJson(pick(version), pick(versions[0] ?? {})));
  return {
    schema: same((version) => version.schema),
    columns: same((version) => version.additionalPrinterColumns),
    subresources: same((version) => version.subresources),
    selectableFields: same((version) => version.selectableFields),
  };
}

function validateSpec(errors: FieldError[], spec: Spec, held: DefinitionRules, rules: RuleCheckPort): void {
  const versions = spec.versions ?? [];
  const shared = sharedBy(versions);
  const group = text(spec.group);
  if (group === "") errors.push(required("spec.group"));
  else if (dns1123Subdomain(group).length > 0)
    errors.push(invalidValue("spec.group", group, dns1123Subdomain(group).join(",")));
  else if (!group.includes("."))
    errors.push(invalidValue("spec.group", group, "should be a domain with at least one dot"));
  const scope = text(spec.scope);
  if (scope === "") errors.push(required("spec.scope"));
  else if (scope !== "Cluster" && scope !== "Namespaced")
    errors.push(notSupported("spec.scope", scope, ["Cluster", "Namespaced"]));
  validateSchemaPresence(errors, spec, versions, held);
  versions.forEach((version, i) => validateVersion(errors, `spec.versions[${i}]`, version, shared, held, rules));
  validateVersionSet(errors, versions);
  for (const field of ["plural", "singular", "kind", "listKind"] as const)
    if (text(spec.names?.[field]) === "") errors.push(required(`spec.names.${field}`));
  validateNames(errors, "spec.names", spec.names ?? {});
  validateShared(errors, versions, shared, held, rules);
  validateConversion(errors, spec, held);
}

function validateSchemaPresence(
  errors: FieldError[],
  spec: Spec,
  versions: readonly Version[],
  held: DefinitionRules,
): void {
  if (!held.requiresSchema && spec.preserveUnknownFields === true) return;
  versions.forEach((version, i) => {
    if (version.schema?.openAPIV3Schema !== undefined) return;
    if (!held.requiresSchema && version.served !== true) return;
    const detail = held.requiresSchema ? "" : "because otherwise all fields are pruned";
    errors.push(required(`spec.versions[${i}].schema.openAPIV3Schema`, detail));
  });
}

function validateVersion(
  errors: FieldError[],
  path: string,
  version: Version,
  shared: Shared,
  held: DefinitionRules,
  rules: RuleCheckPort,
): void {
  const name = text(version.name);
  const messages = dns1035Label(name);
  if (messages.length > 0) errors.push(invalidValue(`${path}.name`, name, messages.join(",")));
  validateDeprecation(errors, path, version);
  if (!shared.schema)
    validateSchema(errors, `${path}.schema`, version.schema, {
      ...held.schema,
      hasStatus: version.subresources?.status !== undefined,
      ignoresRuleCost: held.unchangedVersions.has(name),
      rules,
    });
  if (!shared.subresources) validateSubresources(errors, `${path}.subresources`, version.subresources);
  if (!shared.columns) validateColumns(errors, `${path}.additionalPrinterColumns`, version.additionalPrinterColumns);
  if (!shared.selectableFields)
    validateSelectableFields(errors, `${path}.selectableFields`, version, held.manySelectableFields.has(name));
}

function validateShared(
  errors: FieldError[],
  versions: readonly Version[],
  shared: Shared,
  held: DefinitionRules,
  rules: RuleCheckPort,
): void {
  const [first] = versions;
  if (first === undefined) return;
  if (shared.schema)
    validateSchema(errors, "spec.validation", first.schema, {
      ...held.schema,
      hasStatus: versions.some((version) => version.subresources?.status !== undefined),
      ignoresRuleCost: held.unchangedVersions.has(text(first.name)),
      rules,
    });
  if (shared.subresources) validateSubresources(errors, "spec.subresources", first.subresources);
  if (shared.columns) validateColumns(errors, "spec.additionalPrinterColumns", first.additionalPrinterColumns);
  if (shared.selectableFields)
    validateSelectableFields(errors, "spec.selectableFields", first, held.manySelectableFields.has(""));
}

function validateVersionSet(errors: FieldError[], versions: readonly Version[]): void {
  const names = new Set(versions.map((version) => version.name));
  if (names.size < versions.length)
    errors.push(invalidValue("spec.versions", versions, "must contain unique version names"));
  if (versions.filter((version) => version.storage === true).length !== 1)
    errors.push(invalidValue("spec.versions", versions, "must have exactly one version marked as storage version"));
  const first = text(versions[0]?.name);
  if (first !== "" && dns1035Label(first).length > 0)
    errors.push(invalidValue("spec.version", first, dns1035Label(first).join(",")));
}

function validateNames(errors: FieldError[], path: string, names: Decoded<CustomResourceDefinitionNames>): void {
  for (const field of ["plural", "singular"] as const) {
    const value = text(names[field]);
    const messages = value === "" ? [] : dns1035Label(value);
    if (messages.length > 0) errors.push(invalidValue(`${path}.${field}`, value, messages.join(",")));
  }
  for (const field of ["kind", "listKind"] as const) {
    const value = text(names[field]);
    const messages = value === "" ? [] : dns1035Label(value.toLowerCase());
    if (messages.length > 0)
      errors.push(
        invalidValue(
          `${path}.${field}`,
          value,
          `may have mixed case, but should otherwise match: ${messages.join(",")}`,
        ),
      );
  }
  const labels = (list: "shortNames" | "categories"): void =>
    names[list]?.forEach((name, i) => {
      const messages = dns1035Label(name);
      if (messages.length > 0) errors.push(invalidValue(`${path}.${list}[${i}]`, name, messages.join(",")));
    });
  labels("shortNames");
  if (text(names.kind) !== "" && names.kind === names.listKind)
    errors.push(invalidValue(`${path}.listKind`, names.listKind, "kind and listKind may not be the same"));
  labels("categories");
}

function validateConversion(errors: FieldError[], spec: Spec, held: DefinitionRules): void {
  const conversion = spec.conversion;
  if (conversion === undefined) return;
  const path = "spec.conversion";
  const strategy = text(conversion.strategy);
  if (strategy !== "None" && spec.preserveUnknownFields === true)
    errors.push(invalidValue(`${path}.strategy`, strategy, "must be None if spec.preserveUnknownFields is true"));
  if (strategy === "") errors.push(required(`${path}.strategy`));
  else if (strategy !== "None" && strategy !== "Webhook")
    errors.push(notSupported(`${path}.strategy`, strategy, ["None", "Webhook"]));
  if (strategy === "Webhook") {
    validateConversionWebhook(errors, path, conversion, held);
    return;
  }
  const why = "should not be set when strategy is not set to Webhook";
  if (conversion.webhook?.clientConfig !== undefined) errors.push(forbiddenField(`${path}.webhookClientConfig`, why));
  if ((conversion.webhook?.conversionReviewVersions ?? []).length > 0)
    errors.push(forbiddenField(`${path}.conversionReviewVersions`, why));
}

function validateConversionWebhook(
  errors: FieldError[],
  path: string,
  conversion: Decoded<CustomResourceConversion>,
  held: DefinitionRules,
): void {
  const config = conversion.webhook?.clientConfig;
  const at = `${path}.webhookClientConfig`;
  if (config === undefined) errors.push(required(at, "required when strategy is set to Webhook"));
  else {
    validateClientConfig(errors, at, config);
    const bundle = text(config.caBundle);
    if (bundle !== "" && !held.allowsBadCaBundle && !isCaBundle(bundle))
      errors.push(
        invalidValue(`${at}.caBundle`, bundle, "unable to load root certificates: unable to parse bytes as PEM block"),
      );
  }
  const versions = conversion.webhook?.conversionReviewVersions ?? [];
  const versionsAt = `${path}.conversionReviewVersions`;
  if (versions.length === 0) {
    errors.push(required(versionsAt));
    return;
  }
  versions.forEach((version, i) => {
    if (versions.indexOf(version) < i) errors.push(invalidValue(`${versionsAt}[${i}]`, version, "duplicate version"));
    else
      for (const message of dns1035Label(version)) errors.push(invalidValue(`${versionsAt}[${i}]`, version, message));
  });
  if (held.requiresKnownReviewVersion && !versions.includes("v1") && !versions.includes("v1beta1"))
    errors.push(invalidValue(versionsAt, versions, "must include at least one of v1, v1beta1"));
}

/** Base64 of PEM with certificates and nothing else. */
function isCaBundle(bundle: string): boolean {
  const pem = Buffer.from(bundle, "base64").toString("latin1");
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.length > 0 && blocks.every(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    // Whatever the reason is, it is no certificate.
    return false;
  }
}

function validateImmutable(errors: FieldError[], spec: Spec, old: Spec, held: DefinitionRules): void {
  const same = (path: string, value: unknown, before: unknown): void => {
    if (value !== before) errors.push(invalidValue(path, value ?? "", IMMUTABLE_MESSAGE));
  };
  if (held.hasImmutableNames) {
    same("spec.scope", spec.scope, old.scope);
    same("spec.names.kind", spec.names?.kind, old.names?.kind);
  }
  same("spec.group", spec.group, old.group);
  same("spec.names.plural", spec.names?.plural, old.names?.plural);
}

function validateStoredVersions(errors: FieldError[], { spec, status }: Definition): void {
  const path = "status.storedVersions";
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) {
    errors.push(invalidValue(path, null, "must have at least one stored version"));
    return;
  }
  const versions = spec?.versions ?? [];
  // Each stored version is good for one of the versions, if there are several of the name.
  const left = new Set(stored);
  for (const version of versions) {
    const name = text(version.name);
    const isStored = left.delete(name);
    if (version.storage === true && !isStored)
      errors.push(invalidValue(path, stored, `must have the storage version ${name}`));
  }
  stored.forEach((name, i) => {
    if (!left.has(name)) return;
    errors.push(
      invalidValue(
        `${path}[${i}]`,
        name,
        `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
      ),
    );
  });
}

const APPROVAL = "api-approved.kubernetes.io";
const PULL = "see https://github.com/kubernetes/enhancements/pull/1111";

type Approval = "missing" | "bypassed" | "approved" | "invalid";

function approvalOf(annotation: string): Approval {
  if (annotation === "") return "missing";
  if (annotation.startsWith("unapproved")) return "bypassed";
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#\s]+/.test(annotation) ? "approved" : "invalid";
}

/** Groups of the project itself take definitions that its reviewers have seen. */
function validateApproval(errors: FieldError[], definition: Definition, old: Definition | undefined): void {
  const group = text(definition.spec?.group);
  if (!/(?:^|\.)(?:k8s|kubernetes)\.io$/.test(group)) return;
  const annotation = text(definition.metadata?.annotations?.[APPROVAL]);
  const approval = approvalOf(annotation);
  if (old !== undefined && approvalOf(text(old.metadata?.annotations?.[APPROVAL])) === approval) return;
  const path = `metadata.annotations[${APPROVAL}]`;
  const must = `protected groups must have approval annotation "${APPROVAL}"`;
  if (approval === "missing") errors.push(required(path, `${must}, ${PULL}`));
  if (approval === "invalid")
    errors.push(
      invalidValue(path, annotation, `${must} with either a URL or a reason starting with "unapproved", ${PULL}`),
    );
}
