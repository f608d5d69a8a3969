import type { Clock, Logger, TaskScope } from "@coracle/base";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import type { PathRoutes } from "../server/dispatch.ts";
import { sendText } from "../server/responder.ts";
import { followFlowObjects } from "./configuration.ts";
import { dumpPriorityLevels, dumpQueues, dumpRequests } from "./debug-pages.ts";
import { FlowControl } from "./flow-control.ts";
import { renderFlowMetrics } from "./flow-metrics.ts";
import { mandatoryFlowObjects } from "./mandatory.ts";

export interface FlowControlDeps {
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly scope: TaskScope;
  /** Seats of the whole server. */
  readonly serverSeats: number;
}

/** Flow control as the server holds it. */
export interface OpenFlowControl extends Disposable {
  readonly control: FlowControl;
  readonly routes: PathRoutes;
  metrics(): string;
  /** Follows the objects from now on; resolves when those that there are count. */
  start(): Promise<void>;
}

/** Makes flow control; it knows the mandatory levels only until it is started. */
export function openFlowControl(deps: FlowControlDeps): OpenFlowControl {
  const { registry, clock } = deps;
  const control = new FlowControl({
    serverSeats: deps.serverSeats,
    clock,
    mandatory: mandatoryFlowObjects(),
    countOf: ({ group, version, resource }) => registry.resource(group, version, resource)?.count,
  });
  let following: Disposable | undefined;
  return {
    control,
    routes(request) {
      const page = /^\/debug\/api_priority_and_fairness\/(\w+)$/.exec(request.info.path)?.[1];
      if (page === "dump_priority_levels") sendText(request, 200, dumpPriorityLevels(control));
      else if (page === "dump_queues") sendText(request, 200, dumpQueues(control));
      else if (page === "dump_requests") {
        const hasDetails = (request.query.get("includeRequestDetails") ?? "") !== "";
        sendText(request, 200, dumpRequests(control, clock, hasDetails));
      } else return undefined;
      return Promise.resolve();
    },
    metrics: () => renderFlowMetrics(control),
    async start() {
      following = await followFlowObjects({ ...deps, control });
    },
    [Symbol.dispose]: () => following?.[Symbol.dispose](),
  };
}
