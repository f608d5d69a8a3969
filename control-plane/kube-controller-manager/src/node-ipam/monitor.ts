import { Counter, exponentialBuckets, Gauge, Histogram } from "@coracle/base";

/** What is counted of a range that is handed out in parts. */
export interface RangeSize {
  readonly size: number;
  readonly used: number;
}

/** What is told of one range. */
export interface RangeObserver {
  allocated(): void;
  released(): void;
  /** One was looked for: so many were passed over. */
  searched(tries: number): void;
}

const PREFIX = "node_ipam_controller";
const LABELS = ["clusterCIDR"];

/** What is counted of the ranges of pod addresses, under upstream's names. */
export class NodeIpamMonitor {
  readonly #ranges = new Map<string, RangeSize>();
  readonly #allocations = new Counter(
    `${PREFIX}_cidrset_cidrs_allocations_total`,
    "[ALPHA] Counter measuring total number of CIDR allocations.",
    LABELS,
  );
  readonly #releases = new Counter(
    `${PREFIX}_cidrset_cidrs_releases_total`,
    "[ALPHA] Counter measuring total number of CIDR releases.",
    LABELS,
  );
  readonly #tries = new Histogram(
    `${PREFIX}_cidrset_allocation_tries_per_request`,
    "[ALPHA] Number of endpoints added on each Service sync",
    exponentialBuckets(1, 5, 5),
    LABELS,
  );
  // Upstream's name is spelt so.
  readonly #most = new Gauge(
    `${PREFIX}_cirdset_max_cidrs`,
    "[ALPHA] Maximum number of CIDRs that can be allocated.",
    LABELS,
    () => [...this.#ranges].map(([range, { size }]) => [[range], size] as const),
  );
  readonly #usage = new Gauge(
    `${PREFIX}_cidrset_usage_cidrs`,
    "[ALPHA] Gauge measuring percentage of allocated CIDRs.",
    LABELS,
    () => [...this.#ranges].map(([range, { size, used }]) => [[range], used / size] as const),
  );

  readonly #isRunning = new Gauge(
    "running_managed_controllers",
    "[ALPHA] Indicates where instances of a controller are currently running",
    ["manager", "name"],
    () => (this.#ranges.size === 0 ? [] : [[["kube-controller-manager", "nodeipam"], 1]]),
  );

  /** How much of a range is in use is looked up there. */
  watch(range: string, size: RangeSize): RangeObserver {
    this.#ranges.set(range, size);
    return {
      allocated: () => this.#allocations.add(1, range),
      released: () => this.#releases.add(1, range),
      searched: (tries) => this.#tries.observe(tries, range),
    };
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    const all = [this.#tries, this.#allocations, this.#releases, this.#usage, this.#most, this.#isRunning];
    return all.map((each) => each.text()).join("");
  }
}
