import { Deployment } from "@coracle/api/apps/v1";
import { Event, Node, Pod } from "@coracle/api/core/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };

describe("nodes that fall silent, with time in the test's hand", () => {
  let plane: TestControlPlane;

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    for (const name of ["n1", "n2"]) await plane.addNode({ name, shortImage: "task:ok", failingImage: "task:bad" });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  const nodes = async (): Promise<readonly Node[]> => (await plane.admin.list(Node)).items;
  const isDriven = ({ spec }: Node): boolean => (spec?.taints ?? []).some(({ effect }) => effect === "NoExecute");
  const isSilent = ({ status }: Node): boolean =>
    status?.conditions?.some(({ type, status: holds }) => type === "Ready" && holds === "Unknown") === true;
  const slowly = { limitMs: 600_000, stepMs: 1000 };

  it("when all do, it is more likely us: nobody is driven away, until one is back", async () => {
    await plane.admin.create(Deployment, {
      metadata: { name: "web", namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "web" }] } },
      },
    });
    const names = async (): Promise<string[]> =>
      (await plane.admin.list(Pod, { namespace })).items.map(({ metadata }) => metadata.name ?? "").toSorted();
    await plane.until(
      "two pods run",
      async () =>
        (await plane.admin.list(Pod, { namespace })).items.filter(({ status }) => status?.phase === "Running")
          .length === 2,
    );
    const before = await names();
    for (const name of ["n1", "n2"]) plane.silenceNode(name);
    await plane.until("both are Unknown", async () => (await nodes()).every(isSilent), slowly);
    await plane.until("none drives its pods away", async () => !(await nodes()).some(isDriven), slowly);
    const until = plane.clock.now() + 400_000;
    await plane.until("time passes", () => plane.clock.now() > until, slowly);
    expect(await names()).toEqual(before);
    expect((await nodes()).filter(isDriven)).toEqual([]);

    await plane.addNode({ name: "n3", shortImage: "task:ok", failingImage: "task:bad" });
    await plane.until(
      "the others are given up",
      async () =>
        (await nodes())
          .filter(isDriven)
          .map(({ metadata }) => metadata.name)
          .join() === "n1,n2",
      slowly,
    );
  });

  it("pods leave a tainted node when each has had its time, and stay when the taint goes before", async () => {
    const created = async (name: string, tolerationSeconds: number): Promise<void> => {
      await plane.admin.create(Pod, {
        metadata: { name, namespace },
        spec: {
          nodeName: "n1",
          tolerations: [{ key: "leak", operator: "Exists", effect: "NoExecute", tolerationSeconds }],
          containers: [{ name: "c", image: "web" }],
        },
      });
    };
    // As `kubectl taint` writes it: without the time it came.
    const taint = async (taints: readonly { readonly key: string; readonly effect: string }[]): Promise<void> => {
      await plane.admin.patch(Node, { name: "n1" }, "merge", { spec: { taints } });
    };
    const names = async (): Promise<string> =>
      (await plane.admin.list(Pod, { namespace })).items.map(({ metadata }) => metadata.name).join();
    const pass = async (ms: number): Promise<void> => {
      const until = plane.clock.now() + ms;
      await plane.until("time passes", () => plane.clock.now() > until, slowly);
    };
    await created("hasty", 30);
    await created("patient", 120);

    await taint([{ key: "leak", effect: "NoExecute" }]);
    await pass(10_000);
    await taint([]);
    await plane.until(
      "both are told that they may stay",
      async () =>
        (await plane.admin.list(Event, { namespace })).items.filter(({ message }) =>
          message?.startsWith("Cancelling deletion of Pod default/"),
        ).length === 2,
    );
    await pass(200_000);
    expect(await names()).toBe("hasty,patient");

    await taint([{ key: "leak", effect: "NoExecute" }]);
    await plane.until("the first is gone", async () => (await names()) === "patient", slowly);
    await pass(30_000);
    expect(await names()).toBe("patient");
    await plane.until("the other is gone", async () => (await names()) === "", slowly);
  });

  it("a node that is deleted is told of, and former labels follow today's", async () => {
    await plane.admin.create(Node, { metadata: { name: "other", labels: { "kubernetes.io/os": "linux" } }, spec: {} });
    await plane.until("labelled", async () => {
      const { metadata } = await plane.admin.get(Node, { name: "other" });
      return metadata.labels?.["beta.kubernetes.io/os"] === "linux";
    });
    await plane.admin.delete(Node, { name: "other" });
    const told = await plane.until("told", async () =>
      (await plane.admin.list(Event, { namespace })).items.find(({ reason }) => reason === "RemovingNode"),
    );
    expect(told.message).toBe("Node other event: Removing Node other from Controller");
  });
});
