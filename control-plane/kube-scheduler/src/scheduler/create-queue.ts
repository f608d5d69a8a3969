import type { Pod } from "@coracle/api/core/v1";
import type { Clock, Logger } from "@coracle/base";
import type { ClusterEvent, Plugin } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import type { SchedulerMetrics } from "../metrics/scheduler-metrics.ts";
import { eventLabel } from "../queue/event-label.ts";
import { SchedulingQueue, type Gate } from "../queue/scheduling-queue.ts";
import type { SchedulerTimes } from "./scheduler.ts";

/** The queue, which asks the plugins of each pod's profile. A plugin that throws loses its say, not the pod. */
export function createQueue(
  profiles: ReadonlyMap<string, Profile>,
  deps: { readonly clock: Clock; readonly logger: Logger; readonly metrics: SchedulerMetrics },
  times: SchedulerTimes,
): SchedulingQueue {
  const { clock, logger, metrics } = deps;
  const byName = new Map<string, ReadonlyMap<string, Plugin>>();
  for (const [name, { plugins }] of profiles)
    byName.set(name, new Map(plugins.map(({ plugin }) => [plugin.name, plugin])));
  const registered = eventsByPlugin(profiles.values());
  const [first] = profiles.values();
  const sorter = first?.plugins.find(({ plugin }) => plugin.queueSort !== undefined)?.plugin;
  const gateOf = (plugin: Plugin, pod: Pod): Gate | undefined => {
    try {
      const reason = plugin.preEnqueue?.(pod);
      return reason === undefined ? undefined : { plugin: plugin.name, reason };
    } catch (error) {
      logger.error("plugin failed to say whether a pod may come in", { plugin: plugin.name, error });
      return { plugin: plugin.name, reason: String(error) };
    }
  };
  return new SchedulingQueue({
    clock,
    ...times,
    compare: (a, b) => {
      try {
        return sorter?.queueSort?.(a, b) ?? a.since - b.since;
      } catch {
        return a.since - b.since;
      }
    },
    preEnqueue(pod) {
      for (const plugin of profiles.get(pod.spec.schedulerName ?? "")?.at.preEnqueue ?? []) {
        const gate = gateOf(plugin, pod);
        if (gate !== undefined) return gate;
      }
      return undefined;
    },
    isRegistered: (name, event) => registered.get(name)?.has(event) !== false,
    isHelpful(name, change, pod) {
      const plugin = byName.get(pod.spec.schedulerName ?? "")?.get(name);
      if (plugin === undefined) return true;
      if (plugin.events?.includes(change.event) === false) return false;
      const isDone = metrics.startHint(name, eventLabel(change));
      try {
        const isHelpful = plugin.isHelpful?.(pod, change) ?? true;
        isDone(isHelpful ? "Queue" : "QueueSkip");
        return isHelpful;
      } catch {
        isDone("Error");
        return true; // one attempt too many is better than one too few
      }
    },
    onIncoming: (queue, event) => metrics.incoming(queue, event),
  });
}

/** Plugin → the events that it registers in any profile; those that register all are not here. */
function eventsByPlugin(profiles: Iterable<Profile>): ReadonlyMap<string, ReadonlySet<ClusterEvent>> {
  const registered = new Map<string, Set<ClusterEvent>>();
  const unlimited = new Set<string>();
  for (const { plugins } of profiles)
    for (const { plugin } of plugins) {
      if (plugin.events === undefined) unlimited.add(plugin.name);
      registered.set(plugin.name, new Set([...(registered.get(plugin.name) ?? []), ...(plugin.events ?? [])]));
    }
  for (const name of unlimited) registered.delete(name);
  return registered;
}
