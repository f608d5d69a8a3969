import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { peers } from "../differential/peers.ts";
import { startArena, type Arena, type Sides } from "./arena.ts";
import { COUNTED_NODES, COUNTED_ROLLOUTS } from "./counted-rollouts.ts";
import { pictureOf, type Picture } from "./picture.ts";
import { ROLLOUTS } from "./rollouts.ts";
import { NODES } from "./stage.ts";

const { kubeApiserver, kubeControllerManager, etcd } = peers;
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

/** How many calls each counted rollout took on our API server, all of them side by side. */
async function counted(controllers: Sides["controllers"]): Promise<Readonly<Record<string, number>>> {
  await using arena = await startArena({ apiServer: "ours", controllers }, COUNTED_NODES);
  const { admin } = arena;
  const namespaces = await Promise.all(
    Object.entries(COUNTED_ROLLOUTS).map(async ([name, { rollout }], i) => {
      const namespace = `stage-${i}`;
      await admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
      await arena.until("pods can be made", async () => admin.get(ServiceAccount, { namespace, name: "default" }));
      await rollout({ admin, namespace, until: async (what, attempt) => arena.until(`${name}: ${what}`, attempt) });
      return [name, namespace] as const;
    }),
  );
  await sleep(systemClock, QUIET_MS);
  const calls = arena.callsOfControllers();
  const count = (namespace: string): number => calls.filter((call) => call.startsWith(`${namespace} `)).length;
  return Object.fromEntries(namespaces.map(([name, namespace]) => [name, count(namespace)]));
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

    it("and with no more calls, each", { timeout: TIMEOUT_MS }, async () => {
      const [own, theirs] = [await counted("ours"), await counted({ kubeControllerManager })];
      for (const [name, count] of Object.entries(theirs)) expect.soft(own[name], name).toBeLessThanOrEqual(count);
    });

    it("by our controllers on upstream's API server", { timeout: TIMEOUT_MS }, async () => {
      const there = await during({ apiServer: { kubeApiserver, etcd }, controllers: "ours" });
      expect(there).toEqual(await played());
    });
  },
);
