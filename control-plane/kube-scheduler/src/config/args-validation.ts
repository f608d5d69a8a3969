import type { NodeSelectorRequirement, NodeSelectorTerm, TopologySpreadConstraint } from "@coracle/api/core/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  isLabelValue,
  isQualifiedName,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import type { PluginArgs, ShapePoint } from "./configuration.ts";
import { durationMs } from "./strict-decoding.ts";

/** Scores of a function's points: 0 to 10. */
const MAX_POINT_SCORE = 10;
const STRATEGIES: readonly string[] = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"];

/** Why arguments of plugins are refused, in upstream's words; none for good ones. */
export function validateArgs(
  path: string,
  args: PluginArgs,
  features: DeviceFeatures = DEFAULT_DEVICE_FEATURES,
): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (field: string, value: unknown, detail: string): void =>
    void errors.push(invalidValue(`${path}.${field}`, value, detail));

  if (args.DefaultPreemption !== undefined) {
    const { minCandidateNodesPercentage: percent = 10, minCandidateNodesAbsolute: count = 100 } =
      args.DefaultPreemption;
    if (percent < 0 || percent > 100) refuse("minCandidateNodesPercentage", percent, "not in valid range [0, 100]");
    if (count < 0) refuse("minCandidateNodesAbsolute", count, "not in valid range [0, inf)");
    if (percent === 0 && count === 0) {
      refuse("minCandidateNodesPercentage", 0, "cannot be zero at the same time as minCandidateNodesAbsolute");
      refuse("minCandidateNodesAbsolute", 0, "cannot be zero at the same time as minCandidateNodesPercentage");
    }
  }
  const weight = args.InterPodAffinity?.hardPodAffinityWeight ?? 0;
  if (weight < 0 || weight > 100) refuse("hardPodAffinityWeight", weight, "not in valid range [0, 100]");
  errors.push(...validateNodeAffinity(`${path}.addedAffinity`, args.NodeAffinity?.addedAffinity));

  const seen = new Set<string>();
  for (const [i, resource] of (args.NodeResourcesBalancedAllocation?.resources ?? []).entries()) {
    if (seen.has(resource.name)) errors.push(duplicate(`${path}.resources[${i}].name`, resource.name));
    seen.add(resource.name);
    if (resource.weight !== 1) refuse(`resources[${i}].weight`, resource.weight, "must be 1");
  }
  if (args.PodTopologySpread !== undefined) errors.push(...validateSpread(path, args.PodTopologySpread));

  const { bindTimeoutSeconds = 0, shape } = args.VolumeBinding ?? {};
  if (bindTimeoutSeconds < 0)
    refuse("bindTimeoutSeconds", bindTimeoutSeconds, "invalid BindTimeoutSeconds, should not be a negative value");
  if (shape !== undefined)
    refuse(
      "shape",
      shape.map(({ utilization, score }) => ({ Utilization: utilization, Score: score })),
      "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring",
    );

  const { filterTimeout, bindingTimeout } = args.DynamicResources ?? {};
  if (filterTimeout !== undefined && !features.filterTimeout)
    errors.push(forbiddenField(`${path}.filterTimeout`, "DRASchedulingFilterTimeout feature gate is disabled"));
  else if (durationMs(filterTimeout ?? "0") < 0) refuse("filterTimeout", filterTimeout, "must be zero or positive");
  if (bindingTimeout !== undefined && features.bindingConditions) {
    if (durationMs(bindingTimeout) < 1_000) refuse("bindingTimeout", bindingTimeout, "must be at least 1 second");
  } else if (bindingTimeout !== undefined)
    errors.push(
      forbiddenField(
        `${path}.bindingTimeout`,
        "DRADeviceBindingConditions or DRAResourceClaimDeviceStatus feature gate is disabled",
      ),
    );
  return errors;
}

/** Why arguments of NodeResourcesFit are refused. */
export function validateFitArgs(args: NonNullable<PluginArgs["NodeResourcesFit"]>): FieldError[] {
  const { ignoredResources = [], ignoredResourceGroups = [], scoringStrategy } = args;
  const errors = ignoredResources.flatMap((name, i) => labelName(`ignoredResources[${i}]`, name));
  for (const [i, group] of ignoredResourceGroups.entries()) {
    const path = `ignoredResourceGroups[${i}]`;
    if (group.includes("/")) errors.push(invalidValue(path, group, "resource group name can't contain '/'"));
    errors.push(...labelName(path, group));
  }
  if (scoringStrategy === undefined) return errors;
  const { resources = [], requestedToCapacityRatio } = scoringStrategy;
  const type: string = (scoringStrategy as { readonly type?: string }).type ?? "";
  if (!STRATEGIES.includes(type)) errors.push(notSupported("scoringStrategy.type", type, STRATEGIES));
  for (const [i, { name, weight = 0 }] of resources.entries())
    if (weight <= 0 || weight > 100)
      errors.push(
        invalidValue(
          `scoringStrategy.resources[${i}].weight`,
          weight,
          `resource weight of ${name} not in valid range (0, 100]`,
        ),
      );
  if (requestedToCapacityRatio !== undefined)
    errors.push(...validatePoints("scoringStrategy.shape", requestedToCapacityRatio.shape ?? []));
  return errors;
}

const labelName = (path: string, name: string): FieldError[] =>
  isQualifiedName(name).map((message) => invalidValue(path, name, message));

