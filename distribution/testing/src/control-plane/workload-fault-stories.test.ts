import { DaemonSet, Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import { Pod, ServiceAccount } from "@coracle/api/core/v1";
import { createSeededRandom, isAbort, silentLogger, type Clock } from "@coracle/base";
import { createApiClient, type Transport } from "@coracle/client";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFaultyTransport, type Faults } from "./faulty-transport.ts";
import { followPods, type PodHistory } from "./pod-history.ts";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };
const selector = { matchLabels: labels };
const REPLICAS = 10;
const SURGE = 3;
const UNAVAILABLE = 2;

const template = (image: string) => ({
  metadata: { labels },
  spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image }] },
});
const deployment = (name = "web", replicas = REPLICAS): Deployment => ({
  metadata: { name, namespace },
  spec: {
    replicas,
    selector: { matchLabels: { ...labels, of: name } },
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: SURGE, maxUnavailable: UNAVAILABLE } },
    template: { ...template("web:1"), metadata: { labels: { ...labels, of: name } } },
  },
});
const task = (image: string) => ({
  metadata: { labels: { app: "task" } },
  spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 0, containers: [{ name: "task", image }] },
});

/** A clock that somebody sets. */
function settable(clock: Clock): Clock & { set(offsetMs: number): void } {
  let offset = 0;
  return {
    ...clock,
    now: () => clock.now() + offset,
    monotonicMs: () => clock.monotonicMs(),
    set: (ms) => void (offset = ms),
  };
}

/** For a machine with much else to do. */
const TIMEOUT_MS = 300_000;

