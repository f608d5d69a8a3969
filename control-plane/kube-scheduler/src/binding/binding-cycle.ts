import type { Pod } from "@coracle/api/core/v1";
import type { Logger } from "@coracle/base";
import type { CycleState, Plugin } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import type { SchedulerMetrics } from "../metrics/scheduler-metrics.ts";
import type { PermitRefusal, WaitingPods } from "./waiting-pods.ts";

export interface BindingDeps {
  readonly profile: Profile;
  readonly waiting: WaitingPods;
  readonly metrics: SchedulerMetrics;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A pod and the node chosen for it. */
export interface Placement {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly state: CycleState;
}

/** Sets aside what the pod needs on its node; a plugin may still refuse. Undoing it is `unreserve`, also after a refusal. */
export async function reserve(
  { profile, metrics }: BindingDeps,
  { state, pod, nodeName }: Placement,
): Promise<PermitRefusal | undefined> {
  if (profile.at.reserve.length === 0) return undefined;
  const isDone = metrics.startPoint("Reserve", profile.schedulerName);
  for (const plugin of profile.at.reserve) {
    const reason = await plugin.reserve?.(state, pod, nodeName);
    if (reason === undefined) continue;
    isDone("Unschedulable");
    return { plugin: plugin.name, reason };
  }
  isDone("Success");
  return undefined;
}

/** Gives back what was set aside, in reverse order. One plugin's failure does not keep the others from theirs. */
export function unreserve({ profile, metrics, logger }: BindingDeps, { state, pod, nodeName }: Placement): void {
  if (profile.at.unreserve.length === 0) return;
  const isDone = metrics.startPoint("Unreserve", profile.schedulerName);
  for (const plugin of profile.at.unreserve) {
    try {
      plugin.unreserve?.(state, pod, nodeName);
    } catch (error) {
      logger.error("plugin failed to give back what it had reserved", { plugin: plugin.name, error });
    }
  }
  isDone("Success");
}

/** Asks whether the pod may be bound, and waits as long as plugins hold it; `onWait` is called when some do. */
export async function permit(
  deps: BindingDeps,
  placement: Placement,
  onWait?: () => Promise<void>,
): Promise<PermitRefusal | undefined> {
  const { profile, metrics, waiting, signal } = deps;
  const { state, pod, nodeName } = placement;
  if (profile.at.permit.length === 0) return undefined;
  const isDone = metrics.startPoint("Permit", profile.schedulerName);
  const waits = new Map<string, number>();
  for (const plugin of profile.at.permit) {
    const answer = await plugin.permit?.(state, pod, nodeName);
    if (typeof answer === "string") {
      isDone("Unschedulable");
      return { plugin: plugin.name, reason: answer };
    }
    if (answer !== undefined) waits.set(plugin.name, Math.min(answer.waitMs, MAX_PERMIT_WAIT_MS));
  }
  isDone(waits.size === 0 ? "Success" : "Wait");
  if (waits.size === 0) return undefined;
  await onWait?.();
  return await waiting.hold(pod, nodeName, waits, signal);
}

/** Nobody holds a pod for longer. */
const MAX_PERMIT_WAIT_MS = 900_000;

/** The plugins that must prepare something before the pod is bound. */
export function preparers({ profile }: BindingDeps, { state, pod, nodeName }: Placement): readonly Plugin[] {
  return profile.at.preBind.filter((plugin) => plugin.needsPreBind?.(state, pod, nodeName) !== false);
}

/** Lets plugins prepare the node, one after the other. Throws when one failed. */
export async function prepare(
  { profile, metrics }: BindingDeps,
  { state, pod, nodeName }: Placement,
  plugins: readonly Plugin[],
): Promise<void> {
  if (plugins.length === 0) return;
  const isDone = metrics.startPoint("PreBind", profile.schedulerName);
  for (const plugin of plugins) await plugin.preBind?.(state, pod, nodeName);
  isDone("Success");
}

/** Binds: the first plugin that does not pass does it. Throws when it failed. */
export async function bind({ profile, metrics, logger }: BindingDeps, placement: Placement): Promise<void> {
  const { state, pod, nodeName } = placement;
  const isBound = metrics.startPoint("Bind", profile.schedulerName);
  let wasBound = false;
  for (const plugin of profile.at.bind) {
    wasBound = (await plugin.bind?.(state, pod, nodeName)) === true;
    if (wasBound) break;
  }
  isBound(wasBound ? "Success" : "Skip");
  if (!wasBound) throw new Error("all bind plugins skipped");
  if (profile.at.postBind.length === 0) return;
  const isDone = metrics.startPoint("PostBind", profile.schedulerName);
  for (const plugin of profile.at.postBind) {
    try {
      plugin.postBind?.(state, pod, nodeName);
    } catch (error) {
      logger.error("plugin failed after a binding", { plugin: plugin.name, error });
    }
  }
  isDone("Success");
}
