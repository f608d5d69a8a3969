import { Node } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import {
  defineController,
  done,
  inParallel,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { CloudControllerManagerFlags } from "../flags.ts";
import { isWithin } from "../addresses/ranges.ts";
import type { Routes } from "../provider/cloud-provider.ts";
import { planNetworkCondition, planRoutes } from "./plan.ts";

/** The only key: whatever changed, one pass is for all. No node is called so. */
const ALL = "*";
/** Requests of a kind under way. */
const AT_A_TIME = 20;

const rangesAndAddresses = ({ spec, status }: Node): string => JSON.stringify([spec?.podCIDRs, status?.addresses]);

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
  async function pass(signal: AbortSignal): Promise<void> {
    const all = nodes.list();
    const plan = planRoutes(all, await routes.list(clusterName, signal), isOurs);
    let failures = 0;
    await inParallel(plan.remove, AT_A_TIME, async (route) => {
      try {
        await routes.delete(clusterName, route, signal);
      } catch (error) {
        signal.throwIfAborted();
        failures += 1;
        logger.warn("route could not be deleted", { route: route.name, destination: route.destinationCidr, error });
      }
    });
    const cut = new Set<string>();
    await inParallel(plan.create, AT_A_TIME, async ({ node, destinationCidr }) => {
      const { name = "", uid = "" } = node.metadata;
      const startedAt = clock.monotonicMs();
      try {
        const targetNodeAddresses = node.status?.addresses ?? [];
        await routes.create(clusterName, uid, { targetNode: name, targetNodeAddresses, destinationCidr }, signal);
      } catch (error) {
        signal.throwIfAborted();
        cut.add(name);
        const after = `${((clock.monotonicMs() - startedAt) / 1000).toFixed(3)}s`;
        const message = `Could not create route ${uid} ${destinationCidr} for node ${name} after ${after}: ${(error as Error).message}`;
        recorder.event({ apiVersion: "v1", kind: "Node", name, uid }, "Warning", "FailedToCreateRoute", message);
      }
    });
    const withRanges = all.filter(({ spec }) => (spec?.podCIDRs ?? []).length > 0);
    await inParallel(withRanges, AT_A_TIME, async (node) => {
      const { name = "" } = node.metadata;
      const condition = planNetworkCondition(node, !cut.has(name), clock.now());
      if (condition === undefined) return;
      try {
        const status = { conditions: [condition] };
        await client.patch(Node, { name }, "strategic", { status }, { subresource: "status", signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    });
    if (cut.size > 0) throw new Error(`no route to ${[...cut].join(", ")}`);
    if (failures > 0) throw new Error(`${failures} routes that lead nowhere are left`);
  }

  return defineController<Node>(deps, {
    name: "route",
    for: Node,
    changed: () => false,
    watches: [
      mapped(Node, (node, old) =>
        old === undefined || rangesAndAddresses(old) !== rangesAndAddresses(node) ? [ALL] : [],
      ),
    ],
    workers: 1,
    maxDelayMs: Math.max(periodMs, 1000),
    // Without any node, too, routes of former ones may be left.
    started: ({ enqueue }) => enqueue(ALL),
    async reconcile(key, { signal }) {
      // A node that went: its own key comes with the one for all.
      if (key !== ALL) return done;
      await pass(signal);
      return requeueAfter(periodMs);
    },
  });
}
