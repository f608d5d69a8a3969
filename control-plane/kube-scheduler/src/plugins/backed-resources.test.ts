import type { Node, Pod } from "@coracle/api/core/v1";
import type { DeviceClass } from "@coracle/api/resource/v1";
import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { schedulePlainly } from "../cycle/schedule-plainly.ts";
import { schedulePod } from "../cycle/schedule-pod.ts";
import { DevicesByResource } from "../devices/extended-resources.ts";
import type { ClusterChange } from "../framework/plugin.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { createNodeResourcesFit } from "./node-resources-fit.ts";

const GPU = "x.io/gpu";
const nodeOf = (name: string, gpus?: string): Node => ({
  metadata: { name },
  spec: {},
  status: { allocatable: { pods: "9", cpu: "4", ...(gpus === undefined ? {} : { [GPU]: gpus }) } },
});
const podOf = (resource = GPU): Pod => ({
  metadata: { name: "p", namespace: "ns", uid: "p" },
  spec: { containers: [{ name: "c", resources: { requests: { cpu: "1", [resource]: "2" } } }] },
});
const classOf = (name: string, extendedResourceName?: string): DeviceClass => ({
  metadata: { name },
  spec: extendedResourceName === undefined ? {} : { extendedResourceName },
});

describe("a resource that devices stand behind", () => {
  it("need not be on the node, as soon as that is known; where the node has it, it counts", () => {
    const classes: DeviceClass[] = [];
    const byResource = new DevicesByResource(() => classes);
    const backed = {
      classOfResource: (name: string) => byResource.classOf(name),
      classesVersion: () => byResource.version,
    };
    const plugins = [{ plugin: createNodeResourcesFit({}, backed), weight: 1 }];
    const deps = { plugins, random: createSeededRandom(1), startAt: 0, percentageOfNodesToScore: 100 };
    const state = new ClusterState();
    for (const node of [nodeOf("none"), nodeOf("zero", "0"), nodeOf("one", "1")]) state.setNode(node);
    const why = () => {
      const [fast, plain] = [schedulePod(podOf(), state, deps), schedulePlainly(podOf(), state, deps)];
      if (fast.type === "fits" || plain.type === "fits") return [fast.type, plain.type];
      expect(fast.message).toBe(plain.message);
      expect([...fast.unfit.keys()].sort()).toEqual([...plain.unfit.keys()].sort());
      return [...fast.unfit.keys()].sort();
    };
    expect(why()).toEqual(["none", "one", "zero"]);
    classes.push(classOf("gpus", GPU));
    byResource.changed();
    expect(why()).toEqual(["fits", "fits"]);
    for (const name of ["none", "zero"]) state.removeNode(name);
    expect(why()).toEqual(["one"]);
  });

  it.each<[string, Pod, ClusterChange, boolean]>([
    ["a class that names it", podOf(), { event: "device-class-changed", current: classOf("a", GPU) }, true],
    ["a class that names another", podOf(), { event: "device-class-changed", current: classOf("a", "x.io/b") }, false],
    [
      "a class of its name",
      podOf("deviceclass.resource.kubernetes.io/a"),
      { event: "device-class-changed", current: classOf("a") },
      true,
    ],
    [
      "a class that names it as before",
      podOf(),
      { event: "device-class-changed", old: classOf("a", GPU), current: classOf("a", GPU) },
      false,
    ],
    [
      "a class that names it now",
      podOf(),
      { event: "device-class-changed", old: classOf("a"), current: classOf("a", GPU) },
      true,
    ],
    ["a node without it", podOf(), { event: "node-added", current: nodeOf("n") }, true],
    ["a node with too little of it", podOf(), { event: "node-added", current: nodeOf("n", "1") }, false],
  ])("%s", (_, pod, change, expected) => {
    const backed = { classOfResource: () => classOf("any"), classesVersion: () => 0 };
    const plugin = createNodeResourcesFit({}, backed);
    expect(plugin.events).toContain(change.event);
    expect(plugin.isHelpful?.(pod, change)).toBe(expected);
  });
});
