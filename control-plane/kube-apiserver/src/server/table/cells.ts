import type { CellsOf } from "./table.ts";

/** By resource: how its rows are computed, in the order of its columns. */
export const CELLS: Readonly<Record<string, CellsOf>> = {};
