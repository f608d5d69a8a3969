/** How much more than its share any endpoint may get. */
const OVERLOAD = 0.2;

/** How many endpoints are for a zone. */
export interface Allocation {
  readonly minimum: number;
  readonly maximum: number;
  readonly desired: number;
}

/** Endpoints for each zone by its share of the CPUs; a text: why that is not possible without overload. */
export function allocate(
  shares: ReadonlyMap<string, number> | undefined,
  total: number,
): ReadonlyMap<string, Allocation> | string {
  if (shares === undefined)
    return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
  const size = `(${total} endpoints, ${shares.size} zones)`;
  if (shares.size > total) return `Insufficient number of endpoints ${size}`;
  const minima = new Map([...shares].map(([zone, share]) => [zone, Math.ceil((share * total) / (1 + OVERLOAD))]));
  const sum = [...minima.values()].reduce((all, each) => all + each, 0);
  if (sum > total)
    return `Unable to allocate minimum required endpoints to each zone without exceeding overload threshold ${size}`;
  return new Map(
    [...shares].map(([zone, share]) => {
      const minimum = minima.get(zone) ?? 0;
      return [zone, { minimum, maximum: minimum + total - sum, desired: Math.max(share * total, minimum) }];
    }),
  );
}

/** The zone each endpoint serves, given where each is: those of zones that have too many serve zones that have too few. */
export function redistribute(
  zones: readonly string[],
  allocations: ReadonlyMap<string, Allocation>,
  allocated: ReadonlyMap<string, number>,
): readonly string[] {
  const surplus = new Map<string, number>();
  const lack = new Map<string, number>();
  for (const [zone, { desired }] of allocations) {
    const difference = (allocated.get(zone) ?? 0) - desired;
    if (difference > 0) surplus.set(zone, difference);
    else if (difference < 0) lack.set(zone, -difference);
  }
  const giving: string[] = [];
  const receiving: string[] = [];
  for (;;) {
    const [from, give] = most(surplus);
    const [to, take] = most(lack);
    if (give < 0.5 || take < 0.5 || (give < 1 && take < 1)) break;
    giving.push(from);
    receiving.push(to);
    surplus.set(from, give - 1);
    lack.set(to, take - 1);
  }
  return zones.map((zone) => {
    const i = giving.indexOf(zone);
    if (i < 0) return zone;
    giving.splice(i, 1);
    return receiving.shift() ?? zone;
  });
}

function most(zones: ReadonlyMap<string, number>): readonly [zone: string, amount: number] {
  let best: readonly [string, number] = ["", 0];
  for (const entry of zones) if (entry[1] > best[1]) best = entry;
  return best;
}
