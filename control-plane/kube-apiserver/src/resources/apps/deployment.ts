import type { Deployment, DeploymentSpec } from "@coracle/api/apps/v1";
import {
  equalJson,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, type Decoded } from "../validation/decoded.ts";
import {
  intOrPercentNumber,
  nonNegative,
  nonNegativeIntOrPercent,
  notOver100Percent,
} from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { defaultPodTemplate, objectIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepAllButStatus, keepMetadata, keepStatus } from "../validation/status.ts";
import { freshStatus, validateWorkloadSelector, validateWorkloadTemplate } from "../validation/workload.ts";

function validateStrategy(errors: FieldError[], path: string, strategy: Decoded<DeploymentSpec>["strategy"]): void {
  const rolling = strategy?.rollingUpdate;
  switch (strategy?.type) {
    case "Recreate":
      if (rolling !== undefined)
        errors.push(forbiddenField(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"));
      break;
    case "RollingUpdate":
      if (rolling === undefined) {
        errors.push(required(`${path}.rollingUpdate`, "this should be defaulted and never be nil"));
        break;
      }
      nonNegativeIntOrPercent(errors, `${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable);
      nonNegativeIntOrPercent(errors, `${path}.rollingUpdate.maxSurge`, rolling.maxSurge);
      if (intOrPercentNumber(rolling.maxUnavailable) === 0 && intOrPercentNumber(rolling.maxSurge) === 0)
        errors.push(
          invalidValue(
            `${path}.rollingUpdate.maxUnavailable`,
            rolling.maxUnavailable,
            "may not be 0 when `maxSurge` is 0",
          ),
        );
      notOver100Percent(errors, `${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable);
      break;
    default:
      errors.push(notSupported(path, strategy ?? {}, ["Recreate", "RollingUpdate"]));
  }
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<Deployment>(object).spec ?? {};
  nonNegative(errors, "spec.replicas", spec.replicas);
  if (validateWorkloadSelector(errors, "spec.selector", spec.selector, "empty selector is invalid for deployment"))
    validateWorkloadTemplate(errors, "spec.template", spec.template, spec.selector);
  validateStrategy(errors, "spec.strategy", spec.strategy);
  nonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
  nonNegative(errors, "spec.revisionHistoryLimit", spec.revisionHistoryLimit);
  if (spec.progressDeadlineSeconds !== undefined) {
    nonNegative(errors, "spec.progressDeadlineSeconds", spec.progressDeadlineSeconds);
    if (spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0))
      errors.push(
        invalidValue(
          "spec.progressDeadlineSeconds",
          spec.progressDeadlineSeconds,
          "must be greater than minReadySeconds",
        ),
      );
  }
  return errors;
}

export const deployment: ResourceDefinition = {
  group: "apps",
  version: "v1",
  plural: "deployments",
  kind: "Deployment",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "replicas", 1);
    setDefault(spec, "strategy", {});
    const strategy = objectIn(spec, "strategy");
    if (strategy !== undefined) {
      setDefaultText(strategy, "type", "RollingUpdate");
      if (strategy["type"] === "RollingUpdate") {
        setDefault(strategy, "rollingUpdate", {});
        const rolling = objectIn(strategy, "rollingUpdate");
        if (rolling !== undefined) {
          setDefault(rolling, "maxUnavailable", "25%");
          setDefault(rolling, "maxSurge", "25%");
        }
      }
    }
    setDefault(spec, "revisionHistoryLimit", 10);
    setDefault(spec, "progressDeadlineSeconds", 600);
    defaultPodTemplate(spec);
  },
  prepareForCreate: freshStatus({}),
  validate,
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(
        errors,
        "spec.selector",
        as<Deployment>(object).spec?.selector,
        as<Deployment>(old).spec?.selector,
      );
      return errors;
    },
  },
  subresources: {
    status: {
      prepare(draft, old) {
        keepAllButStatus(draft, old);
        keepMetadata(draft, old, ["labels"]);
      },
    },
  },
  countsMetadata: ({ metadata }, old) => !equalJson(metadata["annotations"] ?? {}, old.metadata["annotations"] ?? {}),
};
