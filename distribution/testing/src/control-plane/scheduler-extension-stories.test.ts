import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Node, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { parseConfiguration, runScheduler, type Plugin, type SchedulerOptions } from "@coracle/kube-scheduler";
import { describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const HEAD =
  "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\npodInitialBackoffSeconds: 1\n";

async function setUp(...nodes: readonly string[]): Promise<TestControlPlane> {
  const plane = await createTestControlPlane({ components: [] });
  await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
  for (const name of nodes)
    await plane.admin.create(Node, {
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
      spec: {},
      status: { allocatable: { cpu: "100", memory: "100Gi", pods: "110" } },
    });
  return plane;
}

const addPod = async (plane: TestControlPlane, name: string, part: Partial<Pod["spec"]> = {}): Promise<Pod> =>
  await plane.admin.create(Pod, {
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      automountServiceAccountToken: false,
      tolerations: [{ operator: "Exists" }],
      containers: [{ name: "c", image: "app", resources: { requests: { cpu: "1" } } }],
      ...part,
    },
  });

function start(
  plane: TestControlPlane,
  more: Partial<SchedulerOptions> = {},
  change: (client: ApiClient) => ApiClient = (client) => client,
): void {
  plane.run("a scheduler", async (signal) => {
    const client = change(plane.clientOf("system:kube-scheduler"));
    await runScheduler({ client, clock: systemClock, random: systemRandom, logger: silentLogger, signal, ...more });
  });
}

/** Pod → node, once all have one. */
async function placements(plane: TestControlPlane): Promise<Readonly<Record<string, string>>> {
  return await plane.until("every pod has a node", async () => {
    const { items } = await plane.admin.list(Pod, { namespace });
    const found = Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name ?? "", spec.nodeName ?? ""]));
    return !Object.values(found).includes("") && found;
  });
}

describe("what others do to a scheduler loses no pod", () => {
  it("somebody else binds a pod while it is being bound: the first binding stands", async () => {
    await using plane = await setUp("a", "b", "c");
    let calls = 0;
    const stolen: string[] = [];
    start(plane, {}, (client) => ({
      ...client,
      post: (async (...[type, key, action, body]: Parameters<ApiClient["post"]>) => {
        if (calls++ % 3 === 0) {
          stolen.push(key.name);
          const binding = { ...(body as object), target: { kind: "Node", name: "elsewhere" } };
          await plane.admin.post(type, key, action, binding);
        }
        return await client.post(type, key, action, body);
      }) as ApiClient["post"],
    }));
    for (let i = 0; i < 30; i++) await addPod(plane, `p${i}`);
    const found = await placements(plane);
    expect(stolen.length).toBeGreaterThan(5);
    for (const [pod, node] of Object.entries(found))
      expect([pod, node === "elsewhere"]).toEqual([pod, stolen.includes(pod)]);
  });

  it("an extender hangs, lies and fails at first: its pods wait for it, and go where it wants in the end", async () => {
    await using plane = await setUp("a", "b", "c");
    let asked = 0;
    const answers: readonly (object | undefined)[] = [undefined, { NodeNames: ["nowhere"] }, { Error: "out of order" }];
    const server = createServer((request, response) => {
      request.resume();
      const answer = asked < answers.length ? answers[asked] : { NodeNames: ["b"] };
      asked++;
      if (answer !== undefined) response.end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const extender = `{urlPrefix: "${url}", filterVerb: f, nodeCacheCapable: true, httpTimeout: 200ms}`;
      start(plane, { configuration: await parseConfiguration(`${HEAD}extenders: [${extender}]\n`) });
      for (const name of ["one", "two", "three", "four"]) await addPod(plane, name);
      expect(new Set(Object.values(await placements(plane)))).toEqual(new Set(["b"]));
      expect(asked).toBeGreaterThan(answers.length);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("a plugin throws wherever it is asked at first", async () => {
    await using plane = await setUp("a");
    const thrown = new Set<string>();
    const once = <A>(what: string, answer: A): A => {
      if (thrown.has(what)) return answer;
      thrown.add(what);
      throw new Error(`no ${what} today`);
    };
    const moody: Plugin = {
      name: "Moody",
      preFilter: () => once("preFilter", undefined),
      filter: () => once("filter", undefined),
      reserve: () => once("reserve", undefined),
      unreserve: () => once("unreserve", undefined),
      permit: () => Promise.resolve().then(() => once("permit", undefined)),
      preBind: () => Promise.resolve().then(() => once("preBind", undefined)),
      bind: () => Promise.resolve().then(() => once("bind", false)),
      postBind: () => once("postBind", undefined),
    };
    const points = "multiPoint: {enabled: [{name: Moody}]}, bind: {enabled: [{name: Moody}, {name: DefaultBinder}]}";
    const profile = `{schedulerName: default-scheduler, plugins: {${points}}}`;
    const times = "podMaxBackoffSeconds: 1\n";
    start(plane, {
      configuration: await parseConfiguration(`${HEAD}${times}profiles: [${profile}]\n`),
      plugins: new Map([["Moody", () => moody]]),
    });
    await addPod(plane, "one");
    await addPod(plane, "two");
    expect(await placements(plane)).toEqual({ one: "a", two: "a" });
    for (const what of ["preFilter", "filter", "reserve", "unreserve", "permit", "preBind", "bind", "postBind"])
      expect(thrown).toContain(what);
  });

  it("where a pod will go that must wait first is written down, and gone when it is there or cannot be", async () => {
    await using plane = await setUp("a");
    const seen: (string | undefined)[] = [];
    let isReleased = false;
    const nominated = async (): Promise<string | undefined> =>
      (await plane.admin.get(Pod, { namespace, name: "one" })).status?.nominatedNodeName;
    const slow: Plugin = {
      name: "Slow",
      async preBind() {
        seen.push(await nominated());
        if (!isReleased) throw new Error("not yet");
      },
    };
    const profile = `{schedulerName: default-scheduler, plugins: {multiPoint: {enabled: [{name: Slow}]}}}`;
    start(plane, {
      configuration: await parseConfiguration(`${HEAD}profiles: [${profile}]\n`),
      plugins: new Map([["Slow", () => slow]]),
    });
    await addPod(plane, "one");
    await plane.until("the failure is told, and that the pod will go nowhere", async () => {
      const { status } = await plane.admin.get(Pod, { namespace, name: "one" });
      const isTold = status?.conditions?.some(({ reason }) => reason === "SchedulerError") === true;
      return isTold && status?.nominatedNodeName === undefined;
    });
    isReleased = true;
    expect(await placements(plane)).toEqual({ one: "a" });
    expect(seen.length).toBeGreaterThan(1);
    expect(new Set(seen)).toEqual(new Set(["a"]));
    expect(await nominated()).toBeUndefined();
  });

  it("a pod that wants to be near another is placed as soon as that one is", async () => {
    await using plane = await setUp("a", "b");
    start(plane);
    const near = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "later" } } };
    await addPod(plane, "friend", {
      affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [near] } },
    });
    await plane.until("it has no node", async () => {
      const { status } = await plane.admin.get(Pod, { namespace, name: "friend" });
      return status?.conditions?.some(({ type, status: is }) => type === "PodScheduled" && is === "False");
    });
    await addPod(plane, "later");
    const { friend, later } = await placements(plane);
    expect(friend).toBe(later);
  });
});
