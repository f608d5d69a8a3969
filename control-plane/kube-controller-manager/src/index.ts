/**
 * The controllers: each brings the cluster from what is to what was asked for, by what it sees in the API. They share
 * one set of caches, and may run in any number of processes: one leads, the others wait.
 */
export { defaultFlags, parseControllerManagerFlags, type ControllerManagerFlags } from "./flags.ts";
export { ControllerManagerMetrics } from "./manager/metrics.ts";
export { runControllerManager, type ControllerManagerOptions } from "./manager/run.ts";
