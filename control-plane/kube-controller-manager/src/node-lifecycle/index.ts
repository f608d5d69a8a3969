import { Lease } from "@coracle/api/coordination/v1";
import { Node, Pod } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { ControllerManagerFlags } from "../flags.ts";
import { isReady } from "../pods/pod-state.ts";
import { timestamp } from "../time/timestamp.ts";
import { conditionOf, sameTaints, silentConditions, taintsFor, unreadyKey, zoneOf, zoneState } from "./plan.ts";

/** Index of pods by the node they are on. */
export const podsByNode = {
  node: (pod: Pod): readonly string[] => (pod.spec.nodeName === undefined ? [] : [pod.spec.nodeName]),
};
const LEASES = { namespace: "kube-node-lease" };

/**
 * Notices nodes that went silent, says so in their conditions and those of their pods, and taints nodes as their
 * conditions demand. One timer per node; heartbeats cost nothing but a number.
 */
export function createNodeLifecycleController(deps: ControllerDeps, flags: ControllerManagerFlags): Controller {
  const { client, informers, clock, recorder } = deps;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: podsByNode }).lister;
  /** When each node was last heard of, by our clock: the node's own may be wrong. */
  const heardAt = new Map<string, Instant>();
  const registered = new Set<string>();
  /** Per zone: when the next node may be evicted. */
  const nextEvictionAt = new Map<string, Instant>();

  const event = (node: Node, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event({ ...referenceTo(Node, node), uid: node.metadata.uid ?? "" }, type, reason, message);

  /** When pods may be driven off this node: at once, later (milliseconds), or not at all while all nodes are down. */
  function evictionDelay(node: Node): number | undefined {
    const zones = new Map<string, { ready: number; notReady: number }>();
    for (const each of nodes.list()) {
      const zone = zones.get(zoneOf(each)) ?? { ready: 0, notReady: 0 };
      if (unreadyKey(each) === undefined) zone.ready++;
      else zone.notReady++;
      zones.set(zoneOf(each), zone);
    }
    const stateOf = ({ ready, notReady }: { ready: number; notReady: number }) =>
      zoneState(ready, notReady, flags.unhealthyZoneThreshold);
    // Every node silent: more likely it is us who cannot be reached.
    if ([...zones.values()].every((zone) => stateOf(zone) === "FullDisruption")) return undefined;
    const zone = zones.get(zoneOf(node)) ?? { ready: 0, notReady: 0 };
    let perSecond = flags.nodeEvictionRate;
    if (stateOf(zone) === "PartialDisruption")
      perSecond = zone.ready + zone.notReady > flags.largeClusterSizeThreshold ? flags.secondaryNodeEvictionRate : 0;
    if (perSecond <= 0) return undefined;
    const now = clock.now();
    const at = nextEvictionAt.get(zoneOf(node)) ?? 0;
    if (at > now) return at - now;
    nextEvictionAt.set(zoneOf(node), now + 1000 / perSecond);
    return 0;
  }

  async function markPodsNotReady(node: Node, signal: AbortSignal): Promise<void> {
    for (const pod of pods.byIndex("node", node.metadata.name ?? "")) {
      if (!isReady(pod)) continue;
      const { namespace, name = "", uid } = pod.metadata;
      const condition = { type: "Ready", status: "False", lastTransitionTime: timestamp(clock.now()) };
      try {
        await client.patch(
          Pod,
          { namespace, name },
          "strategic",
          { metadata: { uid }, status: { conditions: [condition] } },
          { subresource: "status", signal },
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      recorder.event(referenceTo(Pod, pod), "Warning", "NodeNotReady", "Node is not ready");
    }
  }

  return defineController<Node>(deps, {
    name: "node-lifecycle",
    for: Node,
    changed(node, old) {
      const { name = "" } = node.metadata;
      const beat = conditionOf(node, "Ready")?.lastHeartbeatTime;
      if (old === undefined || beat !== conditionOf(old, "Ready")?.lastHeartbeatTime) heardAt.set(name, clock.now());
      return (
        old === undefined ||
        old.metadata.labels !== node.metadata.labels ||
        JSON.stringify([old.spec, statusesOf(old)]) !== JSON.stringify([node.spec, statusesOf(node)])
      );
    },
    watches: [
      mapped(
        Lease,
        (lease) => {
          // No pass for a heartbeat: the node's timer looks when it is due.
          heardAt.set(lease.metadata.name ?? "", clock.now());
          return [];
        },
        LEASES,
      ),
    ],
    workers: 4,
    async reconcile(name, { signal, log }) {
      let node = nodes.byKey(name);
      if (node === undefined) {
        heardAt.delete(name);
        registered.delete(name);
        return done;
      }
      if (!registered.has(name)) {
        registered.add(name);
        event(node, "Normal", "RegisteredNode", `Node ${name} event: Registered Node ${name} in Controller`);
      }
      const now = clock.now();
      const isNew = conditionOf(node, "Ready") === undefined;
      const graceMs = isNew ? flags.nodeStartupGracePeriodMs : flags.nodeMonitorGracePeriodMs;
      const quietMs = now - (heardAt.get(name) ?? now);
      let nextMs: number | undefined = graceMs - quietMs;
      if (nextMs <= 0) {
        nextMs = undefined; // its next heartbeat brings us back
        const conditions = silentConditions(node, now);
        if (conditions !== undefined) {
          log.info("node is silent", { node: name, quietMs });
          const wasReady = conditionOf(node, "Ready")?.status === "True";
          node = await client.update(
            Node,
            { ...node, status: { ...node.status, conditions } },
            { subresource: "status", signal },
          );
          if (wasReady) event(node, "Normal", "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
        }
      }
      const key = unreadyKey(node);
      if (key !== undefined) await markPodsNotReady(node, signal);
      const isEvicting = (node.spec?.taints ?? []).some((taint) => taint.key === key && taint.effect === "NoExecute");
      const delayMs = key === undefined || isEvicting ? undefined : evictionDelay(node);
      const taints = taintsFor(node, delayMs === 0, now);
      if (!sameTaints(taints, node.spec?.taints ?? []))
        await client.update(Node, { ...node, spec: { ...node.spec, taints } }, { signal });
      if (delayMs !== undefined && delayMs > 0) nextMs = Math.min(nextMs ?? delayMs, delayMs);
      // Whether pods may be driven off depends on the other nodes: look again while they may not.
      if (key !== undefined && !isEvicting && delayMs === undefined)
        nextMs = Math.min(nextMs ?? Infinity, flags.nodeMonitorPeriodMs);
      return requeueAfter(nextMs);
    },
  });
}

const statusesOf = (node: Node): readonly (readonly [string, string])[] =>
  (node.status?.conditions ?? []).map(({ type, status }) => [type, status] as const);
