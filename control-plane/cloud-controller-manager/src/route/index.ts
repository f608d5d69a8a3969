import { Node } from "@coracle/api/core/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { CloudControllerManagerFlags } from "../flags.ts";
import { isWithin } from "../addresses/ranges.ts";
import type { Routes } from "../provider/cloud-provider.ts";
import { planNetworkCondition, planRoutes } from "./plan.ts";

/**
 * Keeps one route to each node's pods, and says in the node's condition whether there is one. All routes are looked at in
 * one pass, when a node's ranges or addresses change and every `--route-reconciliation-period`.
 */
export function createRouteController(
  deps: ControllerDeps,
  routes: Routes,
  flags: CloudControllerManagerFlags,
): Controller {
  const { client, informers, clock, recorder, logger } = deps;
  const { clusterName, clusterCidr, routeReconciliationPeriodMs: periodMs } = flags;
  const nodes = informers.informer(Node).lister;
  const isOurs = (cidr: string): boolean => clusterCidr.some((range) => isWithin(cidr, range));
  /** Changes since the last pass began. Whichever node's turn comes first, its pass is for all. */
  let isStale = true;
  const known = new Set<string>();
  /** Whose timer brings the next pass. */
  let timekeeper: string | undefined;

  async function pass(signal: AbortSignal): Promise<void> {
    const all = nodes.list();
    const plan = planRoutes(all, await routes.list(clusterName, signal), isOurs);
    for (const route of plan.remove) {
      try {
        await routes.delete(clusterName, route, signal);
      } catch (error) {
        isStale = true;
        logger.warn("route could not be deleted", { route: route.name, destination: route.destinationCidr, error });
      }
    }
    const cut = new Set<string>();
    for (const { node, destinationCidr } of plan.create) {
      const { name = "", uid = "" } = node.metadata;
      const startedAt = clock.monotonicMs();
      try {
        const targetNodeAddresses = node.status?.addresses ?? [];
        await routes.create(clusterName, uid, { targetNode: name, targetNodeAddresses, destinationCidr }, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        cut.add(name);
        const after = `${((clock.monotonicMs() - startedAt) / 1000).toFixed(3)}s`;
        const message = `Could not create route ${uid} ${destinationCidr} for node ${name} after ${after}: ${(error as Error).message}`;
        recorder.event({ apiVersion: "v1", kind: "Node", name, uid }, "Warning", "FailedToCreateRoute", message);
      }
    }
    for (const node of all) {
      if ((node.spec?.podCIDRs ?? []).length === 0) continue;
      const { name = "" } = node.metadata;
      const condition = planNetworkCondition(node, !cut.has(name), clock.now());
      if (condition === undefined) continue;
      try {
        const status = { conditions: [condition] };
        await client.patch(Node, { name }, "strategic", { status }, { subresource: "status", signal });
      } catch (error) {
        if (isConflict(error)) isStale = true;
        else if (!isNotFound(error)) throw error;
      }
    }
    if (cut.size > 0) throw new Error(`no route to ${[...cut].join(", ")}`);
  }

  return defineController<Node>(deps, {
    name: "route",
    for: Node,
    changed(node, old) {
      const isNews =
        old === undefined ||
        JSON.stringify([old.spec?.podCIDRs, old.status?.addresses]) !==
          JSON.stringify([node.spec?.podCIDRs, node.status?.addresses]);
      isStale ||= isNews;
      return isNews;
    },
    workers: 1,
    maxDelayMs: Math.max(periodMs, 1000),
    async reconcile(name, { signal }) {
      if (nodes.byKey(name) !== undefined) known.add(name);
      else if (known.delete(name)) isStale = true; // it went, and its route must
      if (!isStale && name !== timekeeper) return done;
      isStale = false;
      timekeeper = name;
      try {
        await pass(signal);
      } catch (error) {
        isStale = true;
        throw error;
      }
      return requeueAfter(periodMs);
    },
  });
}
