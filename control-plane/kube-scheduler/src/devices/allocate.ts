import type { Node } from "@coracle/api/core/v1";
import type { AllocationResult, Device, ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  subtractQuantities,
  type Quantity,
} from "@coracle/apimachinery";
import { AllocationProblem, AllocationTimeout, type AllocatorOptions } from "./allocator-options.ts";
import { allocationOf, type Chosen } from "./allocation-result.ts";
import { compileConstraint, type Constraint } from "./constraints.ts";
import { consume, sumCapacities, type Capacities } from "./consumed-capacity.ts";
import { deviceId, groupSlices, isOnNode, poolsFor, type ResourcePool } from "./resource-pools.ts";
import { isTolerated, readRequests, type Choice, type Request } from "./requests.ts";

/** A claim has no more devices. */
export const MAX_DEVICES = 32;
const ASK_TIME_EVERY = 256;

/** The devices for each claim, in the order of the claims; or why there are none here; or why nobody can tell anywhere. */
export type Allocation =
  | { readonly type: "allocated"; readonly results: readonly AllocationResult[] }
  | { readonly type: "none"; readonly reason: string }
  | { readonly type: "problem"; readonly message: string };

/**
 * Finds devices for claims on one node after the other. Decides, touches nothing: what is in use is told, not
 * remembered.
 */
export class DeviceAllocator {
  readonly #options: AllocatorOptions;
  readonly #groups: ReadonlyMap<string, readonly ResourceSlice[]>;
  /** What is left of shared counters, by pool, once known. */
  readonly #counters = new Map<string, ReadonlyMap<string, Quantity>>();

  constructor(options: AllocatorOptions) {
    this.#options = options;
    this.#groups = groupSlices(options.slices, options.features);
  }

  /** Stops with a problem as soon as `isLate` says so. */
  allocate(node: Node, claims: readonly ResourceClaim[], isLate: () => boolean = () => false): Allocation {
    const { features } = this.#options;
    const pools = poolsFor(node, this.#groups, features);
    try {
      const search = new Search(this.#options, node, pools, claims, (pool) => this.#leftOf(pool), isLate);
      const chosen = search.run();
      if (chosen !== undefined)
        return { type: "allocated", results: chosen.map((each, i) => allocationOf(claims[i], each, node, features)) };
    } catch (error) {
      if (error instanceof AllocationTimeout) return { type: "none", reason: error.message };
      if (error instanceof AllocationProblem) return { type: "problem", message: error.message };
      throw error;
    }
    if (pools.some(({ state }) => state === "invalid"))
      return { type: "none", reason: "invalid resource pools were encountered" };
    return { type: "none", reason: "cannot allocate all claims" };
  }

  /** Counters of the pool after what devices in use have consumed, wherever they are. */
  #leftOf(pool: ResourcePool): ReadonlyMap<string, Quantity> {
    const key = `${pool.driver}/${pool.name}`;
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    const { exclusive, shared } = this.#options.inUse;
    const left = new Map<string, Quantity>();
    for (const [set, { counters }] of pool.counterSets)
      for (const [name, { value }] of Object.entries(counters)) left.set(`${set}/${name}`, parseQuantity(value));
    for (const { spec } of pool.allSlices)
      for (const device of spec.devices ?? []) {
        const id = deviceId(pool.driver, pool.name, device.name);
        if (!exclusive.has(id) && !shared.has(id)) continue;
        for (const [counter, amount] of countersOf(device)) {
          const amountLeft = left.get(counter);
          if (amountLeft !== undefined) left.set(counter, subtractQuantities(amountLeft, amount));
        }
      }
    this.#counters.set(key, left);
    return left;
  }
}

function* countersOf({ consumesCounters = [] }: Device): Generator<readonly [string, Quantity]> {
  for (const { counterSet, counters } of consumesCounters)
    for (const [name, { value }] of Object.entries(counters)) yield [`${counterSet}/${name}`, parseQuantity(value)];
}

/** A device that can be had on the node. */
interface Candidate {
  readonly id: string;
  readonly device: Device;
  readonly slice: ResourceSlice;
  readonly pool: ResourcePool;
}

/** Depth-first over requests and their devices; whatever does not lead to an end is taken back. */
class Search {
  readonly #options: AllocatorOptions;
  readonly #node: Node;
  readonly #pools: readonly ResourcePool[];
  readonly #left: (pool: ResourcePool) => ReadonlyMap<string, Quantity>;
  readonly #isLate: () => boolean;
  readonly #requests: readonly (readonly Request[])[];
  readonly #constraints: readonly (readonly Constraint[])[];
  readonly #chosen: Chosen[][];
  /** Claims (by number) that have the device in this search, by its id. */
  readonly #taking = new Map<string, number[]>();
  readonly #sharing = new Map<string, Capacities[]>();
  /** Counters consumed in this search, by pool and counter. */
  readonly #consumed = new Map<string, Quantity>();
  readonly #candidates = new Map<Choice, readonly Candidate[]>();
  #steps = 0;