describe("workloads when things go wrong", { timeout: TIMEOUT_MS }, () => {
  let plane: TestControlPlane;
  let history: PodHistory;

  /** Starts a controller manager; answers how to kill it: nothing of it is finished. */
  function manage(options: { faults?: Faults; leads?: string; clock?: Clock; seed?: number } = {}): () => void {
    const { faults = {}, leads, clock = plane.clock, seed = 1 } = options;
    const end = new AbortController();
    plane.run("kube-controller-manager", async (signal) => {
      signal.addEventListener("abort", () => end.abort(signal.reason), { once: true });
      const transport: Transport = createFaultyTransport(
        plane.transportOf("kubernetes-admin", "system:masters"),
        faults,
        plane.clock,
        createSeededRandom(seed),
      );
      await runControllerManager({
        client: createApiClient({
          transport,
          clock: plane.clock,
          random: createSeededRandom(seed),
          userAgent: "controllers",
        }),
        identity: leads,
        flags: { ...defaultFlags, leaderElect: leads !== undefined, nodeMonitorGracePeriodMs: 86_400_000 * 100 },
        logger: silentLogger,
        signal: end.signal,
        clock,
        random: createSeededRandom(seed),
      }).catch((error: unknown) => {
        if (!end.signal.aborted && !isAbort(error, end.signal)) throw error;
      });
    });
    return () => end.abort(new DOMException("killed", "AbortError"));
  }

  const isComplete = async (name: string, replicas: number): Promise<boolean> => {
    const { metadata, status } = await plane.admin.get(Deployment, { namespace, name });
    const counts = [status?.replicas, status?.updatedReplicas, status?.availableReplicas];
    return status?.observedGeneration === metadata.generation && counts.every((each) => each === replicas);
  };
  const complete = async (name = "web", replicas = REPLICAS): Promise<void> => {
    await plane.until(`${name} is complete`, () => isComplete(name, replicas), { limitMs: 1_200_000, stepMs: 200 });
  };
  const update = async (image: string, name = "web"): Promise<void> => {
    const spec = { template: { spec: { containers: [{ name: "c", image }] } } };
    await plane.admin.patch(Deployment, { namespace, name }, "strategic", { spec });
  };
  /** From now on the pods of the Deployment are within its bounds at every moment. */
  function holdBounds(): void {
    history.check("surge", ({ live }) => (live.length > REPLICAS + SURGE ? `${live.length} pods` : undefined));
    history.check("availability", ({ ready }) =>
      ready.length < REPLICAS - UNAVAILABLE ? `${ready.length} ready` : undefined,
    );
  }

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true, components: ["kube-scheduler"] });
    for (const name of ["n1", "n2", "n3"]) await plane.addNode({ name, shortImage: "task:ok" });
    plane.run("the watch", async (signal) => {
      const followed = followPods(plane.admin, namespace, signal);
      history = followed;
      await followed.done;
    });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  const faults: Faults = { conflicts: 0.15, throttled: 0.05, errors: 0.05, slow: 0.1, slowMs: 500, watchPieces: 25 };

  it("killed again and again in mid-rollout, the pods stay within their bounds", async () => {
    let kill = manage();
    await plane.admin.create(Deployment, deployment());
    await complete();
    holdBounds();
    let kills = 0;
    history.every(7, () => {
      kill();
      kill = manage({ seed: ++kills });
    });
    await update("web:2");
    await complete();
    expect(kills).toBeGreaterThan(3);
    expect(history.violations).toEqual([]);
  });

  it("a leader that dies in mid-rollout is followed, and the bounds hold", async () => {
    const kill = manage({ leads: "first" });
    await plane.admin.create(Deployment, deployment());
    await complete();
    manage({ leads: "second", seed: 2 });
    holdBounds();
    const before = history.length;
    history.every(1, () => {
      if (history.length > before + 10) kill();
    });
    await update("web:2");
    await complete();
    expect(history.length).toBeGreaterThan(before + 20);
    expect(history.violations).toEqual([]);
  });

  it("with conflicts, throttling, errors, slow answers and watches that end, the bounds hold", async () => {
    manage({ faults });
    await plane.admin.create(Deployment, deployment());
    await complete();
    holdBounds();
    await update("web:2");
    await complete();
    await update("web:1");
    await complete();
    expect(history.violations).toEqual([]);
    const sets = (await plane.admin.list(ReplicaSet, { namespace })).items;
    expect(sets.map((set) => set.spec.replicas).toSorted()).toEqual([0, REPLICAS]);
  });

  it("a Job makes as many pods as it needs, and counts each once, whatever fails", async () => {
    const kill = manage({ faults, seed: 7 });
    history.check("parallelism", ({ live }) => (live.length > 4 ? `${live.length} at work` : undefined));
    await plane.admin.create(Job, {
      metadata: { name: "task", namespace },
      spec: { completions: 20, parallelism: 4, template: task("task:ok") },
    });
    await plane.until("half of it is done", () => history.made >= 10, { limitMs: 1_200_000, stepMs: 100 });
    kill();
    manage({ faults, seed: 8 });
    const status = await plane.until(
      "it is complete",
      async () => {
        const job = await plane.admin.get(Job, { namespace, name: "task" });
        const isDone = job.status?.conditions?.some((each) => each.type === "Complete" && each.status === "True");
        return isDone === true && job.status;
      },
      { limitMs: 1_200_000, stepMs: 200 },
    );
    expect(status).toMatchObject({ succeeded: 20 });
    expect(status.failed ?? 0).toBe(0);
    expect(history.made).toBe(20);
    expect(history.violations).toEqual([]);
  });

  it("of a StatefulSet one pod at a time is away, of a DaemonSet one is on each node", async () => {
    let kill = manage({ faults, seed: 3 });
    const of = (pods: readonly Pod[], app: string) => pods.filter((pod) => pod.metadata.labels?.["app"] === app);
    const key = (name: string) => ({ namespace, name });
    await plane.admin.create(StatefulSet, {
      metadata: key("db"),
      spec: { replicas: 3, serviceName: "db", selector, template: template("web:1") },
    });
    const agent = { metadata: { labels: { app: "agent" } }, spec: template("web:1").spec };
    await plane.admin.create(DaemonSet, {
      metadata: key("agent"),
      spec: { selector: { matchLabels: { app: "agent" } }, template: agent },
    });
    const settled = async (): Promise<void> => {
      await plane.until(
        "both have settled",
        async () => {
          const set = await plane.admin.get(StatefulSet, key("db"));
          const daemons = await plane.admin.get(DaemonSet, key("agent"));
          return (
            set.status?.observedGeneration === set.metadata.generation &&
            [set.status?.updatedReplicas, set.status?.availableReplicas].every((each) => each === 3) &&
            daemons.status?.observedGeneration === daemons.metadata.generation &&
            [daemons.status?.updatedNumberScheduled, daemons.status?.numberAvailable].every((each) => each === 3)
          );
        },
        { limitMs: 1_200_000, stepMs: 200 },
      );
    };
    await settled();
    history.check("db", ({ ready }) => (of(ready, "web").length < 2 ? `${of(ready, "web").length} ready` : undefined));
    history.check("agent", ({ live, ready }) => {
      const nodes = of(live, "agent").map((pod) => pod.spec.nodeName ?? pod.metadata.name);
      if (new Set(nodes).size !== nodes.length) return `two on a node: ${nodes.join()}`;
      return of(ready, "agent").length < 2 ? `${of(ready, "agent").length} ready` : undefined;
    });
    const spec = { template: { spec: { containers: [{ name: "c", image: "web:2" }] } } };
    await plane.admin.patch(StatefulSet, key("db"), "strategic", { spec });
    await plane.admin.patch(DaemonSet, key("agent"), "strategic", { spec });
    for (let i = 0; i < 3; i++) {
      const before = history.length;
      await plane.until("it goes on", () => history.length > before + 3, { limitMs: 600_000, stepMs: 100 });
      kill();
      kill = manage({ faults, seed: 20 + i });
    }
    await settled();
    expect(history.violations).toEqual([]);
  });

  it("an object whose writes always fail holds none of its neighbours up", async () => {
    manage({ faults: { poison: "poison" } });
    await plane.admin.create(Deployment, deployment("poison", 2));
    await plane.admin.create(Job, { metadata: { name: "poison", namespace }, spec: { template: task("task:ok") } });
    await plane.admin.create(Deployment, deployment("web", 3));
    await plane.admin.create(Job, { metadata: { name: "task", namespace }, spec: { template: task("task:ok") } });
    await complete("web", 3);
    await plane.until("the other Job is done", async () => {
      const { status } = await plane.admin.get(Job, { namespace, name: "task" });
      return status?.conditions?.some((each) => each.type === "Complete");
    });
    const pods = (await plane.admin.list(Pod, { namespace })).items;
    expect(pods.filter((pod) => pod.metadata.name?.startsWith("poison"))).toEqual([]);
  });

  it("a clock that is set forward and back changes nothing about the bounds, and starts a CronJob once", async () => {
    const clock = settable(plane.clock);
    manage({ clock });
    await plane.admin.create(Deployment, deployment());
    await plane.admin.create(CronJob, {
      metadata: { name: "tick", namespace },
      spec: { schedule: "0 * * * *", jobTemplate: { spec: { completions: 0, template: task("task:ok") } } },
    });
    await complete();
    holdBounds();
    const offsets = [0, 86_400_000, -3_600_000];
    let jumps = 0;
    history.every(4, () => clock.set(offsets[++jumps % offsets.length] ?? 0));
    await update("web:2");
    await complete();
    expect(jumps).toBeGreaterThan(3);
    history.every(1, () => clock.set(0));
    expect(history.violations).toEqual([]);
    clock.set(86_400_000);
    await plane.admin.patch(CronJob, { namespace, name: "tick" }, "merge", { metadata: { labels: { seen: "anew" } } });
    const jobs = async () => (await plane.admin.list(Job, { namespace })).items;
    await plane.until("one of those missed is made up for", async () => (await jobs()).length > 0);
    clock.set(0);
    await plane.admin.patch(CronJob, { namespace, name: "tick" }, "merge", { metadata: { labels: { seen: "again" } } });
    await plane.until("a while passes", () => plane.clock.now() % 5_000 === 0);
    expect(await jobs()).toHaveLength(1);
  });

  it("pods held by a finalizer for ever do not hold the rollout up", async () => {
    manage();
    const held = deployment("web", 4);
    const finalizers = ["example.com/held"];
    const metadata = { ...held.spec.template.metadata, finalizers };
    await plane.admin.create(Deployment, {
      ...held,
      spec: { ...held.spec, template: { ...held.spec.template, metadata } },
    });
    await complete("web", 4);
    history.check("surge", ({ live }) => (live.length > 4 + SURGE ? `${live.length} pods` : undefined));
    await update("web:2");
    await complete("web", 4);
    expect(history.violations).toEqual([]);
    const { items } = await plane.admin.list(Pod, { namespace });
    expect(items.filter((pod) => pod.metadata.deletionTimestamp !== undefined)).toHaveLength(4);
    expect((await plane.admin.get(Deployment, { namespace, name: "web" })).status?.terminatingReplicas).toBe(4);
  });

  it("two sets with one selector each keep their own, and share what is nobody's without a fight", async () => {
    manage();
    const orphan = (i: number) => ({
      metadata: { name: `orphan-${i}`, namespace, labels },
      spec: template("web:1").spec,
    });
    await plane.until("pods can be made", async () => plane.admin.get(ServiceAccount, { namespace, name: "default" }));
    for (const i of [1, 2]) await plane.admin.create(Pod, orphan(i));
    for (const [name, replicas] of [
      ["one", 3],
      ["two", 4],
    ] as const)
      await plane.admin.create(ReplicaSet, {
        metadata: { name, namespace },
        spec: { replicas, selector, template: template("web:1") },
      });
    await plane.until("both have what they want", async () => {
      const sets = (await plane.admin.list(ReplicaSet, { namespace })).items;
      return sets.every((set) => set.status?.availableReplicas === set.spec.replicas);
    });
    const length = history.length;
    const now = plane.clock.now();
    await plane.until("a while passes", () => plane.clock.now() > now + 5_000, { stepMs: 500 });
    expect(history.length).toBe(length);
    const owners = (await plane.admin.list(Pod, { namespace })).items.map(
      (pod) => pod.metadata.ownerReferences?.[0]?.name,
    );
    expect(owners.toSorted()).toEqual(["one", "one", "one", "two", "two", "two", "two"]);
    expect(history.made).toBe(7);
  });
});

