/** What one priority level could use, and how few and how many seats it may get. */
export interface SeatClaim {
  readonly target: number;
  readonly lower: number;
  readonly upper: number;
}

const MINIMUM_TARGET = 0.001;
const clamp = ({ lower, upper, target }: SeatClaim, share: number): number =>
  Math.max(lower, Math.min(upper, share * Math.max(target, MINIMUM_TARGET)));

/**
 * Gives every claim the same fraction of its target, within its bounds, so that all seats are given out. Where the
 * bounds do not allow that, everybody is at his bound.
 */
export function allocateSeats(
  total: number,
  claims: readonly SeatClaim[],
): { readonly seats: readonly number[]; readonly fairFraction: number } {
  const sumAt = (share: number): number => claims.reduce((sum, claim) => sum + clamp(claim, share), 0);
  const bounds = claims.flatMap(({ target, lower, upper }) => {
    const divisor = Math.max(target, MINIMUM_TARGET);
    return [lower / divisor, upper / divisor];
  });
  // Between two neighbouring bounds the sum grows in a straight line.
  let from = 0;
  let share = 0;
  for (const to of bounds.toSorted((a, b) => a - b)) {
    const below = sumAt(from);
    const above = sumAt(to);
    share = to;
    if (above >= total) {
      share = above === below ? to : from + ((to - from) * Math.max(0, total - below)) / (above - below);
      break;
    }
    from = to;
  }
  return { seats: claims.map((claim) => clamp(claim, share)), fairFraction: share };
}
