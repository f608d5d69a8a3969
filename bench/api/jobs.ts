import type { Target } from "./connection.ts";
import type { RequestKind } from "./requests.ts";

/** What the load process is asked to do. */
export type Job =
  | { readonly type: "connect"; readonly target: Target; readonly sessions: number }
  | RequestsJob
  | { readonly type: "openWatches"; readonly count: number; readonly name: string; readonly sessions: number }
  | { readonly type: "change"; readonly name: string; readonly changes: number; readonly everyMs: number }
  | { readonly type: "closeWatches" };

/** Requests of some kinds by several clients at once, until either limit is reached. */
export interface RequestsJob {
  readonly type: "requests";
  /** Each client goes through them in turn, beginning at another one. */
  readonly kinds: readonly RequestKind[];
  readonly clients: number;
  readonly maxCount: number;
  readonly maxMs: number;
  /** New objects are named from this number on. */
  readonly from: number;
  /** Existing objects are those numbered below this. */
  readonly existing: number;
}

/** What came of it. */
export interface JobResult {
  /** Requests answered as expected, or events delivered. */
  readonly count: number;
  /** 99 of 100 requests or deliveries took no longer. */
  readonly p99Ms?: number;
  readonly error?: string;
}
