import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinityTerm,
  Toleration,
  TopologySpreadConstraint,
  WeightedPodAffinityTerm,
} from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { oneOf, pushInvalid } from "./field-values.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from "./names.ts";

const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

function validateNodeRequirement(
  errors: FieldError[],
  path: string,
  requirement: Decoded<NodeSelectorRequirement>,
  checkValues: boolean,
): void {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
    case "NotIn":
      if (values.length === 0)
        errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0)
        errors.push(
          forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      break;
    case "Gt":
    case "Lt":
      if (values.length !== 1)
        errors.push(required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      break;
    default:
      errors.push(invalidValue(`${path}.operator`, text(requirement.operator), "not a valid selector operator"));
  }
  const key = text(requirement.key);
  pushInvalid(errors, `${path}.key`, key, qualifiedName(key));
  if (checkValues) values.forEach((value, i) => pushInvalid(errors, `${path}.values[${i}]`, value, labelValue(value)));
}

function validateFieldRequirement(
  errors: FieldError[],
  path: string,
  requirement: Decoded<NodeSelectorRequirement>,
): void {
  const values = requirement.values ?? [];
  if (requirement.operator === "In" || requirement.operator === "NotIn") {
    if (values.length !== 1)
      errors.push(
        required(`${path}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"),
      );
  } else {
    errors.push(invalidValue(`${path}.operator`, text(requirement.operator), "not a valid selector operator"));
  }
  if (requirement.key === "metadata.name") {
    values.forEach((value, i) => pushInvalid(errors, `${path}.values[${i}]`, value, dns1123Subdomain(value)));
  } else {
    errors.push(invalidValue(`${path}.key`, text(requirement.key), "not a valid field selector key"));
  }
}

function validateNodeTerm(
  errors: FieldError[],
  path: string,
  term: Decoded<NodeSelectorTerm> | undefined,
  checkValues: boolean,
): void {
  term?.matchExpressions?.forEach((r, i) =>
    validateNodeRequirement(errors, `${path}.matchExpressions[${i}]`, r, checkValues),
  );
  term?.matchFields?.forEach((r, i) => validateFieldRequirement(errors, `${path}.matchFields[${i}]`, r));
}

/** Terms over node labels and names, at least one. */
export function validateNodeSelector(errors: FieldError[], path: string, selector: Decoded<NodeSelector>): void {
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0)
    errors.push(required(`${path}.nodeSelectorTerms`, "must have at least one node selector term"));
  terms.forEach((term, i) => validateNodeTerm(errors, `${path}.nodeSelectorTerms[${i}]`, term, true));
}

function validateTopologyKey(errors: FieldError[], path: string, key: string): void {
  pushInvalid(errors, path, key, qualifiedName(key));
}

interface LabelKeys {
  readonly labelSelector?: Decoded<LabelSelector> | undefined;
  readonly matchLabelKeys?: readonly string[] | undefined;
  readonly mismatchLabelKeys?: readonly string[] | undefined;
}

/** Of a pod, whose keys are in the selector by now: one that is there twice was there before. */
function validateMatchKeys(errors: FieldError[], path: string, owner: LabelKeys): void {
  const { labelSelector: selector, matchLabelKeys = [], mismatchLabelKeys = [] } = owner;
  for (const field of ["matchLabelKeys", "mismatchLabelKeys"] as const) {
    const keys = owner[field] ?? [];
    if (keys.length > 0 && selector === undefined)
      errors.push(forbiddenField(`${path}.${field}`, "must not be specified when labelSelector is not set"));
    else keys.forEach((key, i) => pushInvalid(errors, `${path}.${field}[${i}]`, key, qualifiedName(key)));
  }
  const selected = new Set(Object.keys(selector?.matchLabels ?? {}));
  for (const { key = "" } of selector?.matchExpressions ?? []) {
    // The path is upstream's.
    if (selected.has(key) && matchLabelKeys.includes(key))
      errors.push(
        invalidValue(
          `${path}[${matchLabelKeys.lastIndexOf(key)}]`,
          key,
          "exists in both matchLabelKeys and labelSelector",
        ),
      );
    selected.add(key);
  }
  matchLabelKeys.forEach((key, i) => {
    if (mismatchLabelKeys.includes(key))
      errors.push(
        invalidValue(`${path}.matchLabelKeys[${i}]`, key, "exists in both matchLabelKeys and mismatchLabelKeys"),
      );
  });
}

function validatePodTerm(errors: FieldError[], path: string, term: Decoded<PodAffinityTerm>): void {
  validateLabelSelector(errors, `${path}.labelSelector`, term.labelSelector);
  validateLabelSelector(errors, `${path}.namespaceSelector`, term.namespaceSelector);
  for (const name of term.namespaces ?? []) pushInvalid(errors, `${path}.namespace`, name, dns1123Label(name));
  validateMatchKeys(errors, path, term);
  const key = text(term.topologyKey);
  if (key === "") errors.push(required(`${path}.topologyKey`, "can not be empty"));
  validateTopologyKey(errors, `${path}.topologyKey`, key);
}

function validateWeight(errors: FieldError[], path: string, weight: number | undefined): void {
  if ((weight ?? 0) < 1 || (weight ?? 0) > 100)
    errors.push(invalidValue(`${path}.weight`, weight ?? 0, "must be in the range 1-100"));
}

function validatePodTerms(
  errors: FieldError[],
  path: string,
  affinity:
    | {
        readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly Decoded<PodAffinityTerm>[] | undefined;
        readonly preferredDuringSchedulingIgnoredDuringExecution?:
          | readonly Decoded<WeightedPodAffinityTerm>[]
          | undefined;
      }
    | undefined,
): void {
  affinity?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) =>
    validatePodTerm(errors, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`, term),
  );
  affinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((weighted, i) => {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`;
    validateWeight(errors, at, weighted.weight);
    validatePodTerm(errors, `${at}.podAffinityTerm`, weighted.podAffinityTerm ?? {});
  });
}

/** Node affinity, pod affinity, pod anti-affinity. */
export function validateAffinity(errors: FieldError[], path: string, affinity: Decoded<Affinity> | undefined): void {
  if (affinity === undefined) return;
  const node = affinity.nodeAffinity;
  if (node?.requiredDuringSchedulingIgnoredDuringExecution !== undefined)
    validateNodeSelector(
      errors,
      `${path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`,
      node.requiredDuringSchedulingIgnoredDuringExecution,
    );
  node?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((preferred, i) => {
    const at = `${path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${i}]`;
    validateWeight(errors, at, preferred.weight);
    validateNodeTerm(errors, `${at}.preference`, preferred.preference, false);
  });
  validatePodTerms(errors, `${path}.podAffinity`, affinity.podAffinity);
  validatePodTerms(errors, `${path}.podAntiAffinity`, affinity.podAntiAffinity);
}

/** Tolerations of a pod, or of a RuntimeClass. */
export function validateTolerations(
  errors: FieldError[],
  path: string,
  tolerations: readonly Decoded<Toleration>[] | undefined,
): void {
  tolerations?.forEach((toleration, i) => {
    const at = `${path}[${i}]`;
    const key = text(toleration.key);
    const operator = text(toleration.operator);
    const value = text(toleration.value);
    if (key !== "") pushInvalid(errors, `${at}.key`, key, qualifiedName(key));
    else if (operator !== "Exists")
      errors.push(
        invalidValue(
          `${at}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (toleration.tolerationSeconds !== undefined && toleration.effect !== "NoExecute")
      errors.push(
        invalidValue(
          `${at}.effect`,
          text(toleration.effect),
          "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
      );
    if (operator === "Equal" || operator === "") {
      const messages = labelValue(value);
      if (messages.length > 0) errors.push(invalidValue(`${at}.operator`, value, messages.join(";")));
    } else if (operator === "Exists") {
      if (value !== "")
        errors.push(invalidValue(`${at}.operator`, toleration, "value must be empty when `operator` is 'Exists'"));
    } else {
      errors.push(notSupported(`${at}.operator`, operator, ["Equal", "Exists"]));
    }
    if (text(toleration.effect) !== "") oneOf(errors, `${at}.effect`, toleration.effect, EFFECTS);
  });
}

/** `spec.topologySpreadConstraints`. */
export function validateTopologySpread(
  errors: FieldError[],
  path: string,
  constraints: readonly Decoded<TopologySpreadConstraint>[] | undefined,
): void {
  constraints?.forEach((constraint, i) => {
    const at = `${path}[${i}]`;
    if ((constraint.maxSkew ?? 0) <= 0)
      errors.push(invalidValue(`${at}.maxSkew`, constraint.maxSkew ?? 0, "must be greater than zero"));
    const key = text(constraint.topologyKey);
    const when = text(constraint.whenUnsatisfiable);
    if (key === "") errors.push(required(`${at}.topologyKey`, "can not be empty"));
    oneOf(errors, `${at}.whenUnsatisfiable`, when, ["DoNotSchedule", "ScheduleAnyway"]);
    // Of two that are the same the earlier one is reported.
    if (constraints.slice(i + 1).some((c) => text(c.topologyKey) === key && text(c.whenUnsatisfiable) === when))
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${key}, ${when}}`));
    if (constraint.minDomains !== undefined) {
      if (constraint.minDomains <= 0)
        errors.push(invalidValue(`${at}.minDomains`, constraint.minDomains, "must be greater than zero"));
      else if (when !== "DoNotSchedule")
        errors.push(
          invalidValue(
            `${at}.minDomains`,
            constraint.minDomains,
            `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${when}`,
          ),
        );
    }
    for (const field of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const) {
      const policy = constraint[field];
      if (policy !== undefined) oneOf(errors, `${at}.${field}`, policy, ["Honor", "Ignore"]);
    }
    validateMatchKeys(errors, at, constraint);
    validateLabelSelector(errors, `${at}.labelSelector`, constraint.labelSelector);
  });
}

/** A taint's effect must be one of three. */
export function validateTaintEffect(errors: FieldError[], path: string, effect: string | undefined): void {
  if (text(effect) === "") errors.push(required(path));
  else if (!EFFECTS.includes(text(effect))) errors.push(notSupported(path, effect, EFFECTS));
}
