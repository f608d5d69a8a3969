import type { Pod } from "@coracle/api/core/v1";
import type { AllocationResult, DeviceClass, ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { equalJson } from "@coracle/apimachinery";
import { DeviceAllocator } from "../devices/allocate.ts";
import type { DevicesInUse } from "../devices/allocator-options.ts";
import { bindClaim, isReservedFor, type ClaimWriter } from "../devices/bind-claim.ts";
import { isOverdue, mustBecomeReady, readinessOf } from "../devices/binding-conditions.ts";
import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import { ExtendedClaim, type ExtendedView } from "../devices/extended-claim.ts";
import type { DeviceSelectors } from "../devices/device-selectors.ts";
import { bothInUse } from "../devices/devices-in-use.ts";
import { PendingClaims } from "../devices/pending-claims.ts";
import { podClaims } from "../devices/pod-claims.ts";
import { matchesNodeSelector } from "../framework/node-selector.ts";
import { normalizeScores, type ClusterChange, type CycleState, type Plugin, type Unfit } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";

const NAME = "DynamicResources";
const ASKED = `${NAME}/asked`;
const MAX_CONSUMERS = 256;
const MAX_ALTERNATIVES = 8;
const FILTER_TIMEOUT_MS = 10_000;
const BINDING_TIMEOUT_MS = 600_000;

/** What is known of devices and claims to them. */
export interface DeviceView extends ExtendedView {
  /** Changes when `classOfResource` may answer otherwise. */
  classesVersion(): number;
  deviceClass(name: string): DeviceClass | undefined;
  slices(): readonly ResourceSlice[];
  /** Devices of all claims that are known. */
  inUse(): DevicesInUse;
  /** Absent until the language of selectors was loaded, which the first claim sees to. */
  selectors(): DeviceSelectors | undefined;
}

export interface DynamicResourcesOptions {
  readonly view: DeviceView;
  /** Absent: claims are looked at, none is allocated for good. */
  readonly writer?: ClaimWriter | undefined;
  /** Shared by all who decide here. */
  readonly pending?: PendingClaims;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Wall-clock time, epoch milliseconds. */
  readonly now: () => number;
  /** Told whether the claim for a pod's resources could be made. */
  readonly onClaimMade?: (status: "success" | "failure") => void;
  /** Tells the user that a pod waits for devices to become ready on its node. */
  readonly tellWaiting?: (pod: Pod, nodeName: string) => void;
  readonly newShareId: () => string;
  readonly features?: DeviceFeatures;
  /** How long one node may be searched; 0: as long as it takes. */
  readonly filterTimeoutMs?: number;
  /** How long devices may take to become ready before their pod is bound. */
  readonly bindingTimeoutMs?: number;
}

/** What one cycle knows. */
interface Cycle {
  /** As they are now. */
  claims: ResourceClaim[];
  readonly allocator: DeviceAllocator | undefined;
  /** By node: for those claims that have no allocation yet, in order; then for that of resources. */
  readonly results: Map<string, readonly AllocationResult[]>;
  /** Claims whose allocation rules out some node. */
  readonly elsewhere: Set<ResourceClaim>;
  /** For resources that devices stand behind. */
  readonly extended: ExtendedClaim | undefined;
  readonly decided: Map<string, AllocationResult>;
  readonly node: (name: string) => NodeState | undefined;
}

const toAllocate = ({ claims }: Cycle): readonly ResourceClaim[] =>
  claims.filter(({ status }) => status?.allocation === undefined);

/** Devices for the claims of pods: chosen with the node, given to the claim before the pod is bound. */
export function createDynamicResources(options: DynamicResourcesOptions): Plugin {
  const { view, writer, nowMs, now, features = DEFAULT_DEVICE_FEATURES } = options;
  const { filterTimeoutMs = FILTER_TIMEOUT_MS, bindingTimeoutMs = BINDING_TIMEOUT_MS } = options;
  const { pending = new PendingClaims((namespace, name) => view.claim(namespace, name)) } = options;
  const lookup = (namespace: string, name: string): ResourceClaim | undefined => pending.current(namespace, name);
  const cycleOf = (state: CycleState): Cycle | undefined => state.get(NAME) as Cycle | undefined;

  /** The devices the cycle's claims would get on the node; or why not there. */
  function tryOn(cycle: Cycle, state: NodeState): Unfit | undefined {
    const { name, node } = state;
    if (node === undefined) return undefined;
    const special = cycle.extended?.tryOn(state);
    if (typeof special === "string") return unfit(special);
    const wanted = [...toAllocate(cycle), ...(special === undefined ? [] : [special])];
    let isElsewhere = false;
    for (const claim of cycle.claims) {
      const selector = claim.status?.allocation?.nodeSelector;
      const isHere = selector === undefined || matchesNodeSelector(selector, node);
      if (isHere && !isHopeless(claim)) continue;
      cycle.elsewhere.add(claim);
      isElsewhere = true;
    }
    if (cycle.allocator !== undefined && wanted.length > 0) {
      const deadline = filterTimeoutMs === 0 || !features.filterTimeout ? Infinity : nowMs() + filterTimeoutMs;
      const allocation = cycle.allocator.allocate(node, wanted, () => nowMs() > deadline);
      // A claim or a class is at fault: no other node would do either.
      if (allocation.type === "problem") throw new Error(`running "${NAME}" filter plugin: ${allocation.message}`);
      if (allocation.type === "none") return unfit(allocation.reason);
      if (!isElsewhere) cycle.results.set(name, allocation.results);
    }
    return isElsewhere ? unfit("resourceclaim not available on the node") : undefined;
  }

  /** The devices of the claim will not become ready any more. */
  function isHopeless(claim: ResourceClaim): boolean {
    if (!features.bindingConditions || claim.status?.allocation === undefined) return false;
    const readiness = readinessOf(claim);
    return readiness !== "ready" && (readiness !== "pending" || isOverdue(claim, now(), bindingTimeoutMs));
  }

  /** Resolves when all devices that the cycle's claims have are ready; throws if they will not be. */
  async function untilReady(cycle: Cycle, claims: ClaimWriter): Promise<void> {
    const deadline = nowMs() + bindingTimeoutMs;
    for (;;) {
      cycle.claims = cycle.claims.map((claim) => {
        const { namespace = "", name = "" } = claim.metadata;
        const current = lookup(namespace, name);
        if (current === undefined) throw new Error(`could not find ResourceClaim "${namespace}/${name}"`);
        return current;
      });
      const unready = cycle.claims.find((claim) => readinessOf(claim) !== "ready");
      if (unready === undefined) return;
      const readiness = readinessOf(unready);
      if (typeof readiness !== "string") throw new Error(readiness.problem);
      if (isOverdue(unready, now(), bindingTimeoutMs))
        throw new Error(`claim ${unready.metadata.name} binding timeout`);
      const left = deadline - nowMs();
      if (left <= 0) throw new Error("device binding timeout");
      await claims.changed(left);
    }
  }

  return {
    name: NAME,
    events: [
      "node-added",
      "node-labels-changed",
      "node-allocatable-changed",
      "resource-claim-changed",
      "pod-claims-changed",
      "device-class-changed",
      "resource-slice-changed",
    ],
    isHelpful: (pod, change) => mayGetDevices(pod, change, lookup),
    preEnqueue(pod) {
      if ((pod.spec.resourceClaims ?? []).length === 0) return undefined;
      const claims = podClaims(pod, lookup);
      return typeof claims === "string" ? claims : undefined;
    },
    preFilter(state, pod, snapshot) {
      state.set(ASKED, true);
      if ((pod.spec.resourceClaims ?? []).length === 0 && !features.extendedResources) return { skip: true };
      const claims = podClaims(pod, lookup);
      if (typeof claims === "string") return { rejected: [claims] };
      const extended = features.extendedResources ? ExtendedClaim.of(pod, view) : undefined;
      if (claims.length === 0 && extended === undefined) return { skip: true };
      for (const claim of claims) {
        const problem = problemOf(claim, pod, pending, view, features);
        if (problem !== undefined) return { rejected: [problem] };
      }
      const isDone = extended === undefined && claims.every(({ status }) => status?.allocation !== undefined);
      const selectors = isDone ? undefined : view.selectors();
      const allocator = isDone
        ? undefined
        : new DeviceAllocator({
            slices: view.slices(),
            inUse: bothInUse(view.inUse(), pending.devices),
            classOf: (name) => view.deviceClass(name),
            selectors,
            features,
            newShareId: options.newShareId,
          });
      const cycle: Cycle = {
        claims,
        allocator,
        results: new Map(),
        elsewhere: new Set(),
        extended,
        decided: new Map(),
        node: (name) => snapshot.node(name),
      };
      state.set(NAME, cycle);
      return undefined;
    },
    filter(state, _pod, node) {
      const cycle = cycleOf(state);
      return cycle === undefined ? undefined : tryOn(cycle, node);
    },
    postFilter(pod, _unfit, _snapshot, state) {
      const none = (message: string) => ({ type: "none", message, isUnderWay: false }) as const;
      // Others had rejected the pod before it came to this plugin: upstream's finds that it knows nothing, and gives up.
      if (state?.has(ASKED) === false) return { ...none("not found"), isFailure: true };
      const cycle = state === undefined ? undefined : cycleOf(state);
      if (cycle === undefined) return none("no new claims to deallocate");
      const isFree = ({ status }: ResourceClaim): boolean =>
        (status?.reservedFor ?? []).every(({ uid }) => uid === pod.metadata.uid);
      const claim = [...cycle.elsewhere].find(isFree);
      const stale = cycle.extended?.stale;
      if (writer !== undefined && claim !== undefined) {
        writer.deallocate(claim);
        return none("deallocation of ResourceClaim completed");
      }
      if (writer === undefined || stale === undefined) return none("still not schedulable");
      writer.remove(stale);
      return none("deletion of ResourceClaim completed");
    },
    preScore(state) {
      const hasAlternatives = cycleOf(state)?.claims.some(({ spec }) =>
        spec.devices?.requests?.some(({ firstAvailable = [] }) => firstAvailable.length > 0),
      );
      return { skip: hasAlternatives !== true };
    },
    score(state, _pod, { name }) {
      const cycle = cycleOf(state);
      return cycle === undefined ? 0 : scoreOf(toAllocate(cycle), cycle.results.get(name) ?? []);
    },
    normalize: (_state, _pod, scores) => normalizeScores(scores, false),
    reserve(state, _pod, nodeName) {
      const cycle = cycleOf(state);
      if (cycle?.allocator === undefined) return undefined;
      const node = cycle.node(nodeName);
      if (!cycle.results.has(nodeName) && node !== undefined) tryOn(cycle, node);
      const results = cycle.results.get(nodeName);
      // The node has by itself what the pod asks for.
      if (results === undefined && toAllocate(cycle).length === 0) return undefined;
      if (results === undefined) return "claim allocation not found for node";
      const special = cycle.extended?.on(nodeName);
      if (special !== undefined) {
        const allocation = results.at(-1) ?? {};
        cycle.decided.set(special.metadata.uid ?? "", allocation);
        pending.add({ ...special, status: { allocation } });
      }
      for (const [i, claim] of toAllocate(cycle).entries()) {
        const allocation = results[i];
        if (allocation === undefined) return "claim allocation not found for node";
        cycle.decided.set(claim.metadata.uid ?? "", allocation);
        pending.add({ ...claim, status: { ...claim.status, allocation } });
      }
      return undefined;
    },
    unreserve(state, pod) {
      const cycle = cycleOf(state);
      for (const claim of cycle?.claims ?? []) {
        const uid = claim.metadata.uid ?? "";
        if (cycle?.decided.has(uid) === true && pending.isPending(claim)) pending.drop(uid);
        if (claim === cycle?.extended?.written) continue;
        if (claim.status?.allocation !== undefined && isReservedFor(claim, pod)) writer?.giveUp(claim, pod);
      }
      if (cycle?.extended === undefined) return;
      pending.drop(cycle.extended.temporaryUid);
      if (cycle.extended.written !== undefined) writer?.remove(cycle.extended.written);
    },
    needsPreBind: (state) => cycleOf(state) !== undefined,
    async preBind(state, pod, nodeName) {
      const cycle = cycleOf(state);
      const allocatedAt = features.bindingConditions ? timestamp(now()) : undefined;
      for (const [i, claim] of (cycle?.claims ?? []).entries()) {
        if (cycle === undefined || isReservedFor(claim, pod)) continue;
        if (writer === undefined) throw new Error("nobody here allocates claims");
        const decided = cycle.decided.get(claim.metadata.uid ?? "");
        const written = await bindClaim(writer, claim, pod, decided, allocatedAt);
        pending.written(written);
        cycle.claims = cycle.claims.with(i, written);
      }
      if (cycle === undefined || writer === undefined) return;
      const { extended } = cycle;
      const allocation = cycle.decided.get(extended?.temporaryUid ?? "");
      if (extended !== undefined && allocation !== undefined) {
        cycle.claims = [
          ...cycle.claims,
          await extended.write(writer, nodeName, { allocation, allocatedAt, onMade: options.onClaimMade }),
        ];
        pending.drop(extended.temporaryUid);
      }
      if (!features.bindingConditions) return;
      if (!cycle.claims.some(mustBecomeReady)) return;
      options.tellWaiting?.(pod, nodeName);
      await untilReady(cycle, writer);
    },
  };
}

const timestamp = (now: number): string => `${new Date(now).toISOString().slice(0, 19)}Z`;
const unfit = (reason: string): Unfit => ({ reasons: [reason], isFinal: true });

/** Why the pod cannot have the claim anywhere. */
function problemOf(
  claim: ResourceClaim,
  pod: Pod,
  pending: PendingClaims,
  view: DeviceView,
  { prioritizedList }: DeviceFeatures,
): string | undefined {
  const { status, spec, metadata } = claim;
  if (status?.allocation !== undefined) {
    const isFull = (status.reservedFor ?? []).length >= MAX_CONSUMERS;
    return isFull && !isReservedFor(claim, pod) ? "resourceclaim in use" : undefined;
  }
  const key = `${metadata.namespace}/${metadata.name}`;
  if (pending.isPending(claim)) return `resource claim ${key} is in the process of being allocated`;
  const classProblem = (className: string, request: string): string | undefined =>
    view.deviceClass(className) === undefined
      ? `request ${request}: device class ${className} does not exist`
      : undefined;
  for (const { name, exactly, firstAvailable = [] } of spec.devices?.requests ?? []) {
    let problem: string | undefined;
    if (exactly !== undefined) problem = classProblem(exactly.deviceClassName, name);
    else if (firstAvailable.length === 0) problem = `resource claim ${key}, request ${name}: unknown request type`;
    else if (!prioritizedList)
      problem = `resource claim ${key}, request ${name}: has subrequests, but the DRAPrioritizedList feature is disabled`;
    for (const sub of firstAvailable) problem ??= classProblem(sub.deviceClassName, `${name}/${sub.name}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The earlier the alternatives that are served, the better. */
function scoreOf(claims: readonly ResourceClaim[], results: readonly AllocationResult[]): number {
  let score = 0;
  for (const [i, { spec }] of claims.entries()) {
    const served = new Set(results[i]?.devices?.results?.map(({ request }) => request));
    for (const { name, firstAvailable = [] } of spec.devices?.requests ?? [])
      for (const [at, sub] of firstAvailable.entries())
        if (served.has(`${name}/${sub.name}`)) score += MAX_ALTERNATIVES - at;
  }
  return score;
}

function mayGetDevices(
  pod: Pod,
  { event, old, current }: ClusterChange,
  lookup: (namespace: string, name: string) => ResourceClaim | undefined,
): boolean {
  if (event === "pod-claims-changed") {
    const changed = current as Pod | undefined;
    if (changed === undefined) return true;
    return changed.metadata.uid === pod.metadata.uid && typeof podClaims(changed, lookup) !== "string";
  }
  if (event !== "resource-claim-changed" || current === undefined) return true;
  const claims = podClaims(pod, lookup);
  if (typeof claims === "string") return false;
  const [before, now] = [old as ResourceClaim | undefined, current as ResourceClaim];
  if (before?.status?.allocation !== undefined && now.status?.allocation === undefined) return true;
  if (!claims.some(({ metadata }) => metadata.uid === now.metadata.uid)) return false;
  return before === undefined || !equalJson((before.status ?? {}) as never, (now.status ?? {}) as never);
}
