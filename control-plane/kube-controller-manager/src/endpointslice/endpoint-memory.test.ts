import type { Pod, Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { cloneJson } from "@coracle/apimachinery";
import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { EndpointMemory } from "./endpoint-memory.ts";
import { planSlices } from "./plan.ts";

const SERVICE: Service = {
  metadata: { name: "web", namespace: "ns", uid: "service" },
  spec: { selector: { app: "web" }, ports: [{ port: 80 }], ipFamilies: ["IPv4", "IPv6"] },
};
const PER_SLICE = 10;

const podOf = (index: number, isReady: boolean): Pod => ({
  metadata: { name: `p${index}`, namespace: "ns", uid: `u${index}` },
  spec: { containers: [] },
  status: {
    podIPs: [{ ip: `10.0.0.${index}` }, { ip: `fd00::${index}` }],
    conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
  },
});

/** The slices as a watch would show them after the plan was carried out. */
function carriedOut(slices: readonly EndpointSlice[], plan: ReturnType<typeof planSlices>): EndpointSlice[] {
  const gone = new Set(plan.delete.map(({ metadata }) => metadata.name));
  const updated = new Map(plan.update.map((slice) => [slice.metadata.name, cloneJson(slice)]));
  const left = slices.filter(({ metadata }) => !gone.has(metadata.name));
  const made = plan.create.map((slice, i) => {
    const copy = cloneJson(slice);
    return { ...copy, metadata: { ...copy.metadata, name: `s${slices.length + i}-${copy.addressType}` } };
  });
  return [...left.map((slice) => updated.get(slice.metadata.name) ?? slice), ...made];
}

describe("endpoints made and compared before", () => {
  it("lead to the plans that are made without, whatever changes", () => {
    const random = createSeededRandom(11);
    const memory = new EndpointMemory();
    let pods = Array.from({ length: 60 }, (_, i) => podOf(i, true));
    let slices: EndpointSlice[] = [];
    for (let turn = 0; turn < 60; turn++) {
      const plan = planSlices(SERVICE, pods, slices, () => undefined, PER_SLICE, undefined, memory);
      expect(plan).toEqual(planSlices(SERVICE, pods, slices, () => undefined, PER_SLICE, undefined));
      slices = carriedOut(slices, plan);
      const index = Math.floor(random.next() * 80);
      pods = pods.filter(({ metadata }) => metadata.name !== `p${index}`);
      if (random.next() < 0.8) pods.push(podOf(index, random.next() < 0.5));
    }
  });

  it("one pod of many changes: its slice alone is written, in each family", () => {
    const memory = new EndpointMemory();
    const pods = Array.from({ length: 60 }, (_, i) => podOf(i, true));
    const plan = (now: readonly Pod[], slices: readonly EndpointSlice[]) =>
      planSlices(SERVICE, now, slices, () => undefined, PER_SLICE, undefined, memory);
    const slices = carriedOut([], plan(pods, []));
    expect(plan(pods, slices)).toEqual({ create: [], update: [], delete: [] });
    const changed = plan(pods.with(17, podOf(17, false)), slices);
    expect(changed.update.map(({ addressType }) => addressType).toSorted()).toEqual(["IPv4", "IPv6"]);
    expect([...changed.create, ...changed.delete]).toEqual([]);
  });
});
