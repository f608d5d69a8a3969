/** Places pods on nodes: a framework of plugins under upstream's names, a queue, and the cycle between them. */
export { parseSchedulerFlags, type SchedulerFlags } from "./flags.ts";
export { runScheduler, type SchedulerElection, type SchedulerOptions } from "./run-scheduler.ts";