function validatePoints(path: string, shape: readonly ShapePoint[]): FieldError[] {
  if (shape.length === 0) return [required(path, "at least one point must be specified")];
  const errors: FieldError[] = [];
  const unsorted = shape.findIndex(({ utilization }, i) => i > 0 && (shape[i - 1]?.utilization ?? 0) >= utilization);
  if (unsorted > 0)
    errors.push(
      invalidValue(
        `${path}[${unsorted}].utilization`,
        shape[unsorted]?.utilization,
        "values must be sorted in increasing order",
      ),
    );
  for (const [i, { utilization, score }] of shape.entries()) {
    if (utilization < 0 || utilization > 100)
      errors.push(invalidValue(`${path}[${i}].utilization`, utilization, "not in valid range [0, 100]"));
    if (score < 0 || score > MAX_POINT_SCORE)
      errors.push(invalidValue(`${path}[${i}].score`, score, `not in valid range [0, ${MAX_POINT_SCORE}]`));
  }
  return errors;
}

function validateSpread(path: string, args: NonNullable<PluginArgs["PodTopologySpread"]>): FieldError[] {
  const { defaultConstraints = [] } = args;
  const defaultingType: string = args.defaultingType ?? "";
  const errors: FieldError[] = [];
  if (defaultingType !== "System" && defaultingType !== "List")
    errors.push(notSupported(`${path}.defaultingType`, defaultingType, ["System", "List"]));
  else if (defaultingType === "System" && defaultConstraints.length > 0)
    errors.push(invalidValue(`${path}.defaultingType`, defaultingType, "when .defaultConstraints are not empty"));
  for (const [i, constraint] of defaultConstraints.entries())
    errors.push(...validateConstraint(`${path}.defaultConstraints[${i}]`, constraint, defaultConstraints.slice(0, i)));
  return errors;
}

function validateConstraint(
  path: string,
  constraint: TopologySpreadConstraint,
  earlier: readonly TopologySpreadConstraint[],
): FieldError[] {
  // As it was written: nothing has to be there.
  const written: Partial<TopologySpreadConstraint> = constraint;
  const { maxSkew = 0, topologyKey = "", whenUnsatisfiable = "", labelSelector } = written;
  const errors: FieldError[] = [];
  if (maxSkew <= 0) errors.push(invalidValue(`${path}.maxSkew`, maxSkew, "not in valid range (0, inf)"));
  if (topologyKey === "") errors.push(required(`${path}.topologyKey`, "can not be empty"));
  else errors.push(...labelName(`${path}.topologyKey`, topologyKey));
  const actions = ["DoNotSchedule", "ScheduleAnyway"];
  if (whenUnsatisfiable === "") errors.push(required(`${path}.whenUnsatisfiable`, "can not be empty"));
  else if (!actions.includes(whenUnsatisfiable))
    errors.push(notSupported(`${path}.whenUnsatisfiable`, whenUnsatisfiable, actions));
  if (labelSelector !== undefined)
    errors.push(
      forbiddenField(`${path}.labelSelector`, "constraint must not define a selector, as they deduced for each pod"),
    );
  if (earlier.some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable))
    errors.push(duplicate(path, `{${topologyKey}, ${whenUnsatisfiable}}`));
  return errors;
}

type AddedAffinity = NonNullable<PluginArgs["NodeAffinity"]>["addedAffinity"];

function validateNodeAffinity(path: string, affinity: AddedAffinity): FieldError[] {
  const {
    requiredDuringSchedulingIgnoredDuringExecution: must,
    preferredDuringSchedulingIgnoredDuringExecution: wishes = [],
  } = affinity ?? {};
  const musts = (must?.nodeSelectorTerms ?? []).flatMap((term, i) =>
    validateTerm(`${path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`, term),
  );
  const others = wishes.flatMap(({ preference }, i) =>
    validateTerm(`${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`, preference),
  );
  return [...musts, ...others];
}

function validateTerm(path: string, { matchExpressions = [], matchFields = [] }: NodeSelectorTerm): FieldError[] {
  const errors = matchExpressions.flatMap((each, i) => validateRequirement(`${path}.matchExpressions[${i}]`, each));
  for (const [i, { operator, values }] of matchFields.entries()) {
    const at = `${path}.matchFields[${i}]`;
    if (operator !== "In" && operator !== "NotIn")
      errors.push(notSupported(`${at}.operator`, operator, ["In", "NotIn"]));
    else if (values?.length !== 1) errors.push(invalidValue(`${at}.values`, values ?? null, "must have one element"));
  }
  return errors;
}

function validateRequirement(path: string, { key, operator, values }: NodeSelectorRequirement): FieldError[] {
  const errors = labelName(`${path}.key`, key);
  const shown = values ?? null;
  const count = values?.length ?? 0;
  const refuse = (detail: string): void => void errors.push(invalidValue(`${path}.values`, shown, detail));
  if (operator === "In" || operator === "NotIn") {
    if (count === 0) refuse("for 'in', 'notin' operators, values set can't be empty");
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (count !== 0) refuse("values set must be empty for exists and does not exist");
  } else if (operator === "Gt" || operator === "Lt") {
    if (count !== 1) refuse("for 'Gt', 'Lt' operators, exactly one value is required");
    else if (!/^[-+]?\d+$/.test(values?.[0] ?? ""))
      errors.push(
        invalidValue(`${path}.values[0]`, values?.[0], "for 'Gt', 'Lt' operators, the value must be an integer"),
      );
  } else errors.push(notSupported(`${path}.operator`, operator, ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]));
  for (const [i, value] of (values ?? []).entries())
    errors.push(...isLabelValue(value).map((message) => invalidValue(`${path}.values[${i}][${key}]`, value, message)));
  return errors;
}