  constructor(
    options: AllocatorOptions,
    node: Node,
    pools: readonly ResourcePool[],
    claims: readonly ResourceClaim[],
    left: (pool: ResourcePool) => ReadonlyMap<string, Quantity>,
    isLate: () => boolean,
  ) {
    this.#options = options;
    this.#node = node;
    this.#pools = pools;
    this.#left = left;
    this.#isLate = isLate;
    this.#requests = claims.map((claim) => readRequests(claim, options));
    this.#constraints = claims.map((claim) => constraintsOf(claim));
    this.#chosen = claims.map(() => []);
  }

  run(): readonly (readonly Chosen[])[] | undefined {
    for (const requests of this.#requests) {
      let atLeast = 0;
      for (const { choices } of requests) atLeast += Math.min(...choices.map((choice) => this.#countOf(choice)));
      if (atLeast > MAX_DEVICES)
        throw new AllocationProblem(
          `claim ${requests[0]?.claimKey}: number of requested devices ${atLeast} exceeds the claim limit of ${MAX_DEVICES}`,
        );
    }
    return this.#serve(0, 0) ? this.#chosen : undefined;
  }

  #countOf(choice: Choice): number {
    return choice.isAll ? this.#candidatesOf(choice).length : choice.count;
  }

  /** The requests from this one on. */
  #serve(claim: number, request: number): boolean {
    const requests = this.#requests[claim];
    if (requests === undefined) return true;
    const current = requests[request];
    if (current === undefined) return this.#serve(claim + 1, 0);
    return current.choices.some((choice) => {
      const count = this.#countOf(choice);
      // All of nothing is not enough.
      return (count > 0 || !choice.isAll) && this.#choose(claim, request, choice, count, 0, 0);
    });
  }

