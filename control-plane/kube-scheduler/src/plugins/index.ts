import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import type { PluginArgs } from "../config/configuration.ts";
import { durationMs } from "../config/strict-decoding.ts";
import type { NamespaceLookup } from "../framework/affinity-term.ts";
import type { PluginEntry } from "../framework/filtering.ts";
import type { VolumeWriter } from "../storage/bind-volumes.ts";
import { createBalancedAllocation } from "./balanced-allocation.ts";
import { createDefaultBinder, type Binder } from "./default-binder.ts";
import { createDefaultPreemption } from "./default-preemption.ts";
import { createDynamicResources, type DynamicResourcesOptions } from "./dynamic-resources.ts";
import { imageLocality } from "./image-locality.ts";
import { createInterPodAffinity } from "./inter-pod-affinity.ts";
import { createNodeAffinity } from "./node-affinity.ts";
import { nodeName } from "./node-name.ts";
import { nodePorts } from "./node-ports.ts";
import { createNodeResourcesFit, type BackedResources } from "./node-resources-fit.ts";
import { createNodeVolumeLimits } from "./node-volume-limits.ts";
import { nodeUnschedulable } from "./node-unschedulable.ts";
import { createPodTopologySpread, type SpreadOwners } from "./pod-topology-spread.ts";
import { prioritySort } from "./priority-sort.ts";
import { schedulingGates } from "./scheduling-gates.ts";
import { taintToleration } from "./taint-toleration.ts";
import { createVolumeBinding, type VolumeLookup } from "./volume-binding.ts";
import { createVolumeRestrictions } from "./volume-restrictions.ts";
import { createVolumeZone } from "./volume-zone.ts";

export type { PluginEntry } from "../framework/filtering.ts";

export interface DefaultPluginDeps {
  readonly binder: Binder;
  readonly owners: SpreadOwners;
  readonly volumes: VolumeLookup;
  /** Absent: nobody binds claims that wait for their pod. */
  readonly volumeWriter?: VolumeWriter;
  /** Absent: pods with claims to devices are placed as if they had none. */
  readonly devices?: DynamicResourcesOptions;
  readonly budgets: () => readonly PodDisruptionBudget[];
  /** Extenders have a say about who must leave for the pod. */
  readonly isAskedAbout?: ((pod: Pod) => boolean) | undefined;
  /** Who asks whether a change may help looks up namespaces here; absent: none has labels. */
  readonly namespaces?: NamespaceLookup;
}

/**
 * Our plugins in upstream's calling order and with its weights. `args`: what a profile says to each; `all`: the plugins
 * of the profile that they are part of, where those are others than these.
 */
export function defaultPlugins(
  deps: DefaultPluginDeps,
  args: PluginArgs = {},
  all?: () => readonly PluginEntry[],
): readonly PluginEntry[] {
  const plugins: readonly PluginEntry[] = [
    { plugin: schedulingGates, weight: 0 },
    { plugin: prioritySort, weight: 0 },
    { plugin: nodeUnschedulable, weight: 0 },
    { plugin: nodeName, weight: 0 },
    { plugin: taintToleration, weight: 3 },
    { plugin: createNodeAffinity(args.NodeAffinity), weight: 2 },
    { plugin: nodePorts, weight: 0 },
    { plugin: createNodeResourcesFit(args.NodeResourcesFit, backedResources(deps.devices)), weight: 1 },
    { plugin: createVolumeRestrictions(deps.volumes), weight: 0 },
    { plugin: createNodeVolumeLimits(deps.volumes), weight: 0 },
    { plugin: createVolumeBinding(deps.volumes, { ...args.VolumeBinding, writer: deps.volumeWriter }), weight: 0 },
    { plugin: createVolumeZone(deps.volumes), weight: 0 },
    { plugin: createPodTopologySpread(deps.owners, args.PodTopologySpread), weight: 2 },
    { plugin: createInterPodAffinity(args.InterPodAffinity, deps.namespaces), weight: 2 },
    ...(deps.devices === undefined
      ? []
      : [{ plugin: createDynamicResources({ ...deps.devices, ...timeouts(args.DynamicResources) }), weight: 2 }]),
    {
      plugin: createDefaultPreemption(all ?? (() => plugins), deps.budgets, args.DefaultPreemption, deps.isAskedAbout),
      weight: 0,
    },
    { plugin: createBalancedAllocation(args.NodeResourcesBalancedAllocation), weight: 1 },
    { plugin: imageLocality, weight: 1 },
    { plugin: createDefaultBinder(deps.binder), weight: 0 },
  ];
  return plugins;
}

const backedResources = ({ features, view }: Partial<DynamicResourcesOptions> = {}): BackedResources | undefined =>
  features?.extendedResources === true ? view : undefined;

const timeouts = ({ filterTimeout, bindingTimeout }: PluginArgs["DynamicResources"] = {}): Partial<
  Pick<DynamicResourcesOptions, "filterTimeoutMs" | "bindingTimeoutMs">
> => ({
  ...(filterTimeout === undefined ? {} : { filterTimeoutMs: durationMs(filterTimeout) }),
  ...(bindingTimeout === undefined ? {} : { bindingTimeoutMs: durationMs(bindingTimeout) }),
});
