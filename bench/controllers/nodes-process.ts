// The simulated nodes: a process of its own, so that their CPU time is nobody's who is measured.
import type { NodesAnswer, NodesJob } from "./nodes-jobs.ts";
import { changeReadiness } from "./readiness-changes.ts";
import { SimulatedNodes } from "./simulated-nodes.ts";

let nodes: SimulatedNodes | undefined;

async function run(job: NodesJob): Promise<NodesAnswer> {
  if (job.type === "start") {
    nodes = await SimulatedNodes.start(job.target, job.nodes);
    return { lagsMs: [] };
  }
  if (nodes === undefined) throw new Error("there are no nodes");
  const lagsMs = await changeReadiness(nodes, job.target, job.changes);
  if (nodes.failure !== undefined) throw nodes.failure;
  return { lagsMs };
}

process.on("message", (job: NodesJob) => {
  run(job).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ lagsMs: [], error: String(error) } satisfies NodesAnswer),
  );
});
process.on("disconnect", () => process.exit(0));
