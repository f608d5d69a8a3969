import type { JobSpec, PodFailurePolicyRule } from "@coracle/api/batch/v1";
import {
  duplicate,
  invalidValue,
  notSupported,
  required,
  tooMany,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { nonNegative, pushInvalid, requiredOneOf } from "./field-values.ts";
import { selectorMatches, validateLabelSelector } from "./label-selector.ts";
import { domainPrefixedPath, qualifiedName } from "./names.ts";
import { defaultPodTemplate, objectIn, objectsIn, setDefault, setDefaultText } from "./pod-defaults.ts";
import { validatePodTemplateSpec } from "./pod-spec.ts";

const MAX_PARALLEL_INDEXED = 100_000;
const MAX_FAILED_INDEXES = 100_000;
const MANY_COMPLETIONS = 100_000;
const MAX_OF_MANY = 10_000;

/** Defaults of a job's spec, in a job and in a CronJob's template. `isJob` sets what only stored jobs have. */
export function defaultJobSpec(spec: Draft, isJob: boolean): void {
  if (isJob) {
    const bothMissing = spec["completions"] === undefined && spec["parallelism"] === undefined;
    if (bothMissing) spec["completions"] = 1;
    setDefault(spec, "parallelism", 1);
    setDefault(spec, "backoffLimit", spec["backoffLimitPerIndex"] === undefined ? 6 : 2_147_483_647);
    setDefault(spec, "completionMode", "NonIndexed");
    setDefault(spec, "suspend", false);
    setDefault(spec, "manualSelector", false);
    setDefault(spec, "podReplacementPolicy", spec["podFailurePolicy"] === undefined ? "TerminatingOrFailed" : "Failed");
  }
  for (const rule of objectsIn(objectIn(spec, "podFailurePolicy"), "rules"))
    for (const condition of objectsIn(rule, "onPodConditions")) setDefaultText(condition, "status", "True");
  defaultPodTemplate(spec);
}

function validateFailureRule(
  errors: FieldError[],
  path: string,
  rule: Decoded<PodFailurePolicyRule>,
  spec: Decoded<JobSpec>,
): void {
  const actions = ["Count", "FailIndex", "FailJob", "Ignore"];
  requiredOneOf(
    errors,
    `${path}.action`,
    rule.action,
    actions,
    `valid values: [${actions.map((action) => `"${action}"`).join(" ")}]`,
  );
  if (rule.action === "FailIndex" && spec.backoffLimitPerIndex === undefined)
    errors.push(invalidValue(`${path}.action`, rule.action, "requires the backoffLimitPerIndex to be set"));
  const codes = rule.onExitCodes;
  if (codes !== undefined) {
    const at = `${path}.onExitCodes`;
    requiredOneOf(errors, `${at}.operator`, codes.operator, ["In", "NotIn"], `valid values: ["In" "NotIn"]`);
    if (codes.containerName !== undefined) {
      const names = [...(spec.template?.spec?.containers ?? []), ...(spec.template?.spec?.initContainers ?? [])];
      if (!names.some((c) => c.name === codes.containerName))
        errors.push(
          invalidValue(
            `${at}.containerName`,
            codes.containerName,
            "must be one of the container or initContainer names in the pod template",
          ),
        );
    }
    const values = codes.values ?? [];
    if (values.length === 0) errors.push(invalidValue(`${at}.values`, codes.values, "at least one value is required"));
    else if (values.length > 255) errors.push(tooMany(`${at}.values`, values.length, 255));
    const seen = new Set<number>();
    let sorted = true;
    values.forEach((value, i) => {
      if (value === 0 && codes.operator === "In")
        errors.push(invalidValue(`${at}.values[${i}]`, value, "must not be 0 for the In operator"));
      if (seen.has(value)) errors.push(duplicate(`${at}.values[${i}]`, value));
      else seen.add(value);
      if (i > 0 && (values[i - 1] ?? 0) > value) sorted = false;
    });
    if (!sorted) errors.push(invalidValue(`${at}.values`, values, "must be ordered"));
  }
  const conditions = rule.onPodConditions ?? [];
  if (conditions.length > 20) errors.push(tooMany(`${path}.onPodConditions`, conditions.length, 20));
  conditions.forEach((condition, i) => {
    const at = `${path}.onPodConditions[${i}]`;
    pushInvalid(errors, `${at}.type`, text(condition.type), qualifiedName(text(condition.type)));
    requiredOneOf(errors, `${at}.status`, condition.status, ["False", "True", "Unknown"]);
  });
  if (codes !== undefined && conditions.length > 0)
    errors.push({
      type: "FieldValueInvalid",
      field: path,
      message: "Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
    });
  if (codes === undefined && conditions.length === 0)
    errors.push({
      type: "FieldValueInvalid",
      field: path,
      message: "Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
    });
}

function validatePolicies(errors: FieldError[], path: string, spec: Decoded<JobSpec>): void {
  const failure = spec.podFailurePolicy;
  if (failure !== undefined) {
    const at = `${path}.podFailurePolicy`;
    if (spec.template?.spec?.restartPolicy === "OnFailure")
      errors.push(
        invalidValue(
          `${path}.template.spec.restartPolicy`,
          text(spec.template?.spec?.restartPolicy),
          'only "Never" is supported when podFailurePolicy is specified',
        ),
      );
    if ((failure.rules?.length ?? 0) > 20) errors.push(tooMany(`${at}.rules`, failure.rules?.length ?? 0, 20));
    failure.rules?.forEach((rule, i) => validateFailureRule(errors, `${at}.rules[${i}]`, rule, spec));
  }
  const success = spec.successPolicy;
  if (success === undefined) return;
  const at = `${path}.successPolicy`;
  if (spec.completionMode !== "Indexed") errors.push(invalidValue(at, success, "requires indexed completion mode"));
  else {
    const rules = success.rules ?? [];
    if (rules.length === 0)
      errors.push(required(`${at}.rules`, "at least one rules must be specified when the successPolicy is specified"));
    if (rules.length > 20) errors.push(tooMany(`${at}.rules`, rules.length, 20));
    rules.forEach((rule, i) => {
      if (rule.succeededCount === undefined && rule.succeededIndexes === undefined) {
        errors.push(
          required(`${at}.rules[${i}]`, "at least one of succeededCount or succeededIndexes must be specified"),
        );
      }
      if (rule.succeededCount === undefined) return;
      nonNegative(errors, `${at}.rules[${i}].succeededCount`, rule.succeededCount);
      if (spec.completions !== undefined && rule.succeededCount > spec.completions)
        errors.push(
          invalidValue(
            `${at}.rules[${i}].succeededCount`,
            rule.succeededCount,
            `must be less than or equal to ${spec.completions} (the number of specified completions)`,
          ),
        );
    });
  }
}

function validateIndexed(errors: FieldError[], path: string, spec: Decoded<JobSpec>): void {
  if (spec.completionMode === undefined) return;
  if (spec.completionMode !== "NonIndexed" && spec.completionMode !== "Indexed")
    errors.push(notSupported(`${path}.completionMode`, spec.completionMode, ["NonIndexed", "Indexed"]));
  if (spec.completionMode !== "Indexed") return;
  if (spec.completions === undefined) errors.push(required(`${path}.completions`, "when completion mode is Indexed"));
  if ((spec.parallelism ?? 0) > MAX_PARALLEL_INDEXED)
    errors.push(
      invalidValue(
        `${path}.parallelism`,
        spec.parallelism,
        `must be less than or equal to ${MAX_PARALLEL_INDEXED} when completion mode is Indexed`,
      ),
    );
  validateFailedIndexes(errors, path, spec);
}

/** How many indexes may fail: fewer when there are many, so that the status can name them. */
function validateFailedIndexes(errors: FieldError[], path: string, spec: Decoded<JobSpec>): void {
  const { completions, maxFailedIndexes: most, parallelism } = spec;
  const atMost = (field: string, value: number | undefined, limit: number, why: string): void => {
    if (value !== undefined && value > limit)
      errors.push(invalidValue(`${path}.${field}`, value, `must be less than or equal to ${why}`));
  };
  if (completions !== undefined) atMost("maxFailedIndexes", most, completions, "completions");
  atMost("maxFailedIndexes", most, MAX_FAILED_INDEXES, String(MAX_FAILED_INDEXES));
  if ((completions ?? 0) <= MANY_COMPLETIONS || spec.backoffLimitPerIndex === undefined) return;
  if (most === undefined)
    errors.push(
      required(`${path}.maxFailedIndexes`, `must be specified when completions is above ${MANY_COMPLETIONS}`),
    );
  const why = `${MAX_OF_MANY} when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
  atMost("parallelism", parallelism, MAX_OF_MANY, why);
  atMost("maxFailedIndexes", most, MAX_OF_MANY, why);
}

/** What a job and a CronJob's template share. */
export function validateJobSpec(errors: FieldError[], path: string, spec: Decoded<JobSpec>): void {
  for (const field of [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
  ] as const)
    nonNegative(errors, `${path}.${field}`, spec[field]);
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    errors.push(required(`${path}.backoffLimitPerIndex`, "when maxFailedIndexes is specified"));
  if (spec.managedBy !== undefined) {
    pushInvalid(errors, `${path}.managedBy`, spec.managedBy, domainPrefixedPath(spec.managedBy));
    if (spec.managedBy.length > 63)
      errors.push({
        type: "FieldValueTooLong",
        field: `${path}.managedBy`,
        message: "Too long: may not be more than 63 bytes",
      });
  }
  validateIndexed(errors, path, spec);
  if (spec.backoffLimitPerIndex !== undefined && spec.completionMode !== "Indexed")
    errors.push(
      invalidValue(`${path}.backoffLimitPerIndex`, spec.backoffLimitPerIndex, "requires indexed completion mode"),
    );
  if (spec.maxFailedIndexes !== undefined && spec.completionMode !== "Indexed")
    errors.push(invalidValue(`${path}.maxFailedIndexes`, spec.maxFailedIndexes, "requires indexed completion mode"));
  validatePolicies(errors, path, spec);
  validatePodTemplateSpec(errors, `${path}.template`, spec.template);
  const restart = text(spec.template?.spec?.restartPolicy);
  if (restart === "Always" || restart === "")
    errors.push(required(`${path}.template.spec.restartPolicy`, 'valid values: "OnFailure", "Never"'));
  else if (restart !== "OnFailure" && restart !== "Never")
    errors.push(notSupported(`${path}.template.spec.restartPolicy`, restart, ["OnFailure", "Never"]));
  if (spec.podReplacementPolicy !== undefined) {
    const supported = ["Failed", "TerminatingOrFailed"];
    if (!supported.includes(spec.podReplacementPolicy))
      errors.push(notSupported(`${path}.podReplacementPolicy`, spec.podReplacementPolicy, supported));
    else if (spec.podFailurePolicy !== undefined && spec.podReplacementPolicy !== "Failed")
      errors.push(notSupported(`${path}.podReplacementPolicy`, spec.podReplacementPolicy, ["Failed"]));
  }
}

/** A stored job's selector: given, and matching its template. */
export function validateJobSelector(errors: FieldError[], path: string, spec: Decoded<JobSpec>): void {
  if (spec.selector === undefined) errors.push(required(`${path}.selector`));
  else validateLabelSelector(errors, `${path}.selector`, spec.selector);
  if (!selectorMatches(spec.selector, spec.template?.metadata?.labels))
    errors.push(
      invalidValue(
        `${path}.template.metadata.labels`,
        spec.template?.metadata?.labels,
        "`selector` does not match template `labels`",
      ),
    );
}
