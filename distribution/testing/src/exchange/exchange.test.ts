import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { startArena, type Arena, type Sides } from "./arena.ts";
import { rollOutHundredPods } from "./hundred-pods.ts";
import { pictureOf, type Picture } from "./picture.ts";
import { ROLLOUTS } from "./rollouts.ts";
import { NODES } from "./stage.ts";

const {
  CORACLE_PEER_KUBE_APISERVER: kubeApiserver = "",
  CORACLE_PEER_KUBE_CONTROLLER_MANAGER: kubeControllerManager = "",
  CORACLE_PEER_ETCD: etcd = "etcd",
} = process.env;
const TIMEOUT_MS = 600_000;
/** So long nothing is to change before a picture is taken. */
const QUIET_MS = 2000;

/** All rollouts side by side, each in a namespace of its own. */
async function play(arena: Arena): Promise<Readonly<Record<string, Picture>>> {
  const { admin } = arena;
  const pictures = await Promise.all(
    Object.entries(ROLLOUTS).map(async ([name, rollout], i) => {
      const namespace = `stage-${i}`;
      await admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
      await arena.until("pods can be made", async () => admin.get(ServiceAccount, { namespace, name: "default" }));
      await rollout({ admin, namespace, until: async (what, attempt) => arena.until(`${name}: ${what}`, attempt) });
      // What is told of the end comes a moment later.
      let before = "";
      return [
        name,
        await arena.until(`${name}: nothing changes any more`, async () => {
          await sleep(systemClock, QUIET_MS);
          const picture = await pictureOf(admin, namespace);
          const text = JSON.stringify(picture);
          const isQuiet = text === before;
          before = text;
          return isQuiet && picture;
        }),
      ] as const;
    }),
  );
  return Object.fromEntries(pictures);
}

async function during(sides: Sides): Promise<Readonly<Record<string, Picture>>> {
  await using arena = await startArena(sides, NODES);
  return await play(arena);
}

// Needs upstream's programs: CORACLE_PEER_KUBE_APISERVER, CORACLE_PEER_KUBE_CONTROLLER_MANAGER and CORACLE_PEER_ETCD say where they are.
describe.skipIf(kubeApiserver === "" || kubeControllerManager === "")(
  "the same rollouts end in the same objects",
  () => {
    let ours: Promise<Readonly<Record<string, Picture>>> | undefined;
    const played = () => (ours ??= during({ apiServer: "ours", controllers: "ours" }));

    it("by upstream's controllers on our API server", { timeout: TIMEOUT_MS }, async () => {
      const theirs = await during({ apiServer: "ours", controllers: { kubeControllerManager } });
      expect(await played()).toEqual(theirs);
    });

    it("and of a hundred pods with no more calls", { timeout: TIMEOUT_MS }, async () => {
      const calls = async (controllers: Sides["controllers"]): Promise<number> => {
        await using arena = await startArena({ apiServer: "ours", controllers }, NODES);
        const { admin } = arena;
        const namespace = "stage";
        await admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
        await arena.until("pods can be made", async () => admin.get(ServiceAccount, { namespace, name: "default" }));
        await rollOutHundredPods({ admin, namespace, until: async (what, attempt) => arena.until(what, attempt) });
        await sleep(systemClock, QUIET_MS);
        return arena.callsOfControllers().filter((call) => call.startsWith(`${namespace} `)).length;
      };
      expect(await calls("ours")).toBeLessThanOrEqual(await calls({ kubeControllerManager }));
    });

    it("by our controllers on upstream's API server", { timeout: TIMEOUT_MS }, async () => {
      const there = await during({ apiServer: { kubeApiserver, etcd }, controllers: "ours" });
      expect(there).toEqual(await played());
    });
  },
);
