/** The least and the most something may be. Saturates at the largest 64-bit number. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

const MOST = 2 ** 64;

export const UNKNOWN: Range = { min: 0, max: MOST };
export const ZERO: Range = { min: 0, max: 0 };

export function exactly(value: number): Range {
  return { min: value, max: value };
}

export function sum(...ranges: readonly Range[]): Range {
  let min = 0;
  let max = 0;
  for (const range of ranges) {
    min += range.min;
    max += range.max;
  }
  return { min: Math.min(min, MOST), max: Math.min(max, MOST) };
}

export function product(a: Range, b: Range): Range {
  return { min: Math.min(a.min * b.min, MOST), max: Math.min(a.max * b.max, MOST) };
}

/** The range times a factor, rounded up. */
export function scaled(range: Range, factor: number): Range {
  return { min: Math.min(Math.ceil(range.min * factor), MOST), max: Math.min(Math.ceil(range.max * factor), MOST) };
}

/** The range that holds both. */
export function union(a: Range, b: Range): Range {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}
