import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { createSeededRandom } from "@coracle/base";
import { schedulePod } from "../cycle/schedule-pod.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { defaultPlugins } from "./index.ts";

const node = (name: string): Node => ({
  metadata: { name, labels: { host: name } },
  spec: {},
  status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110" } },
});
const user: Pod = {
  metadata: { name: "p", namespace: "default", uid: "p" },
  spec: { containers: [{ name: "c" }], volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }] },
};
const claim = (
  spec: PersistentVolumeClaim["spec"],
  part: Partial<PersistentVolumeClaim> = {},
): PersistentVolumeClaim => ({ metadata: { name: "data", namespace: "default" }, spec, ...part });
const bound = claim(
  { volumeName: "pv" },
  { metadata: { name: "data", annotations: { "pv.kubernetes.io/bind-completed": "yes" } } },
);
const onB: PersistentVolume = {
  metadata: { name: "pv" },
  spec: {
    nodeAffinity: {
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "host", operator: "In", values: ["b"] }] }] },
    },
  },
};

function place(data: PersistentVolumeClaim | undefined, pv?: PersistentVolume): string {
  const state = new ClusterState();
  for (const name of ["a", "b"]) state.setNode(node(name));
  const plugins = defaultPlugins({
    binder: () => Promise.resolve(),
    owners: { selectorOf: () => undefined },
    budgets: () => [],
    volumes: {
      claim: () => data,
      volume: () => pv,
      storageClass: (name) => ({
        metadata: { name },
        provisioner: "p",
        volumeBindingMode: name === "later" ? "WaitForFirstConsumer" : "Immediate",
      }),
    },
  });
  const decision = schedulePod(user, state, { plugins, random: createSeededRandom(1), startAt: 0 });
  return decision.type === "fits" ? decision.nodeName : decision.message.replace("0/2 nodes are available: ", "");
}

describe("a pod that uses a claim", () => {
  it.each([
    ["it is not there", undefined, undefined, 'persistentvolumeclaim "data" not found.'],
    [
      "it is being deleted",
      claim({}, { metadata: { name: "data", deletionTimestamp: "2026-01-01T00:00:00Z" } }),
      undefined,
      'persistentvolumeclaim "data" is being deleted.',
    ],
    ["it is not bound", claim({}), undefined, "pod has unbound immediate PersistentVolumeClaims."],
    ["it is being bound", claim({ volumeName: "pv" }), onB, "pod has unbound immediate PersistentVolumeClaims."],
    [
      "it lost its volume",
      claim({ volumeName: "pv" }, { status: { phase: "Lost" } }),
      undefined,
      'persistentvolumeclaim "data" bound to non-existent persistentvolume "pv".',
    ],
    [
      "it waits for the pod's node",
      claim({ storageClassName: "later" }),
      undefined,
      "2 node(s) didn't find available persistent volumes to bind.",
    ],
    ["its volume is on one node", bound, onB, "b"],
    [
      "its volume is nowhere near",
      bound,
      { ...onB, spec: { nodeAffinity: { required: { nodeSelectorTerms: [] } } } },
      "2 node(s) didn't match PersistentVolume's node affinity.",
    ],
  ])("%s", (_, data, pv, expected) => expect(place(data, pv)).toBe(expected));
});
