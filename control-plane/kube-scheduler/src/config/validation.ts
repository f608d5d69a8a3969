import { duplicate, equalJson, invalidValue, isQualifiedName, required, type FieldError } from "@coracle/apimachinery";
import {
  CONFIG_VERSION,
  EXTENSION_POINTS,
  type ExtenderConfiguration,
  type PluginArgs,
  type ProfileConfiguration,
  type SchedulerConfiguration,
} from "./configuration.ts";
import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import { validateArgs } from "./args-validation.ts";
import { durationMs } from "./strict-decoding.ts";

/** Plugins of the past. */
const REMOVED: ReadonlySet<string> = new Set(["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"]);
const WAS_REMOVED = `was invalid in version "v1" (KubeSchedulerConfiguration is version "${CONFIG_VERSION}")`;

/** Why the configuration is refused, in upstream's words; none for a good one. */
export function validateConfiguration(
  config: SchedulerConfiguration,
  features: DeviceFeatures = DEFAULT_DEVICE_FEATURES,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const { profiles, podInitialBackoffSeconds: initial, podMaxBackoffSeconds: max } = config;
  if (config.clientConnection.burst < 0)
    errors.push(invalidValue("clientConnection.burst", config.clientConnection.burst, "must be non-negative"));
  errors.push(...validateLeaderElection(config.leaderElection));
  if (config.parallelism <= 0)
    errors.push(invalidValue("parallelism", config.parallelism, "should be an integer value greater than zero"));
  const seen = new Set<string>();
  for (const [i, profile] of profiles.entries()) {
    errors.push(...validateProfile(`profiles[${i}]`, profile, features));
    const name = profile.schedulerName ?? "";
    // Upstream shows the path of the other one, which prints as nothing.
    if (seen.has(name)) errors.push(duplicate(`profiles[${i}].schedulerName`, {}));
    seen.add(name);
  }
  errors.push(...validateQueueSort(profiles), ...validatePercentage("percentageOfNodesToScore", config));
  if (initial <= 0) errors.push(invalidValue("podInitialBackoffSeconds", initial, "must be greater than 0"));
  if (max < initial)
    errors.push(invalidValue("podMaxBackoffSeconds", max, "must be greater than or equal to PodInitialBackoffSeconds"));
  errors.push(...validateExtenders(config.extenders ?? []));
  return errors;
}

function validatePercentage(
  path: string,
  { percentageOfNodesToScore: percent }: { readonly percentageOfNodesToScore?: number },
): FieldError[] {
  return percent === undefined || (percent >= 0 && percent <= 100)
    ? []
    : [invalidValue(path, percent, "not in valid range [0-100]")];
}

function validateLeaderElection(election: SchedulerConfiguration["leaderElection"]): FieldError[] {
  if (!election.leaderElect) return [];
  const errors: FieldError[] = [];
  for (const name of ["leaseDuration", "renewDeadline", "retryPeriod"] as const)
    if (durationMs(election[name]) <= 0)
      errors.push(invalidValue(`leaderElection.${name}`, election[name], "must be greater than zero"));
  const { leaseDuration, renewDeadline, resourceLock } = election;
  if (durationMs(leaseDuration) <= durationMs(renewDeadline))
    errors.push(invalidValue("leaderElection.leaseDuration", renewDeadline, "must be greater than `RenewDeadline`"));
  if (resourceLock !== "leases")
    errors.push(invalidValue("leaderElection.resourceLock", resourceLock, 'resourceLock value must be "leases"'));
  return errors;
}

function validateProfile(path: string, profile: ProfileConfiguration, features: DeviceFeatures): FieldError[] {
  const errors: FieldError[] = [];
  if ((profile.schedulerName ?? "") === "") errors.push(required(`${path}.schedulerName`));
  errors.push(...validatePercentage(`${path}.percentageOfNodesToScore`, profile));
  for (const point of EXTENSION_POINTS)
    for (const [i, { name }] of (profile.plugins[point]?.enabled ?? []).entries())
      if (REMOVED.has(name)) errors.push(invalidValue(`${path}.plugins.${point}.enabled[${i}]`, name, WAS_REMOVED));
  const seen = new Set<string>();
  for (const [i, { name, args = {} }] of profile.pluginConfig.entries()) {
    const at = `${path}.pluginConfig[${i}]`;
    if (seen.has(name)) errors.push(duplicate(at, name));
    seen.add(name);
    if (REMOVED.has(name)) errors.push(invalidValue(at, name, WAS_REMOVED));
    // Upstream looks at these only when it makes the plugin.
    else if (name !== "NodeResourcesFit")
      errors.push(...validateArgs(`${at}.args`, { [name]: args } as PluginArgs, features));
  }
  return errors;
}

function validateQueueSort(profiles: readonly ProfileConfiguration[]): FieldError[] {
  const errors: FieldError[] = [];
  const first = profiles[0]?.plugins.queueSort ?? {};
  const sorters = first.enabled?.length ?? 0;
  if (sorters > 1)
    errors.push(
      invalidValue("profiles[0].plugins.queueSort.Enabled", sorters, "only one queue sort plugin can be enabled"),
    );
  for (const [i, { plugins }] of profiles.entries()) {
    const sets = plugins.queueSort ?? {};
    if (!equalJson(first, sets))
      errors.push(
        invalidValue(
          `profiles[${i}].plugins.queueSort`,
          { Enabled: goChoices(sets.enabled), Disabled: goChoices(sets.disabled) },
          "must be the same for all profiles",
        ),
      );
  }
  return errors;
}

/** As upstream's own type prints. */
const goChoices = (choices: readonly { readonly name: string; readonly weight?: number }[] | undefined): unknown =>
  choices?.map(({ name, weight = 0 }) => ({ Name: name, Weight: weight })) ?? null;

function validateExtenders(extenders: readonly ExtenderConfiguration[]): FieldError[] {
  const errors: FieldError[] = [];
  const managed = new Set<string>();
  for (const [i, extender] of extenders.entries()) {
    const { prioritizeVerb = "", weight = 0, managedResources = [] } = extender;
    if (prioritizeVerb !== "" && weight <= 0)
      errors.push(invalidValue(`extenders[${i}].weight`, weight, "must have a positive weight applied to it"));
    for (const [j, { name }] of managedResources.entries()) {
      const path = `extenders[${i}].managedResources[${j}].name`;
      const bad = isQualifiedName(name);
      errors.push(...bad.map((message) => invalidValue(path, name, message)));
      if (bad.length === 0 && !isExtendedResource(name))
        errors.push(invalidValue(path, name, "is an invalid extended resource name"));
      if (managed.has(name)) errors.push(invalidValue(path, name, "duplicate extender managed resource name"));
      managed.add(name);
    }
  }
  const binders = extenders.filter(({ bindVerb = "" }) => bindVerb !== "").length;
  if (binders > 1)
    errors.push(
      invalidValue("extenders", `found ${binders} extenders implementing bind`, "only one extender can implement bind"),
    );
  return errors;
}

/** `example.com/foo`: outside kubernetes.io, and no quota of one. */
const isExtendedResource = (name: string): boolean =>
  name.includes("/") &&
  !name.includes("kubernetes.io/") &&
  !name.startsWith("requests.") &&
  isQualifiedName(`requests.${name}`).length === 0;
