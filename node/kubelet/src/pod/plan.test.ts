import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { containers, podOf, runOf, sandboxOf, sidecar, stateOf } from "./pod-fixture.ts";
import { planPod, type PodPlan, type ProbeResult } from "./plan.ts";
import { NO_RUNTIME_STATE, type RuntimeState } from "./runtime-state.ts";

function plan(pod: Pod, state: RuntimeState, probes: Readonly<Record<string, ProbeResult>> = {}): PodPlan {
  return planPod(
    pod,
    state,
    { liveness: (id) => probes[`${id}/liveness`] ?? "unknown", startup: (id) => probes[`${id}/startup`] ?? "unknown" },
    () => "h",
  );
}

/** The plan in a word: `sandbox`, `kill-pod`, `kill NAME`, `start NAME`. */
function words(result: PodPlan): string {
  return [
    ...(result.killPod ? ["kill-pod"] : []),
    ...(result.createSandbox ? ["sandbox"] : []),
    ...result.kill.map(({ run }) => `kill ${run.name}`),
    ...result.start.map((name) => `start ${name}`),
  ].join(", ");
}

const never = { restartPolicy: "Never" };
const onFailure = { restartPolicy: "OnFailure" };
const init = { initContainers: containers("i1", "i2") };
const dead = sandboxOf({ isReady: false });

describe("a pod's next step", () => {
  it.each<[string, Pod, RuntimeState, string]>([
    ["new: a sandbox and its containers", podOf(), NO_RUNTIME_STATE, "sandbox, start c"],
    ["new with init containers: the first of them only", podOf(init), NO_RUNTIME_STATE, "sandbox, start i1"],
    ["in a ready sandbox: start", podOf(), stateOf([]), "start c"],
    ["running: nothing", podOf(), stateOf([runOf("c", "running")]), ""],
    ["ended, Always: again", podOf(), stateOf([runOf("c", 0)]), "start c"],
    ["ended well, OnFailure: over", podOf(onFailure), stateOf([runOf("c", 0)]), "kill-pod"],
    ["failed, OnFailure: again", podOf(onFailure), stateOf([runOf("c", 1)]), "start c"],
    ["failed, Never: over", podOf(never), stateOf([runOf("c", 1)]), "kill-pod"],
    [
      "one of two ended, Never: wait for the other",
      podOf({ ...never, containers: containers("a", "b") }),
      stateOf([runOf("a", 0), runOf("b", "running")]),
      "",
    ],
    ["sandbox died: a new one", podOf(), stateOf([runOf("c", 1)], [dead]), "kill-pod, sandbox, start c"],
    ["sandbox died after all ended, Never: over", podOf(never), stateOf([runOf("c", 0)], [dead]), "kill-pod"],
    [
      "sandbox without an address: a new one",
      podOf(),
      stateOf([], [sandboxOf({ ips: [] })]),
      "kill-pod, sandbox, start c",
    ],
    ["first init container running: wait", podOf(init), stateOf([runOf("i1", "running")]), ""],
    ["first init container done: the second", podOf(init), stateOf([runOf("i1", 0)]), "start i2"],
    ["all init containers done: the others", podOf(init), stateOf([runOf("i1", 0), runOf("i2", 0)]), "start c"],
    ["init container failed, Always: again", podOf(init), stateOf([runOf("i1", 2)]), "start i1"],
    ["init container failed, Never: over", podOf({ ...init, ...never }), stateOf([runOf("i1", 2)]), "kill-pod"],
    ["container restarted later: init containers are not run again", podOf(init), stateOf([runOf("c", 1)]), "start c"],
    [
      "sidecar running: go on beside it",
      podOf({ initContainers: [sidecar("s")] }),
      stateOf([runOf("s", "running")]),
      "start c",
    ],
    [
      "sidecar ended while others run: again",
      podOf({ initContainers: [sidecar("s")] }),
      stateOf([runOf("s", 1), runOf("c", "running")]),
      "start s",
    ],
    [
      "job done beside a sidecar: over",
      podOf({ initContainers: [sidecar("s")], ...never }),
      stateOf([runOf("s", "running"), runOf("c", 0)]),
      "kill-pod",
    ],
    [
      "specification changed: stop and start",
      podOf(),
      stateOf([runOf("c", "running", { hash: "old" })]),
      "kill c, start c",
    ],
    [
      "ephemeral container asked for: start once",
      podOf({ ephemeralContainers: [{ name: "e", image: "i" }] }),
      stateOf([runOf("c", "running")]),
      "start e",
    ],
  ])("%s", (_name, pod, state, expected) => expect(words(plan(pod, state))).toBe(expected));

  it("stops a container whose liveness probe failed, and starts it again unless the pod never restarts", () => {
    const state = stateOf([runOf("c", "running")]);
    expect(words(plan(podOf(), state, { "c-run/liveness": "failure" }))).toBe("kill c, start c");
    expect(words(plan(podOf(never), state, { "c-run/liveness": "failure" }))).toBe("kill c");
  });

  it("lets the containers wait until a sidecar's startup probe succeeded", () => {
    const pod = podOf({ initContainers: [{ ...sidecar("s"), startupProbe: {} }] });
    const state = stateOf([runOf("s", "running")]);
    expect(words(plan(pod, state))).toBe("");
    expect(words(plan(pod, state, { "s-run/startup": "success" }))).toBe("start c");
  });

  it("follows a container's own restart rules before the pod's policy", () => {
    const rules = [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }];
    const pod = podOf({
      ...never,
      containers: [{ name: "c", image: "i", restartPolicy: "Never", restartPolicyRules: rules }],
    });
    expect(words(plan(pod, stateOf([runOf("c", 42)])))).toBe("start c");
    expect(words(plan(pod, stateOf([runOf("c", 1)])))).toBe("kill-pod");
  });
});
