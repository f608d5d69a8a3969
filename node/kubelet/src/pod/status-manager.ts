import { Pod, type PodCondition, type PodStatus } from "@coracle/api/core/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import { isAbort, sleep, type Clock, type Logger, type Timer } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

/** Writes pods' statuses: only what changed, one request per pod at a time, the newest state. */
export interface StatusManager extends Disposable {
  /** The newest status that is known of the pod, written or not. */
  current(pod: Pod): PodStatus;
  /** Replaces the pod's status. Early steps of a start are held back a little, so that they make one write. */
  set(pod: Pod, status: PodStatus): void;
  /** Resolves when what was set is written, or the pod is gone. */
  flush(uid: string, signal: AbortSignal): Promise<void>;
  forget(uid: string): void;
  /** Another object shows the pod from now on, and has no status yet. */
  rewrite(uid: string): void;
}

interface Entry {
  pod: Pod;
  status: PodStatus;
  /** What the server is known to have. */
  written: PodStatus;
  isDirty: boolean;
  timer: Timer | undefined;
  writing: Promise<void> | undefined;
}

const HOLD_MS = 300;
const RETRY_MS = 2_000;

/** Deep equality of JSON, where absent, undefined and empty objects are one. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (isEmpty(a) && isEmpty(b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Array.isArray(a) && a.length !== (b as unknown[]).length) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (!sameJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false;
  }
  return true;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === "object" && !Array.isArray(value) && Object.values(value).every((each) => each === undefined));

/** Conditions of ours that are not always there. */
const COMES_AND_GOES: ReadonlySet<string> = new Set(["PodResizePending", "PodResizeInProgress"]);

/** The strategic merge patch that leads from one status to another; undefined when they are the same. */
export function statusPatch(from: PodStatus, to: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  const before = from as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries(to)) {
    if (key === "conditions" || key === "podIPs" || key === "hostIPs" || sameJson(before[key], value)) continue;
    patch[key] = value ?? null;
  }
  const conditions: unknown[] = (to.conditions ?? []).flatMap((condition) =>
    conditionPatch(condition, from.conditions),
  );
  for (const { type } of from.conditions ?? [])
    if (COMES_AND_GOES.has(type) && to.conditions?.some((each) => each.type === type) !== true)
      conditions.push({ $patch: "delete", type });
  if (conditions.length > 0) patch["conditions"] = conditions;
  for (const key of ["podIPs", "hostIPs"] as const) {
    const wanted = to[key];
    if (sameJson(from[key], wanted) || wanted === undefined) continue;
    const gone = (from[key] ?? []).filter(({ ip }) => !wanted.some((each) => each.ip === ip));
    patch[key] = [...wanted, ...gone.map(({ ip }) => ({ $patch: "delete", ip }))];
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function conditionPatch(condition: PodCondition, before: readonly PodCondition[] | undefined): unknown[] {
  const old = before?.find((each) => each.type === condition.type);
  if (old === undefined) return [condition];
  const out: Record<string, unknown> = { type: condition.type };
  for (const key of ["status", "reason", "message", "lastTransitionTime", "observedGeneration"] as const) {
    if (!sameJson(old[key], condition[key])) out[key] = condition[key] ?? null;
  }
  return Object.keys(out).length === 1 ? [] : [out];
}

/** Our status with the conditions that others own. */
function merged(pod: Pod, status: PodStatus): PodStatus {
  const own = new Set((status.conditions ?? []).map(({ type }) => type));
  const others = (pod.status?.conditions ?? []).filter(({ type }) => !own.has(type) && !COMES_AND_GOES.has(type));
  return { ...pod.status, ...status, conditions: [...(status.conditions ?? []), ...others] };
}

export function createStatusManager(deps: {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** The object that shows a pod's status in the API: another one for static pods; undefined while there is none. */
  readonly target?: ((pod: Pod) => Pod | undefined) | undefined;
}): StatusManager {
  const { client, clock, logger, signal, target = (pod: Pod) => pod } = deps;
  const entries = new Map<string, Entry>();

  async function write(uid: string, entry: Entry): Promise<void> {
    while (entry.isDirty && entries.get(uid) === entry && !signal.aborted) {
      entry.isDirty = false;
      const { status, pod } = entry;
      const patch = statusPatch(entry.written, status);
      if (patch === undefined) continue;
      const { namespace, name = "", uid: shownUid } = target(pod)?.metadata ?? {};
      if (shownUid === undefined) return;
      const body = { metadata: { uid: shownUid }, status: patch };
      try {
        await client.patch(Pod, { namespace, name }, "strategic", body, { subresource: "status", signal });
        entry.written = { ...entry.written, ...status };
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return; // gone, or another pod of that name by now
        if (isAbort(error, signal)) return;
        logger.warn("pod status was not written", { pod: `${namespace}/${name}`, error });
        entry.isDirty = true;
        await sleep(clock, RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  function start(uid: string, entry: Entry): void {
    entry.timer?.[Symbol.dispose]();
    entry.timer = undefined;
    entry.writing ??= write(uid, entry).finally(() => {
      entry.writing = undefined;
    });
  }

  return {
    current(pod) {
      const entry = entries.get(pod.metadata.uid ?? "");
      return entry === undefined ? (pod.status ?? {}) : merged(pod, entry.status);
    },
    set(pod, status) {
      const uid = pod.metadata.uid ?? "";
      let entry = entries.get(uid);
      if (entry === undefined) {
        entry = { pod, status, written: pod.status ?? {}, isDirty: true, timer: undefined, writing: undefined };
        entries.set(uid, entry);
      } else {
        if (entry.pod !== pod && entry.writing === undefined && !entry.isDirty)
          entry.written = { ...pod.status, ...pick(entry.written) };
        entry.pod = pod;
        if (sameJson(entry.status, status)) return;
        entry.status = status;
        entry.isDirty = true;
      }
      const isEarly = status.phase === "Pending" && !hasProblem(status);
      if (!isEarly) start(uid, entry);
      else if (entry.timer === undefined && entry.writing === undefined) {
        const made = entry;
        entry.timer = clock.after(HOLD_MS, () => start(uid, made));
      }
    },
    async flush(uid) {
      const entry = entries.get(uid);
      if (entry === undefined) return;
      if (entry.isDirty) start(uid, entry);
      while (entry.writing !== undefined) await entry.writing;
    },
    forget(uid) {
      entries.get(uid)?.timer?.[Symbol.dispose]();
      entries.delete(uid);
    },
    rewrite(uid) {
      const entry = entries.get(uid);
      if (entry === undefined) return;
      entry.written = {};
      entry.isDirty = true;
      start(uid, entry);
    },
    [Symbol.dispose]() {
      for (const entry of entries.values()) entry.timer?.[Symbol.dispose]();
      entries.clear();
    },
  };
}

/** What we have written ourselves counts over what a watch, which may be behind, shows. */
const pick = (status: PodStatus): PodStatus => status;

/** A container waits for something other than its turn. */
function hasProblem(status: PodStatus): boolean {
  return [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].some(({ state }) => {
    const reason = state?.waiting?.reason;
    return reason !== undefined && reason !== "ContainerCreating" && reason !== "PodInitializing";
  });
}
