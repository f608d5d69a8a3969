import { TaskScope } from "@coracle/base";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import { createPodClaimController } from "./pod-claim-controller.ts";
import { createReservationController } from "./reservation-controller.ts";

/** Makes the claims that pods ask for by template, and gives devices back that nobody uses any more. */
export function createResourceClaimController(
  deps: ControllerDeps,
  workers: number,
  monitor: StorageMonitor,
): Controller {
  const halves = [createPodClaimController(deps, workers, monitor), createReservationController(deps, workers)];
  return {
    name: "resource-claim",
    async run(signal) {
      await using scope = new TaskScope(signal);
      for (const half of halves) scope.run(async (running) => half.run(running));
      await scope.join();
    },
  };
}
