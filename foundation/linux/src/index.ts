/** The only door to the host: processes, mounts, cgroups, namespaces, network tools. */
export { CommandError, run, type RunOptions, type RunResult } from "./process/run.ts";
