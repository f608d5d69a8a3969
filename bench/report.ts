/** One figure, as `npm run bench` prints it: a line of JSON. */
export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** The same of the peer, measured in the same run. */
  readonly peer?: number;
  /** Ours for one of the peer's. */
  readonly ratio?: number;
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** The value that `part` of the values are below. */
export function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? 0;
}

/** Four digits are more than any of these measurements is good for. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Prints a figure. */
export function report(figure: Omit<Figure, "ratio">): void {
  const { peer, ...own } = figure;
  const compared = peer === undefined ? {} : { peer: rounded(peer), ratio: rounded(figure.value / peer) };
  process.stdout.write(`${JSON.stringify({ ...own, value: rounded(figure.value), ...compared })}\n`);
}

/** Tells the person who waits what goes on; figures alone go to standard output. */
export function note(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
