import { isPod, type Plugin } from "../framework/plugin.ts";

/** Keeps pods with `spec.schedulingGates` out of the queue until the last gate is gone. */
export const schedulingGates: Plugin = {
  name: "SchedulingGates",
  events: ["pod-gates-removed"],
  isHelpful: (pod, { current }) => isPod(pod, current),
  preEnqueue(pod) {
    const gates = pod.spec.schedulingGates ?? [];
    return gates.length === 0
      ? undefined
      : `waiting for scheduling gates: ${JSON.stringify(gates.map((gate) => gate.name))}`;
  },
};
