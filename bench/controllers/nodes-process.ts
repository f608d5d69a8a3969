// The simulated nodes: a process of its own, so that their CPU time is nobody's who is measured.
import type { NodesAnswer, NodesFailure, NodesJob } from "./nodes-jobs.ts";
import { changeReadiness } from "./readiness-changes.ts";
import { SimulatedNodes } from "./simulated-nodes.ts";

let nodes: SimulatedNodes | undefined;

async function run(job: NodesJob): Promise<NodesAnswer> {
  if (job.type === "start") {
    nodes = await SimulatedNodes.start(job.target, job.nodes, (error) => {
      process.send?.({ failure: String(error) } satisfies NodesFailure);
    });
    return { lagsMs: [] };
  }
  if (nodes === undefined) throw new Error("there are no nodes");
  return { lagsMs: await changeReadiness(nodes, job.target, job.changes) };
}

process.on("message", (job: NodesJob) => {
  run(job).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ lagsMs: [], error: String(error) } satisfies NodesAnswer),
  );
});
process.on("disconnect", () => process.exit(0));
