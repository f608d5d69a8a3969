import { Node } from "@coracle/api/core/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { Instances } from "../provider/cloud-provider.ts";
import { isReady, planTaints } from "./plan.ts";

/**
 * Deletes nodes whose machines are gone, and taints those whose machines are off. The cloud is asked of nodes that are not
 * ready, every `periodMs`; of no others.
 */
export function createCloudNodeLifecycleController(
  deps: ControllerDeps,
  instances: Instances,
  periodMs: number,
): Controller {
  const { client, informers, recorder } = deps;
  const nodes = informers.informer(Node).lister;

  async function remove(node: Node, signal: AbortSignal): Promise<void> {
    const { name = "", uid } = node.metadata;
    const reference = { apiVersion: "v1", kind: "Node", name, ...(uid === undefined ? {} : { uid }) };
    const message = `Deleting node ${name} because it does not exist in the cloud provider`;
    recorder.event(reference, "Normal", "DeletingNode", message);
    try {
      // Not one that came under its name meanwhile.
      await client.delete(Node, { name }, { preconditions: { uid }, signal });
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return;
      const why = (error as Error).message;
      recorder.event(reference, "Warning", "DeletingNodeFailed", `Failed deleting node ${name}: ${why}`);
      throw error;
    }
  }

  const stateOf = async (node: Node, signal: AbortSignal): Promise<"off" | "unknown"> =>
    (await instances.isShutDown(node, signal)) ? "off" : "unknown";

  return defineController<Node>(deps, {
    name: "cloud-node-lifecycle",
    for: Node,
    changed: (node, old) => old === undefined || isReady(old) !== isReady(node),
    workers: 1,
    maxDelayMs: periodMs,
    async reconcile(name, { signal, log }) {
      const node = nodes.byKey(name);
      if (node === undefined) return done;
      if (!isReady(node) && !(await instances.exists(node, signal))) {
        log.info("the cloud has no such machine; the node goes", { node: name });
        await remove(node, signal);
        return done;
      }
      const taints = planTaints(node, isReady(node) ? "runs" : await stateOf(node, signal));
      if (taints !== undefined) await client.update(Node, { ...node, spec: { ...node.spec, taints } }, { signal });
      return isReady(node) ? done : requeueAfter(periodMs);
    },
  });
}
