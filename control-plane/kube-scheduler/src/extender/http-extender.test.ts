import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { afterEach, describe, expect, it } from "vitest";
import type { ExtenderConfiguration } from "../config/configuration.ts";
import { candidateOf } from "../preemption/candidate.ts";
import { createProfile } from "../framework/profile.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { HttpExtender } from "./http-extender.ts";
import { preemptWithExtenders } from "./preempt-with-extenders.ts";
import { scheduleWithExtenders } from "./schedule-with-extenders.ts";

const pod: Pod = { metadata: { name: "p", namespace: "d", uid: "1" }, spec: { containers: [{ name: "c" }] } };
const node = (name: string): Node => ({ metadata: { name }, spec: {}, status: { allocatable: { pods: "10" } } });
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A service that answers each verb so; `undefined`: never. */
async function extenderOf(answers: Readonly<Record<string, unknown>>, more: Partial<ExtenderConfiguration> = {}) {
  const server = createServer((request, response) => {
    const answer = answers[(request.url ?? "/").slice(1)];
    if (answer !== undefined) response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const urlPrefix = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return new HttpExtender({ urlPrefix, nodeCacheCapable: true, ...more });
}

async function place(...extenders: readonly HttpExtender[]): Promise<string> {
  const state = new ClusterState();
  for (const name of ["a", "b", "c"]) state.setNode(node(name));
  const deps = { extenders, random: createSeededRandom(1), startAt: 0 };
  const decision = await scheduleWithExtenders(pod, createProfile("s", []), state, deps);
  return decision.type === "fits" ? decision.nodeName : decision.message;
}

describe("extenders", () => {
  it("leave only the nodes that they want, and say why not the others", async () => {
    expect(await place(await extenderOf({ f: { NodeNames: ["b"] } }, { filterVerb: "f" }))).toBe("b");
    const failed = { NodeNames: [], FailedNodes: { a: "no gpu", b: "no gpu", c: "no gpu" } };
    expect(await place(await extenderOf({ f: failed }, { filterVerb: "f" }))).toBe(
      "0/3 nodes are available: 3 no gpu.",
    );
  });
  it("add to the scores, by their weight", async () => {
    const one = await extenderOf({ p: [{ Host: "a", Score: 9 }] }, { prioritizeVerb: "p", weight: 1 });
    const other = await extenderOf({ p: [{ Host: "c", Score: 2 }] }, { prioritizeVerb: "p", weight: 5 });
    expect(await place(one, other)).toBe("c");
  });
  it("that lie about nodes are found out", async () => {
    const liar = await extenderOf({ f: { NodeNames: ["elsewhere"] } }, { filterVerb: "f" });
    await expect(place(liar)).rejects.toThrow(
      'claims a filtered node "elsewhere" which is not found in the input node list',
    );
  });
  it("that hang fail after their time, or are passed over when they may be ignored", async () => {
    const hanging = await extenderOf({}, { filterVerb: "f", httpTimeout: "50ms" });
    await expect(place(hanging)).rejects.toThrow("no answer within 0.05s");
    const ignorable = await extenderOf({}, { filterVerb: "f", httpTimeout: "50ms", ignorable: true });
    expect(await place(ignorable, await extenderOf({ f: { NodeNames: ["a"] } }, { filterVerb: "f" }))).toBe("a");
  });
  it("are asked only about pods that need what they manage", async () => {
    const extender = await extenderOf({}, { managedResources: [{ name: "example.com/gpu" }] });
    expect(extender.isInterestedIn(pod)).toBe(false);
    const using = { ...pod, spec: { containers: [{ name: "c", resources: { limits: { "example.com/gpu": "1" } } }] } };
    expect(extender.isInterestedIn(using)).toBe(true);
  });
  it("bind, or say why not", async () => {
    await (await extenderOf({ b: {} }, { bindVerb: "b" })).bind(pod, "a");
    await expect((await extenderOf({ b: { Error: "taken" } }, { bindVerb: "b" })).bind(pod, "a")).rejects.toThrow(
      "taken",
    );
  });
  it.each<[string, unknown, Partial<ExtenderConfiguration>, string]>([
    ["leave out nodes", { b: { Pods: [{ UID: "vb" }] } }, {}, "b: vb"],
    ["name other victims", { a: { Pods: [{ UID: "wa" }] } }, { nodeCacheCapable: false }, "a: wa"],
    ["leave none", {}, {}, "preemption: no candidate node for preemption"],
    ["lie about pods", { a: { Pods: [{ UID: "x" }] } }, {}, "on node: a, but the pod is not found on that node"],
    ["lie about nodes", { z: { Pods: [{ UID: "x" }] } }, {}, 'preemption: nodeinfo not found for node name "z"'],
    ["name nobody", { a: { Pods: [] } }, {}, 'preemption: expected at least one victim pod on node "a"'],
    ["fail, and need not be heard", { a: { Pods: [{ UID: "x" }] } }, { ignorable: true }, "a: va"],
  ])("have a say about who must leave: they %s", async (_, answer, more, expected) => {
    const state = new ClusterState();
    const victim = (uid: string, nodeName: string): Pod => ({
      metadata: { name: uid, namespace: "d", uid },
      spec: { nodeName, containers: [] },
    });
    for (const name of ["a", "b"]) {
      state.setNode(node(name));
      for (const kind of ["v", "w"]) state.setPod(victim(`${kind}${name}`, name));
    }
    const candidates = ["a", "b"].map((name) => candidateOf(name, [victim(`v${name}`, name)], 0));
    const extender = await extenderOf({ v: { NodeNameToMetaVictims: answer } }, { preemptVerb: "v", ...more });
    const room = await preemptWithExtenders([extender], pod, candidates, state);
    const told =
      room.type === "none"
        ? room.message
        : `${room.nodeName}: ${room.victims.map(({ metadata }) => metadata.uid).join()}`;
    expect(told).toContain(expected);
  });
});
