import { Node, Service, type LoadBalancerStatus } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo, type CacheKey } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
  type ReconcileContext,
  type ReconcileResult,
} from "@coracle/controller-kit";
import type { CloudControllerManagerFlags } from "../flags.ts";
import type { CloudMetrics } from "../metrics.ts";
import { isImplementedElsewhere, retryAfterOf, type LoadBalancers } from "../provider/cloud-provider.ts";
import { NodeSync } from "./node-sync.ts";
import {
  balancedNodes,
  FINALIZER,
  hasFinalizer,
  needsCleanup,
  needsUpdate,
  nodeMatters,
  nodeNames,
  nodesText,
  planService,
  sameIngress,
  wantsLoadBalancer,
  type Balanced,
} from "./plan.ts";

const FIRST_RETRY_MS = 5000;
const MAX_RETRY_MS = 300_000;

/** Keeps a load balancer for every Service that asks for one, and its addresses in the Service's status. */
export function createServiceController(
  deps: ControllerDeps,
  balancers: LoadBalancers,
  flags: CloudControllerManagerFlags,
  metrics: CloudMetrics,
): Controller {
  const { client, informers, recorder, clock } = deps;
  const { clusterName } = flags;
  const services = informers.informer(Service).lister;
  const nodes = informers.informer(Node).lister;
  /** Services with a balancer, as it was last brought about. */
  const known = new Map<CacheKey, Balanced>();
  /** The last of a Service that has, or had, a balancer: should it vanish, its balancer must, too. */
  const seen = new Map<CacheKey, Service>();

  const nodeSync = new NodeSync(clock, (seconds) => metrics.nodeSyncSeconds.observe(seconds));

  const event = (service: Service, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(Service, service), type, reason, message);

  /** What rights upstream gives this controller are for the status alone; it lets finalizers be changed, too. */
  async function patch(service: Service, body: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    const { namespace, name = "" } = service.metadata;
    await client.patch(Service, { namespace, name }, "strategic", body, { subresource: "status", signal });
  }

  async function writeStatus(
    service: Service,
    { ingress = [] }: LoadBalancerStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (sameIngress(service.status?.loadBalancer?.ingress ?? [], ingress)) return;
    const loadBalancer = { ingress: ingress.length === 0 ? null : ingress };
    try {
      await patch(service, { status: { loadBalancer } }, signal);
    } catch (error) {
      // It went with its finalizer.
      if (!isNotFound(error)) throw failed("failed to update load balancer status", error);
    }
  }

  async function remove(service: Service, signal: AbortSignal): Promise<void> {
    let exists: LoadBalancerStatus | undefined;
    try {
      exists = await balancers.get(clusterName, service, signal);
    } catch (error) {
      throw failed("failed to check if load balancer exists before cleanup", error);
    }
    if (exists !== undefined) {
      event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
      try {
        await balancers.delete(clusterName, service, signal);
      } catch (error) {
        if (!isImplementedElsewhere(error)) throw failed("failed to delete load balancer", error);
      }
    }
    if (hasFinalizer(service)) {
      try {
        await patch(service, { metadata: { "$deleteFromPrimitiveList/finalizers": [FINALIZER] } }, signal);
      } catch (error) {
        if (!isNotFound(error)) throw failed("failed to remove load balancer cleanup finalizer", error);
      }
    }
    event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
    await writeStatus(service, {}, signal);
  }

  async function ensure(service: Service, to: readonly Node[], signal: AbortSignal): Promise<void> {
    event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
    if (!hasFinalizer(service)) {
      try {
        await patch(service, { metadata: { finalizers: [FINALIZER] } }, signal);
      } catch (error) {
        throw failed("failed to add load balancer cleanup finalizer", error);
      }
    }
    if (to.length === 0) noNodes(service);
    let status: LoadBalancerStatus;
    try {
      status = await balancers.ensure(clusterName, service, to, signal);
    } catch (error) {
      if (isImplementedElsewhere(error)) return;
      throw failed("failed to ensure load balancer", error);
    }
    event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
    await writeStatus(service, status, signal);
  }

  async function updateNodes(service: Service, to: readonly Node[], signal: AbortSignal): Promise<void> {
    metrics.balancerSyncs.add(1);
    const startedAt = clock.monotonicMs();
    try {
      await balancers.updateNodes(clusterName, service, to, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isImplementedElsewhere(error)) return;
      // It matters only while there is a balancer.
      const exists = await balancers.get(clusterName, service, signal).catch(() => ({}));
      if (exists === undefined) return;
      metrics.nodeSyncErrors.add(1);
      const message = `Error updating load balancer with new hosts ${nodeNames(to)} [node names limited, total number of nodes: ${to.length}], error: ${(error as Error).message}`;
      event(service, "Warning", "UpdateLoadBalancerFailed", message);
      throw error;
    } finally {
      metrics.hostUpdateSeconds.observe((clock.monotonicMs() - startedAt) / 1000);
    }
    if (to.length === 0) noNodes(service);
    else event(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts");
  }

  const noNodes = (service: Service): void =>
    event(service, "Warning", "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer");

  /** The Service vanished, or another came under its name, without a finalizer to wait for us. */
  async function removeVanished(service: Service, signal: AbortSignal): Promise<void> {
    event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
    try {
      await balancers.delete(clusterName, service, signal);
    } catch (error) {
      signal.throwIfAborted();
      event(
        service,
        "Warning",
        "DeleteLoadBalancerFailed",
        `Error deleting load balancer: ${(error as Error).message}`,
      );
      throw error;
    }
    event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
  }

  /** Brings the Service's balancer to what the Service says. */
  async function bring(key: CacheKey, { signal, log }: ReconcileContext): Promise<ReconcileResult> {
    const service = services.byKey(key);
    const former = seen.get(key);
    if (former !== undefined && former.metadata.uid !== service?.metadata.uid) {
      await removeVanished(former, signal);
      seen.delete(key);
      known.delete(key);
    }
    if (service === undefined) return done;
    const to = balancedNodes(nodes.list());
    const plan = planService(service, known.get(key), to);
    if (plan === "nothing") return done;
    const last = { service, nodes: nodesText(to) };
    // Should this fail, nothing is known, and the next try begins from the start.
    known.delete(key);
    if (plan !== "delete") seen.set(key, service);
    try {
      if (plan === "delete") {
        await remove(service, signal);
        seen.delete(key);
        return done;
      }
      await (plan === "ensure" ? ensure(service, to, signal) : updateNodes(service, to, signal));
      known.set(key, last);
      return done;
    } catch (error) {
      signal.throwIfAborted();
      if (plan !== "update-nodes")
        event(service, "Warning", "SyncLoadBalancerFailed", `Error syncing load balancer: ${(error as Error).message}`);
      const retryMs = retryAfterOf(error) ?? retryAfterOf((error as Error).cause);
      if (retryMs === undefined) throw error;
      log.info("load balancer is not there yet", { service: key, retryMs });
      return requeueAfter(retryMs);
    }
  }

  return defineController<Service>(deps, {
    name: "service-lb",
    for: Service,
    changed: (service, old) =>
      needsCleanup(service) || (old === undefined ? wantsLoadBalancer(service) : needsUpdate(old, service)),
    watches: [
      mapped(Node, (node, old) =>
        nodes.byKey(cacheKeyOf(node)) === node && !nodeMatters(old, node) ? [] : nodeSync.started(seen.keys()),
      ),
    ],
    workers: flags.concurrentServiceSyncs,
    baseDelayMs: FIRST_RETRY_MS,
    maxDelayMs: MAX_RETRY_MS,
    async reconcile(key, context) {
      try {
        return await bring(key, context);
      } finally {
        nodeSync.ended(key);
      }
    },
  });
}

const failed = (what: string, cause: unknown): Error =>
  new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
