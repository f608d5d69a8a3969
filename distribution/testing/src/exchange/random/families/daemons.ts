import { ControllerRevision, DaemonSet } from "@coracle/api/apps/v1";
import { Node } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { any } from "../../picture.ts";
import { keyOf, type Actor, type Family } from "../actor.ts";
import { HISTORY_LABEL } from "../camera.ts";
import { POD_STEPS, webTemplate } from "./pods.ts";

const strategy = (actor: Actor): object => {
  if (actor.chance(0.2)) return { type: "OnDelete", rollingUpdate: null };
  const maxSurge = actor.pick([0, 0, 1, "50%"]);
  return {
    type: "RollingUpdate",
    rollingUpdate: { maxSurge, maxUnavailable: maxSurge === 0 ? actor.pick([1, 2, "40%"]) : 0 },
  };
};

/** Keeps the pods of other histories away. */
const OWN_TAINT = { key: HISTORY_LABEL, effect: "NoSchedule" };

/** Only on the history's own nodes, and on those not ready or tainted as the template says. */
const daemon = (actor: Actor, image: string) => {
  const { metadata, spec } = webTemplate(actor, "agent", image);
  const own = { key: OWN_TAINT.key, operator: "Exists" };
  const tolerations = actor.chance(0.4) ? [own, { key: "dedicated", operator: "Exists" }] : [own];
  return { metadata, spec: { ...spec, nodeSelector: { [HISTORY_LABEL]: actor.namespace }, tolerations } };
};

async function make(actor: Actor): Promise<void> {
  await actor.create(any(DaemonSet), {
    metadata: actor.key("agent"),
    spec: {
      selector: { matchLabels: { app: "agent" } },
      updateStrategy: strategy(actor),
      minReadySeconds: actor.pick([0, 0, 1]),
      revisionHistoryLimit: actor.pick([0, 1, 10]),
      template: daemon(actor, "web:1"),
    },
  });
}

async function addNode(actor: Actor, name: string): Promise<void> {
  const labels = {
    [HISTORY_LABEL]: actor.namespace,
    disk: actor.pick(["ssd", "hdd"]),
    "topology.kubernetes.io/zone": "z1",
  };
  await actor.place.addNode({
    name: `${actor.namespace}-${name}`,
    labels,
    taints: [OWN_TAINT],
    brokenImage: "web:broken",
    shortImage: "task:ok",
    failingImage: "task:bad",
  });
}

const change = async (actor: Actor, spec: object): Promise<void> =>
  actor.merge(any(DaemonSet), actor.one(DaemonSet), { spec });

/** Upstream's controller does not count anew for every change of a node. */
async function lookAgain(actor: Actor): Promise<void> {
  for (const set of actor.all(DaemonSet))
    await actor.merge(any(DaemonSet), set, { metadata: { annotations: { look: String(actor.below(1e9)) } } });
}

const condition = (status: string, reason: string) => ({
  type: "Ready",
  status,
  reason,
  message: "",
  lastHeartbeatTime: new Date().toISOString(),
  lastTransitionTime: new Date().toISOString(),
});

/** Daemons, and nodes that come, go, are tainted and fail. */
export const daemons: Family = {
  quietMs: 900,
  // Pods of a node that is gone are collected within a minute.
  patienceMs: 70_000,
  async begin(actor) {
    for (const name of ["a", "b", "c", "d"].slice(0, 2 + actor.below(3))) await addNode(actor, name);
    await make(actor);
  },
  steps: {
    ...POD_STEPS,
    "one is made": make,
    async "it gets another template"(actor) {
      await change(actor, { template: daemon(actor, actor.pick(["web:1", "web:2", "web:3", "web:broken"])) });
    },
    async "it is for other nodes"(actor) {
      const nodeSelector = { disk: actor.pick(["ssd", "hdd", null]) };
      await change(actor, { template: { spec: { nodeSelector } } });
    },
    async "its strategy changes"(actor) {
      await change(actor, { updateStrategy: strategy(actor) });
    },
    async "its limits change"(actor) {
      await change(actor, { revisionHistoryLimit: actor.below(3), minReadySeconds: actor.below(2) });
    },
    async "it is deleted"(actor) {
      await actor.remove(DaemonSet, actor.one(DaemonSet));
    },
    async "a revision is deleted"(actor) {
      await actor.admin.delete(ControllerRevision, keyOf(actor.one(ControllerRevision)));
    },
    async "a node is labelled otherwise"(actor) {
      await actor.merge(any(Node), actor.one(Node), { metadata: { labels: { disk: actor.pick(["ssd", "hdd"]) } } });
    },
    async "a node is tainted, or no more"(actor) {
      const node = actor.one(Node);
      const effect = actor.pick(["NoSchedule", "NoExecute", "PreferNoSchedule"]);
      const own = (node.spec?.taints ?? []).filter((each) => each.key !== "dedicated");
      const isTainted = own.length < (node.spec?.taints ?? []).length;
      await actor.merge(any(Node), node, {
        spec: { taints: isTainted ? own : [...own, { key: "dedicated", effect }] },
      });
      await lookAgain(actor);
    },
    async "a node is cordoned, or no more"(actor) {
      const node = actor.one(Node);
      await actor.merge(any(Node), node, { spec: { unschedulable: node.spec?.unschedulable !== true } });
    },
    async "a node is not ready, or is again"(actor) {
      const node = actor.one(Node);
      const isReady = node.status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") === true;
      const conditions = [isReady ? condition("False", "KubeletNotReady") : condition("True", "KubeletReady")];
      await actor.admin.patch(Node, keyOf(node), "strategic", { status: { conditions } }, { subresource: "status" });
      const isTainted = async (): Promise<boolean> =>
        ((await actor.admin.get(Node, keyOf(node))).spec?.taints ?? []).some(({ key }) => key.endsWith("/not-ready"));
      while ((await isTainted()) !== isReady) await sleep(systemClock, 100);
      await lookAgain(actor);
    },
    async "a node comes"(actor) {
      const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
      const known = new Set(actor.all(Node).map(({ metadata }) => metadata.name));
      const free = names.filter((name) => !known.has(`${actor.namespace}-${name}`));
      await addNode(actor, actor.pick(free));
    },
    async "a node goes"(actor) {
      const node = actor.one(Node);
      actor.place.silenceNode(node.metadata.name ?? "");
      await actor.admin.delete(Node, keyOf(node));
    },
  },
};