  /** The devices of a choice from this one on; candidates before `from` were looked at for those chosen already. */
  #choose(claim: number, request: number, choice: Choice, count: number, taken: number, from: number): boolean {
    if (taken >= count) return this.#serve(claim, request + 1);
    if ((this.#chosen[claim]?.length ?? 0) + count - taken > MAX_DEVICES) return false;
    const candidates = this.#candidatesOf(choice);
    const end = choice.isAll ? from + 1 : candidates.length;
    for (let i = from; i < end; i++) {
      const candidate = candidates[i];
      if (candidate === undefined || !this.#take(claim, choice, candidate)) continue;
      // A device that serves several may serve one request twice.
      const next = this.#isShared(candidate.device) && !choice.isAll ? i : i + 1;
      if (this.#choose(claim, request, choice, count, taken + 1, next)) return true;
      this.#giveBack(claim, choice, candidate);
    }
    return false;
  }

  #isShared(device: Device): boolean {
    return this.#options.features.consumableCapacity && device.allowMultipleAllocations === true;
  }

  #take(claim: number, choice: Choice, { id, device, pool, slice }: Candidate): boolean {
    if (++this.#steps % ASK_TIME_EVERY === 0 && this.#isLate())
      throw new AllocationTimeout("timed out trying to allocate devices");
    const { inUse, features, newShareId } = this.#options;
    const isShared = this.#isShared(device);
    const taking = this.#taking.get(id) ?? [];
    if (!isShared) {
      if (choice.isAdmin ? taking.includes(claim) : inUse.exclusive.has(id) || taking.length > 0) return false;
    }
    const sharing = this.#sharing.get(id) ?? [];
    let consumed: Capacities | undefined;
    if (features.consumableCapacity && (isShared || choice.capacity !== undefined)) {
      const others = isShared ? sharing.reduce(sumCapacities, inUse.shared.get(id) ?? new Map()) : undefined;
      consumed = consume(device, choice.capacity, others);
      if (consumed === undefined) return false;
    }
    if (features.deviceTaints && !isTolerated(device, choice.tolerations)) return false;
    const needsCounters = (device.consumesCounters ?? []).length > 0;
    if (needsCounters && !features.partitionableDevices) return false;
    // Whoever shares a device has paid for it.
    const isPaid = !needsCounters || (isShared && (taking.length > 0 || inUse.shared.has(id)));
    if (!isPaid && !this.#hasCounters(pool, device)) return false;
    if (!this.#meetsConstraints(claim, choice, device, pool.driver)) {
      // Nothing else can be taken in its place.
      if (choice.isAll)
        throw new AllocationProblem(
          `claim ${choice.claimKey}, request ${choice.name}: cannot add device ${id} because a claim constraint would not be satisfied`,
        );
      return false;
    }

    if (!isPaid) this.#count(pool, device, 1);
    this.#taking.set(id, [...taking, claim]);
    if (isShared && consumed !== undefined) this.#sharing.set(id, [...sharing, consumed]);
    const share = isShared && consumed !== undefined ? { consumed, id: newShareId() } : undefined;
    this.#chosen[claim]?.push({ choice, device, slice, driver: pool.driver, pool: pool.name, share });
    return true;
  }

  #giveBack(claim: number, choice: Choice, { id, device, pool }: Candidate): void {
    const taking = this.#taking.get(id)?.slice(0, -1) ?? [];
    this.#taking.set(id, taking);
    this.#chosen[claim]?.pop();
    const isShared = this.#isShared(device);
    if (isShared) this.#sharing.set(id, this.#sharing.get(id)?.slice(0, -1) ?? []);
    const wasPaid = isShared && (taking.length > 0 || this.#options.inUse.shared.has(id));
    if (!wasPaid) this.#count(pool, device, -1);
    for (const constraint of this.#constraints[claim] ?? []) constraint.removeLast(choice.request, choice.subRequest);
  }

  #meetsConstraints(claim: number, { request, subRequest }: Choice, device: Device, driver: string): boolean {
    const constraints = this.#constraints[claim] ?? [];
    for (const [i, constraint] of constraints.entries()) {
      if (constraint.add(request, subRequest, device, driver)) continue;
      for (const earlier of constraints.slice(0, i)) earlier.removeLast(request, subRequest);
      return false;
    }
    return true;
  }

  #hasCounters(pool: ResourcePool, device: Device): boolean {
    const left = this.#left(pool);
    for (const [counter, amount] of countersOf(device)) {
      const here = left.get(counter);
      const consumed = this.#consumed.get(`${pool.driver}/${pool.name}/${counter}`);
      const total = consumed === undefined ? amount : addQuantities(consumed, amount);
      if (here === undefined || compareQuantities(total, here) > 0) return false;
    }
    return true;
  }

  #count(pool: ResourcePool, device: Device, sign: 1 | -1): void {
    for (const [counter, amount] of countersOf(device)) {
      const key = `${pool.driver}/${pool.name}/${counter}`;
      const consumed = this.#consumed.get(key) ?? { nano: 0n, format: amount.format };
      this.#consumed.set(key, (sign === 1 ? addQuantities : subtractQuantities)(consumed, amount));
    }
  }

  /** Devices that selectors and places allow, whoever has them. */
  #candidatesOf(choice: Choice): readonly Candidate[] {
    const known = this.#candidates.get(choice);
    if (known !== undefined) return known;
    const candidates: Candidate[] = [];
    for (const pool of this.#pools) {
      if (pool.state !== "ready") {
        if (choice.isAll)
          throw new AllocationProblem(
            `claim ${choice.claimKey}, request ${choice.name}: asks for all devices, but resource pool ` +
              `${pool.driver}/${pool.name} is currently ${pool.state === "invalid" ? "invalid" : "being updated"}`,
          );
        continue;
      }
      for (const slice of pool.slices)
        for (const device of slice.spec.devices ?? [])
          if (this.#isSelected(choice, device, slice))
            candidates.push({ id: deviceId(pool.driver, pool.name, device.name), device, slice, pool });
    }
    this.#candidates.set(choice, candidates);
    return candidates;
  }

  #isSelected(choice: Choice, device: Device, { spec }: ResourceSlice): boolean {
    if (!this.#options.features.bindingConditions && (device.bindingConditions ?? []).length > 0) return false;
    if (spec.perDeviceNodeSelection === true && !isOnNode(device, this.#node)) return false;
    const { deviceClass, selectors = [], claimKey, name } = choice;
    const ofClass = deviceClass.spec.selectors ?? [];
    if (ofClass.length + selectors.length === 0) return true;
    const language = this.#options.selectors;
    if (language === undefined) throw new AllocationProblem("the language of selectors is not there yet");
    for (const [owner, some] of [
      [`class ${deviceClass.metadata.name}`, ofClass],
      [`claim ${claimKey}, request ${name}`, selectors],
    ] as const) {
      const answer = language.matches(some, device, spec.driver, owner);
      if (typeof answer !== "boolean") throw new AllocationProblem(answer.problem);
      if (!answer) return false;
    }
    return true;
  }
}

function constraintsOf({ metadata, spec }: ResourceClaim): readonly Constraint[] {
  return (spec.devices?.constraints ?? []).map((each, i) => {
    const constraint = compileConstraint(each);
    if (constraint !== undefined) return constraint;
    throw new AllocationProblem(
      `claim ${metadata.namespace}/${metadata.name}, constraint #${i}: empty constraint (unsupported constraint type?)`,
    );
  });
}