it(
  "a CronJob runs a month by the clocks of its time zone, through the change to summer time",
  { timeout: TIMEOUT_MS },
  async () => {
    const startsAt = Date.UTC(2026, 2, 1);
    await using plane = await createTestControlPlane({ fakeClock: true, startsAt, components: [] });
    plane.run("kube-controller-manager", (signal) =>
      runControllerManager({
        client: plane.clientOf("kubernetes-admin", "system:masters"),
        flags: { ...defaultFlags, leaderElect: false, controllers: ["cronjob-controller", "job-controller"] },
        logger: silentLogger,
        signal,
        clock: plane.clock,
        random: createSeededRandom(1),
      }),
    );
    await plane.admin.create(CronJob, {
      metadata: { name: "tick", namespace },
      spec: {
        schedule: "30 2,14 * * *",
        timeZone: "Europe/Berlin",
        successfulJobsHistoryLimit: 2,
        jobTemplate: { spec: { completions: 0, template: task("task:ok") } },
      },
    });
    const seen = new Set<string>();
    const HOUR_MS = 3_600_000;
    const end = Date.UTC(2026, 3, 1);
    while (plane.clock.now() < end) {
      const from = plane.clock.now();
      await plane.until("an hour passes", () => plane.clock.now() >= from + HOUR_MS, {
        limitMs: 2 * HOUR_MS,
        stepMs: HOUR_MS / 2,
      });
      for (const { metadata } of (await plane.admin.list(Job, { namespace })).items)
        seen.add(metadata.annotations?.["batch.kubernetes.io/cronjob-scheduled-timestamp"] ?? "");
    }
    const expected = Array.from({ length: 31 }, (_, i) => i + 1).flatMap((day) => {
      const date = `2026-03-${String(day).padStart(2, "0")}`;
      const zone = day < 29 ? "+01:00" : "+02:00";
      // On the 29th there is no half past two.
      return [...(day === 29 ? [] : [`${date}T02:30:00${zone}`]), `${date}T14:30:00${zone}`];
    });
    expect([...seen].toSorted()).toEqual(expected);
    const kept = (await plane.admin.list(Job, { namespace })).items;
    expect(kept.length).toBeLessThanOrEqual(3);
  },
);
