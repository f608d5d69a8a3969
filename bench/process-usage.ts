import { readFileSync } from "node:fs";

/** Linux counts CPU time in hundredths of a second, whatever the kernel's own tick is. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process and its threads so far, user and system, in seconds. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU time of all the processes. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + cpuSecondsOf(pid), 0);
}

/** A line of the kernel's summary of a process's memory, in MB. */
function megabytes(pid: number, file: "smaps_rollup" | "status", line: string): number {
  const found = new RegExp(`^${line}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/${file}`, "utf8"));
  return Number(found?.[1] ?? 0) / 1024;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Proportional set size of all the processes, in MB: pages shared with others count for their share. */
export function pssMegabytes(pids: readonly number[]): number {
  return sum(pids.map((pid) => megabytes(pid, "smaps_rollup", "Pss")));
}

/** Memory that is no file's, shared among the processes or not, in MB. */
export function anonymousMegabytes(pids: readonly number[]): number {
  return sum(pids.map((pid) => megabytes(pid, "smaps_rollup", "Pss_Anon")));
}

/** Pages of files in the process that has most of them, in MB. */
export function largestFileMegabytes(pids: readonly number[]): number {
  return Math.max(...pids.map((pid) => megabytes(pid, "status", "RssFile")));
}
