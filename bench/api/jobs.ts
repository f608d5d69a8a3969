import type { Target } from "./connection.ts";

/** What the load process is asked to do. */
export type Job =
  | { readonly type: "connect"; readonly target: Target; readonly sessions: number }
  | RequestsJob
  | { readonly type: "openWatches"; readonly count: number; readonly name: string; readonly sessions: number }
  | { readonly type: "change"; readonly name: string; readonly changes: number; readonly everyMs: number }
  | { readonly type: "closeWatches" };

/** Requests of one kind by several clients at once, until either limit is reached. */
export interface RequestsJob {
  readonly type: "requests";
  readonly kind: RequestKind;
  readonly clients: number;
  readonly maxCount: number;
  readonly maxMs: number;
  /** Pods are named from this number on (create), or are those below it (all others). */
  readonly pods: number;
}

export type RequestKind = "get" | "list" | "create" | "mergePatch" | "statusPatch";

/** What came of it. */
export interface JobResult {
  /** Requests answered as expected, or events delivered. */
  readonly count: number;
  readonly error?: string;
}
