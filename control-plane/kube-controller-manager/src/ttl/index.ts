import { Node } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { secondsOf, stepFor } from "./plan.ts";

const ANNOTATION = "node.alpha.kubernetes.io/ttl";

/** Tells nodes how long they may keep what they read: the more nodes, the longer. */
export function createTtlController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const nodes = informers.informer(Node).lister;
  let step = 0;
  return defineController<Node>(deps, {
    name: "ttl",
    for: Node,
    changed: (node, old) =>
      old === undefined || node.metadata.annotations?.[ANNOTATION] !== old.metadata.annotations?.[ANNOTATION],
    async reconcile(name, { signal }) {
      const former = step;
      step = stepFor(nodes.size, step);
      const wanted = String(secondsOf(step));
      // A new step is for all nodes; most of the time it is for none but this one.
      for (const node of step === former ? [nodes.byKey(name)] : nodes.list()) {
        if (node === undefined || node.metadata.annotations?.[ANNOTATION] === wanted) continue;
        const metadata = { annotations: { [ANNOTATION]: wanted } };
        try {
          await client.patch(Node, { name: node.metadata.name ?? "" }, "strategic", { metadata }, { signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
      return done;
    },
  });
}
