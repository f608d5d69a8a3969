/** How long nodes may keep what they read of secrets and config maps, by the number of nodes; steps overlap so that none flickers. */
const STEPS: readonly { readonly least: number; readonly most: number; readonly seconds: number }[] = [
  { least: 0, most: 100, seconds: 0 },
  { least: 90, most: 500, seconds: 15 },
  { least: 450, most: 1000, seconds: 30 },
  { least: 900, most: 2000, seconds: 60 },
  { least: 1800, most: Infinity, seconds: 300 },
];

/** The step for `count` nodes, seen from `step` where it was before. */
export function stepFor(count: number, step: number): number {
  let now = step;
  while (count > (STEPS[now]?.most ?? Infinity)) now++;
  while (count < (STEPS[now]?.least ?? 0)) now--;
  return now;
}

/** The seconds of a step. */
export const secondsOf = (step: number): number => STEPS[step]?.seconds ?? 0;
