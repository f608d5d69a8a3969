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
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { isReady } from "../pods/pod-state.ts";
import { timestamp } from "../time/timestamp.ts";
import {
  conditionOf,
  countZones,
  formerLabels,
  sameTaints,
  silentConditions,
  taintsFor,
  UNREACHABLE,
  unreadyKey,
  zoneLabel,
  zoneOf,
  zoneState,
  type ZoneCount,
  type ZoneState,
} from "./plan.ts";

/** Index of pods by the node they are on. */
export const podsByNode = {
  node: (pod: Pod): readonly string[] => (pod.spec.nodeName === undefined ? [] : [pod.spec.nodeName]),
};
const LEASES = { namespace: "kube-node-lease" };

/**
 * Notices nodes that went silent, says so in their conditions and those of their pods, and taints nodes as their
 * conditions demand. One timer per node; heartbeats cost nothing but a number.
 */
export function createNodeLifecycleController(
  deps: ControllerDeps,
  flags: ControllerManagerFlags,
  metrics?: ControllerMetrics,
): Controller {
  const { client, informers, clock, recorder } = deps;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: podsByNode }).lister;
  /** When each node was last heard of, by our clock: the node's own may be wrong. */
  const heardAt = new Map<string, Instant>();
  /** Those that were told of, with their identities. */
  const registered = new Map<string, string>();
  /** No node is ready: nobody is driven away. */
  let areAllDown = false;
  let enqueue: (key: string) => void = () => {};
  /** Per zone: when the next node may be evicted. */
  const nextEvictionAt = new Map<string, Instant>();

  const event = (name: string, uid: string, reason: string, message: string): void =>
    recorder.event({ apiVersion: "v1", kind: "Node", name, uid }, "Normal", reason, message);
  const stateOf = ({ ready, notReady }: ZoneCount): ZoneState =>
    zoneState(ready, notReady, flags.unhealthyZoneThreshold);

  /** When all nodes go down none is drained any more; once one is back, all get their time anew. */
  function noteDisruption(isNow: boolean): void {
    if (isNow === areAllDown) return;
    areAllDown = isNow;
    if (!isNow) {
      for (const node of nodes.list()) heardAt.set(node.metadata.name ?? "", clock.now());
      nextEvictionAt.clear();
    }
    for (const node of nodes.list()) enqueue(node.metadata.name ?? "");
  }

  /** When pods may be driven off this node: at once, later (milliseconds), or not at all while all nodes are down. */
  function evictionDelay(node: Node, isWanted: boolean): number | undefined {
    if (!isWanted && !areAllDown) return undefined;
    // What we have just written of this node the cache may not know.
    const zones = countZones(nodes.list().map((each) => (each.metadata.name === node.metadata.name ? node : each)));
    // Every node silent: more likely it is us who cannot be reached.
    noteDisruption([...zones.values()].every((zone) => stateOf(zone) === "FullDisruption"));
    if (areAllDown || !isWanted) return undefined;
    const zone = zones.get(zoneOf(node)) ?? { ready: 0, notReady: 0 };
    let perSecond = flags.nodeEvictionRate;
    if (stateOf(zone) === "PartialDisruption")
      perSecond = zone.ready + zone.notReady > flags.largeClusterSizeThreshold ? flags.secondaryNodeEvictionRate : 0;
    if (perSecond <= 0) return undefined;
    const now = clock.now();
    const at = nextEvictionAt.get(zoneOf(node)) ?? 0;
    if (at > now) return at - now;
    nextEvictionAt.set(zoneOf(node), now + 1000 / perSecond);
    metrics?.nodeEvicted(zoneLabel(zoneOf(node)));
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

  /** Nodes that are being looked at, and since when some are. */
  let underWay = 0;
  let busySince = 0;

  /** Measures a look at a node, and at all that are due at the same time. */
  function checking(): Disposable {
    const began = clock.monotonicMs();
    if (underWay++ === 0) busySince = began;
    return {
      [Symbol.dispose]() {
        const now = clock.monotonicMs();
        metrics?.nodeChecked(now - began);
        if (--underWay === 0) metrics?.nodesChecked(now - busySince);
      },
    };
  }

  metrics?.watchZones(() =>
    [...countZones(nodes.list())].map(([zone, { ready, notReady }]) => [zoneLabel(zone), ready + notReady, notReady]),
  );

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
    started: (context) => void ({ enqueue } = context),
    async reconcile(name, { signal, log }) {
      using _checked = checking();
      let node = nodes.byKey(name);
      if (node === undefined) {
        const uid = registered.get(name);
        if (uid !== undefined)
          event(name, uid, "RemovingNode", `Node ${name} event: Removing Node ${name} from Controller`);
        heardAt.delete(name);
        registered.delete(name);
        return done;
      }
      const { uid = "" } = node.metadata;
      if (!registered.has(name)) {
        registered.set(name, uid);
        event(name, uid, "RegisteredNode", `Node ${name} event: Registered Node ${name} in Controller`);
      }
      const labels = formerLabels(node);
      if (labels !== undefined)
        node = await client.patch(Node, { name }, "strategic", { metadata: { labels } }, { signal });
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
          if (wasReady) event(name, uid, "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
        }
      }
      const key = unreadyKey(node);
      // Of one that says itself that it is not ready the kubelet tells how its pods are.
      if (key === UNREACHABLE) await markPodsNotReady(node, signal);
      const isEvicting = (node.spec?.taints ?? []).some((taint) => taint.key === key && taint.effect === "NoExecute");
      const delayMs = evictionDelay(node, key !== undefined && !isEvicting);
      const taints = taintsFor(node, delayMs === 0, now, areAllDown);
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
