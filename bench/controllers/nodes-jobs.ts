import type { Target } from "../api/connection.ts";
import type { Changes } from "./readiness-changes.ts";

/** What the process of the simulated nodes is asked to do. */
export type NodesJob =
  | { readonly type: "start"; readonly target: Target; readonly nodes: number }
  | { readonly type: "changeReadiness"; readonly target: Target; readonly changes: Changes };

/** What it answers. */
export interface NodesAnswer {
  readonly lagsMs: readonly number[];
  readonly error?: string;
}

/** What it says unasked: why pods do not start any more. */
export interface NodesFailure {
  readonly failure: string;
}
