import type { Expr } from "../syntax/expression.ts";

export interface CostEstimate {
  readonly min: number;
  readonly max: number;
}
export type SizeEstimator = (path: readonly string[]) => { readonly min: number; readonly max: number } | undefined;
export function estimateCost(_expr: Expr, _sizes?: SizeEstimator): CostEstimate {
  throw new Error("not there yet");
}
