import type { DaemonSet, DaemonSetSpec } from "@coracle/api/apps/v1";
import { equalJson, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, type Decoded } from "../validation/decoded.ts";
import {
  intOrPercentNumber,
  nonNegative,
  nonNegativeIntOrPercent,
  notOver100Percent,
} from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { defaultPodTemplate, objectIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepAllButStatus, keepStatus } from "../validation/status.ts";
import { isEmptySelector, validateLabelSelector } from "../validation/label-selector.ts";
import { validateWorkloadTemplate } from "../validation/workload.ts";

function validateStrategy(
  errors: FieldError[],
  path: string,
  strategy: Decoded<DaemonSetSpec>["updateStrategy"],
): void {
  if (strategy?.type === "OnDelete") return;
  if (strategy?.type !== "RollingUpdate") {
    errors.push(notSupported(path, strategy ?? {}, ["RollingUpdate", "OnDelete"]));
    return;
  }
  const rolling = strategy.rollingUpdate;
  if (rolling === undefined) {
    errors.push(required(`${path}.rollingUpdate`));
    return;
  }
  const at = `${path}.rollingUpdate`;
  nonNegativeIntOrPercent(errors, `${at}.maxUnavailable`, rolling.maxUnavailable);
  nonNegativeIntOrPercent(errors, `${at}.maxSurge`, rolling.maxSurge);
  notOver100Percent(errors, `${at}.maxUnavailable`, rolling.maxUnavailable);
  notOver100Percent(errors, `${at}.maxSurge`, rolling.maxSurge);
  const hasUnavailable = intOrPercentNumber(rolling.maxUnavailable) !== 0;
  const hasSurge = intOrPercentNumber(rolling.maxSurge) !== 0;
  if (hasUnavailable && hasSurge)
    errors.push(invalidValue(`${at}.maxSurge`, rolling.maxSurge, "may not be set when maxUnavailable is non-zero"));
  else if (!hasUnavailable && !hasSurge)
    errors.push(required(`${at}.maxUnavailable`, "cannot be 0 when maxSurge is 0"));
}

const TEMPLATE_GENERATION = "deprecated.daemonset.template.generation";

/** The template's own count of changes, kept in an annotation since the field went. */
function setTemplateGeneration(draft: ApiDraft, generation: number): void {
  setDefault(draft.metadata, "annotations", {});
  const annotations = objectIn(draft.metadata, "annotations");
  if (annotations !== undefined) annotations[TEMPLATE_GENERATION] = String(generation);
}
function templateGeneration(object: ApiObject): number {
  return Number(as<DaemonSet>(object).metadata?.annotations?.[TEMPLATE_GENERATION] ?? "0") || 0;
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<DaemonSet>(object).spec ?? {};
  validateLabelSelector(errors, "spec.selector", spec.selector);
  if (spec.selector !== undefined && isEmptySelector(spec.selector))
    errors.push(invalidValue("spec.selector", spec.selector, "empty selector is invalid for daemonset"));
  validateWorkloadTemplate(errors, "spec.template", spec.template, spec.selector);
  nonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
  validateStrategy(errors, "spec.updateStrategy", spec.updateStrategy);
  nonNegative(errors, "spec.revisionHistoryLimit", spec.revisionHistoryLimit);
  return errors;
}

export const daemonSet: ResourceDefinition = {
  group: "apps",
  version: "v1",
  plural: "daemonsets",
  kind: "DaemonSet",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "updateStrategy", {});
    const strategy = objectIn(spec, "updateStrategy");
    if (strategy !== undefined) {
      setDefaultText(strategy, "type", "RollingUpdate");
      if (strategy["type"] === "RollingUpdate") {
        setDefault(strategy, "rollingUpdate", {});
        const rolling = objectIn(strategy, "rollingUpdate");
        if (rolling !== undefined) {
          setDefault(rolling, "maxUnavailable", 1);
          setDefault(rolling, "maxSurge", 0);
        }
      }
    }
    setDefault(spec, "revisionHistoryLimit", 10);
    defaultPodTemplate(spec);
    // Reads as 0 when nobody said it: whoever writes the object without it owns it.
    setTemplateGeneration(draft, templateGeneration(draft as ApiObject));
  },
  prepareForCreate(draft) {
    draft["status"] = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    setTemplateGeneration(draft, 1);
  },
  validate,
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      const before = templateGeneration(old);
      const changed = !equalJson(as<DaemonSet>(draft).spec?.template, as<DaemonSet>(old).spec?.template);
      setTemplateGeneration(draft, changed ? before + 1 : before);
    },
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(
        errors,
        "spec.selector",
        as<DaemonSet>(object).spec?.selector,
        as<DaemonSet>(old).spec?.selector,
      );
      return errors;
    },
  },
  subresources: {
    status: {
      prepare(draft, old) {
        keepAllButStatus(draft, old);
        setTemplateGeneration(draft, templateGeneration(old));
      },
    },
  },
};
