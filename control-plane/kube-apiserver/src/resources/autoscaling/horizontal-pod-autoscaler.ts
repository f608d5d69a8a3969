import type { HorizontalPodAutoscaler as Hpa1 } from "@coracle/api/autoscaling/v1";
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from "@coracle/api/autoscaling/v2";
import {
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain, pathSegmentName } from "../validation/names.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { objectIn, objectsIn, setDefault } from "../validation/pod-defaults.ts";
import { quantityNanos } from "../validation/quantity.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const METRICS = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const SOURCES = ["containerResource", "external", "object", "pods", "resource"] as const;
const MAX_WINDOW = 3600;
const MAX_PERIOD = 1800;

function validateReference(
  errors: FieldError[],
  path: string,
  reference: Decoded<CrossVersionObjectReference> | undefined,
): void {
  for (const field of ["kind", "name"] as const) {
    const value = text(reference?.[field]);
    if (value === "") errors.push(required(`${path}.${field}`));
    else pushInvalid(errors, `${path}.${field}`, value, pathSegmentName(value, false));
  }
  const apiVersion = text(reference?.apiVersion);
  const parts = apiVersion.split("/");
  if (parts.length > 2)
    errors.push(invalidValue(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  else if (parts.length === 1 && apiVersion !== "v1")
    errors.push(invalidValue(`${path}.apiVersion`, apiVersion, "apiVersion must specify API group"));
  else if (parts.length === 2) pushInvalid(errors, `${path}.apiVersion`, apiVersion, dns1123Subdomain(parts[0] ?? ""));
}

function validateIdentifier(errors: FieldError[], path: string, metric: Decoded<MetricIdentifier> | undefined): void {
  const name = text(metric?.name);
  if (name === "") errors.push(required(`${path}.name`, "must specify a metric name"));
  else pushInvalid(errors, `${path}.name`, name, pathSegmentName(name, false));
  validateLabelSelector(errors, `${path}.selector`, metric?.selector);
}

function validateTarget(errors: FieldError[], path: string, target: Decoded<MetricTarget> | undefined): void {
  const type = text(target?.type);
  if (type === "") errors.push(required(`${path}.type`, "must specify a metric target type"));
  if (type !== "Utilization" && type !== "Value" && type !== "AverageValue")
    errors.push(invalidValue(`${path}.type`, type, "must be either Utilization, Value, or AverageValue"));
  if (target?.averageUtilization !== undefined && target.averageUtilization < 1)
    errors.push(invalidValue(`${path}.averageUtilization`, target.averageUtilization, "must be greater than 0"));
  for (const field of ["value", "averageValue"] as const)
    if (target?.[field] !== undefined && quantityNanos(target[field]) <= 0n)
      errors.push(invalidValue(`${path}.${field}`, target[field], "must be positive"));
}

function validateSource(
  errors: FieldError[],
  path: string,
  spec: Decoded<MetricSpec>,
  source: (typeof SOURCES)[number],
): void {
  const at = `${path}.${source}`;
  const target = spec[source]?.target;
  switch (source) {
    case "resource":
    case "containerResource": {
      const resource = spec[source];
      if (text(resource?.name) === "") errors.push(required(`${at}.name`, "must specify a resource name"));
      if (source === "containerResource" && text(spec.containerResource?.container) === "")
        errors.push(required(`${at}.container`, "must specify a container"));
      validateTarget(errors, `${at}.target`, target);
      if (target?.averageUtilization === undefined && target?.averageValue === undefined)
        errors.push(
          required(`${at}.target.averageUtilization`, "must set either a target raw value or a target utilization"),
        );
      if (target?.averageUtilization !== undefined && target.averageValue !== undefined)
        errors.push(
          forbiddenField(`${at}.target.averageValue`, "may not set both a target raw value and a target utilization"),
        );
      break;
    }
    case "pods":
      validateIdentifier(errors, `${at}.metric`, spec.pods?.metric);
      validateTarget(errors, `${at}.target`, target);
      if (target?.averageValue === undefined)
        errors.push(required(`${at}.target.averageValue`, "must specify a positive target averageValue"));
      break;
    case "object":
      validateReference(errors, `${at}.describedObject`, spec.object?.describedObject);
      validateIdentifier(errors, `${at}.metric`, spec.object?.metric);
      validateTarget(errors, `${at}.target`, target);
      if (target?.value === undefined && target?.averageValue === undefined)
        errors.push(required(`${at}.target.averageValue`, "must set either a target value or averageValue"));
      break;
    default:
      validateIdentifier(errors, `${at}.metric`, spec.external?.metric);
      validateTarget(errors, `${at}.target`, target);
      if (target?.value === undefined && target?.averageValue === undefined)
        errors.push(
          required(`${at}.target.averageValue`, "must set either a target value for metric or a per-pod target"),
        );
      if (target?.value !== undefined && target.averageValue !== undefined)
        errors.push(
          forbiddenField(`${at}.target.value`, "may not set both a target value for metric and a per-pod target"),
        );
  }
}

function validateMetric(errors: FieldError[], path: string, spec: Decoded<MetricSpec>): void {
  const type = text(spec.type);
  if (type === "") errors.push(required(`${path}.type`, "must specify a metric source type"));
  if (!METRICS.includes(type)) errors.push(notSupported(`${path}.type`, type, METRICS));
  let first: string | undefined;
  let expected = false;
  for (const source of SOURCES) {
    if (spec[source] === undefined) continue;
    if (first === undefined) {
      first = source;
      validateSource(errors, path, spec, source);
    } else errors.push(forbiddenField(`${path}.${source}`, "must populate the given metric source only"));
    if (source.toLowerCase() === type.toLowerCase()) expected = true;
  }
  if (!METRICS.includes(type)) errors.push(notSupported(`${path}.type`, type, METRICS));
  else if (!expected) {
    const field = `${type.charAt(0).toLowerCase()}${type.slice(1)}`;
    errors.push(required(`${path}.${field}`, "must populate information for the given metric source"));
  }
}

function validateRules(errors: FieldError[], path: string, rules: Decoded<HPAScalingRules> | undefined): void {
  if (rules === undefined) return;
  const window = rules.stabilizationWindowSeconds;
  if (window !== undefined && window < 0)
    errors.push(invalidValue(`${path}.stabilizationWindowSeconds`, window, "must be greater than or equal to zero"));
  if (window !== undefined && window > MAX_WINDOW)
    errors.push(
      invalidValue(`${path}.stabilizationWindowSeconds`, window, `must be less than or equal to ${MAX_WINDOW}`),
    );
  if (rules.selectPolicy !== undefined)
    oneOf(errors, `${path}.selectPolicy`, rules.selectPolicy, ["Disabled", "Max", "Min"]);
  const policies = rules.policies ?? [];
  if (policies.length === 0) errors.push(required(`${path}.policies`, "must specify at least one Policy"));
  policies.forEach((policy, i) => {
    const at = `${path}.policies[${i}]`;
    if (policy.type !== "Pods" && policy.type !== "Percent")
      errors.push(notSupported(`${at}.type`, text(policy.type), ["Percent", "Pods"]));
    if ((policy.value ?? 0) <= 0)
      errors.push(invalidValue(`${at}.value`, policy.value ?? 0, "must be greater than zero"));
    const period = policy.periodSeconds ?? 0;
    if (period <= 0) errors.push(invalidValue(`${at}.periodSeconds`, period, "must be greater than zero"));
    if (period > MAX_PERIOD)
      errors.push(invalidValue(`${at}.periodSeconds`, period, `must be less than or equal to ${MAX_PERIOD}`));
  });
}

function validateReplicas(errors: FieldError[], min: number | undefined, max: number): void {
  if (min !== undefined && min < 1)
    errors.push(invalidValue("spec.minReplicas", min, "must be greater than or equal to 1"));
  if (max < 1) errors.push(invalidValue("spec.maxReplicas", max, "must be greater than 0"));
  if (min !== undefined && max < min)
    errors.push(invalidValue("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<HorizontalPodAutoscaler>(object).spec ?? {};
  validateReplicas(errors, spec.minReplicas, spec.maxReplicas ?? 0);
  validateReference(errors, "spec.scaleTargetRef", spec.scaleTargetRef);
  spec.metrics?.forEach((metric, i) => validateMetric(errors, `spec.metrics[${i}]`, metric));
  if (spec.minReplicas === 0 && !(spec.metrics ?? []).some((m) => m.type === "Object" || m.type === "External"))
    errors.push(
      forbiddenField(
        "spec.metrics",
        "must specify at least one Object or External metric to support scaling to zero replicas",
      ),
    );
  validateRules(errors, "spec.behavior.scaleUp", spec.behavior?.scaleUp);
  validateRules(errors, "spec.behavior.scaleDown", spec.behavior?.scaleDown);
  return errors;
}

function defaultBehavior(spec: Draft): void {
  const behavior = objectIn(spec, "behavior");
  if (behavior === undefined) return;
  const fill = (name: string, policies: readonly Draft[], window: number | undefined): void => {
    setDefault(behavior, name, {});
    const rules = objectIn(behavior, name);
    if (rules === undefined) return;
    setDefault(rules, "selectPolicy", "Max");
    if (window !== undefined) setDefault(rules, "stabilizationWindowSeconds", window);
    if (rules["policies"] === undefined) rules["policies"] = policies.map((p) => ({ ...p }));
  };
  const percent = { type: "Percent", value: 100, periodSeconds: 15 };
  fill("scaleUp", [{ type: "Pods", value: 4, periodSeconds: 15 }, percent], 0);
  fill("scaleDown", [percent], undefined);
}

export const horizontalPodAutoscaler: ResourceDefinition = {
  group: "autoscaling",
  version: "v2",
  plural: "horizontalpodautoscalers",
  kind: "HorizontalPodAutoscaler",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "minReplicas", 1);
    if (objectsIn(spec, "metrics").length === 0)
      spec["metrics"] = [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
      ];
    defaultBehavior(spec);
  },
  prepareForCreate: freshStatus({ desiredReplicas: 0, currentMetrics: null }),
  validate,
  update: { prepare: keepStatus },
  subresources: { status: statusUpdate },
};

/** The old form: one CPU target, which the errors speak of as the metric it stands for. */
export const horizontalPodAutoscalerV1: ResourceDefinition = {
  group: "autoscaling",
  version: "v1",
  plural: "horizontalpodautoscalers",
  kind: "HorizontalPodAutoscaler",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "minReplicas", 1);
    // Metrics of the newer version are in annotations; where there are none at all, it is the CPU.
    const annotations = objectIn(objectIn(draft, "metadata"), "annotations");
    if (annotations?.["autoscaling.alpha.kubernetes.io/metrics"] === undefined)
      setDefault(spec, "targetCPUUtilizationPercentage", 80);
  },
  prepareForCreate: freshStatus({ currentReplicas: 0, desiredReplicas: 0 }),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<Hpa1>(object).spec ?? {};
    validateReplicas(errors, spec.minReplicas, spec.maxReplicas ?? 0);
    validateReference(errors, "spec.scaleTargetRef", spec.scaleTargetRef);
    const target = spec.targetCPUUtilizationPercentage;
    if (target !== undefined && target < 1)
      errors.push(invalidValue("spec.metrics[0].resource.target.averageUtilization", target, "must be greater than 0"));
    if (spec.minReplicas === 0)
      errors.push(
        forbiddenField(
          "spec.metrics",
          "must specify at least one Object or External metric to support scaling to zero replicas",
        ),
      );
    return errors;
  },
  update: { prepare: keepStatus },
  subresources: { status: statusUpdate },
};
