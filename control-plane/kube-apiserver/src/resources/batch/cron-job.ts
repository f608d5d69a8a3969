import type { CronJob } from "@coracle/api/batch/v1";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { isTimeZone, scheduleProblem } from "../validation/cron-schedule.ts";
import { as, text } from "../validation/decoded.ts";
import { nonNegative, requiredOneOf } from "../validation/field-values.ts";
import { defaultJobSpec, validateJobSpec } from "../validation/job-spec.ts";
import { validateAnnotations, validateLabels } from "../validation/object-meta.ts";
import { objectIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { freshStatus } from "../validation/workload.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";

const MAX_NAME = 52;

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<CronJob>(object).spec ?? {};
  const schedule = text(spec.schedule);
  if (schedule === "") errors.push(required("spec.schedule"));
  else if (schedule.includes("TZ"))
    errors.push(
      invalidValue("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
    );
  else {
    const problem = scheduleProblem(schedule);
    if (problem !== undefined) errors.push(invalidValue("spec.schedule", schedule, problem));
  }
  nonNegative(errors, "spec.startingDeadlineSeconds", spec.startingDeadlineSeconds);
  if (spec.timeZone !== undefined) {
    if (spec.timeZone === "")
      errors.push(invalidValue("spec.timeZone", "", "timeZone must be nil or non-empty string"));
    else if (spec.timeZone.toLowerCase() === "local" || !isTimeZone(spec.timeZone))
      errors.push(invalidValue("spec.timeZone", spec.timeZone, `unknown time zone ${spec.timeZone}`));
  }
  requiredOneOf(errors, "spec.concurrencyPolicy", spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"]);
  const template = spec.jobTemplate;
  validateLabels(errors, "spec.jobTemplate.labels", template?.metadata?.labels);
  validateAnnotations(errors, "spec.jobTemplate.annotations", template?.metadata?.annotations);
  validateJobSpec(errors, "spec.jobTemplate.spec", template?.spec ?? {});
  if (template?.spec?.manualSelector === true)
    errors.push({
      type: "FieldValueNotSupported",
      field: "spec.jobTemplate.spec.manualSelector",
      message: 'Unsupported value: true: supported values: "nil", "false"',
    });
  nonNegative(errors, "spec.successfulJobsHistoryLimit", spec.successfulJobsHistoryLimit);
  nonNegative(errors, "spec.failedJobsHistoryLimit", spec.failedJobsHistoryLimit);
  return errors;
}

export const cronJob: ResourceDefinition = {
  group: "batch",
  version: "v1",
  plural: "cronjobs",
  kind: "CronJob",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefaultText(spec, "concurrencyPolicy", "Allow");
    setDefault(spec, "suspend", false);
    setDefault(spec, "successfulJobsHistoryLimit", 3);
    setDefault(spec, "failedJobsHistoryLimit", 1);
    setDefault(spec, "jobTemplate", {});
    const template = objectIn(spec, "jobTemplate");
    if (template === undefined) return;
    setDefault(template, "metadata", {});
    setDefault(template, "spec", {});
    const jobSpec = objectIn(template, "spec");
    if (jobSpec !== undefined) defaultJobSpec(jobSpec, false);
  },
  prepareForCreate: freshStatus({}),
  validate,
  validateNew({ metadata }) {
    const name = text(metadata["name"] as string | undefined);
    return name.length > MAX_NAME ? [invalidValue("metadata.name", name, "must be no more than 52 characters")] : [];
  },
  update: { prepare: keepStatus },
  subresources: { status: statusUpdate },
};
