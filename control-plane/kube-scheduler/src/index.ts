/** Places pods on nodes: a framework of plugins under upstream's names, a queue, and the cycle between them. */
export { parseSchedulerFlags, type SchedulerFlags } from "./flags.ts";
export { runScheduler, type SchedulerElection, type SchedulerOptions } from "./run-scheduler.ts";
export { parseConfiguration } from "./config/read-configuration.ts";
export type { SchedulerConfiguration } from "./config/configuration.ts";
export { readSchedulerSetup, type SchedulerSetup } from "./config/scheduler-setup.ts";
export { explanationText } from "./debug/explain.ts";
export { explainFromCluster } from "./debug/explain-from-cluster.ts";
export { SchedulerDebug } from "./debug/scheduler-debug.ts";
export type { PluginFactory, PluginHandle } from "./foreign/plugin-module.ts";
export type { Plugin } from "./framework/plugin.ts";
export { SchedulerMetrics } from "./metrics/scheduler-metrics.ts";
export { createDefaultPreemption } from "./plugins/default-preemption.ts";
export { defaultPlugins } from "./plugins/index.ts";
export { schedulePod } from "./cycle/schedule-pod.ts";
export { ClusterState } from "./state/cluster-state.ts";
