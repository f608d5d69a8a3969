import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { describe, expect, it } from "vitest";
import { SliceMonitor } from "./monitor.ts";
import { outcomeOf } from "./outcome.ts";

const slice = (name: string, ...pods: readonly number[]): EndpointSlice => ({
  metadata: { name },
  addressType: "IPv4",
  ports: [{ port: 80 }],
  endpoints: pods.map((pod) => ({ addresses: [`10.0.0.${pod}`], targetRef: { uid: `u${pod}` } })),
});
const NOTHING = { create: [], update: [], delete: [] };

describe("what a plan makes of slices", () => {
  it("nothing: all stays", () => {
    expect(outcomeOf([slice("a", 1, 2), slice("b", 3)], NOTHING, 10)).toEqual({
      added: 0,
      removed: 0,
      endpoints: 3,
      slices: 2,
      fewestSlices: 1,
    });
  });

  it("one that moves to another slice is neither added nor removed", () => {
    const plan = { create: [slice("c", 2, 9)], update: [slice("a", 1)], delete: [slice("b", 3)] };
    expect(outcomeOf([slice("a", 1, 2), slice("b", 3)], plan, 1)).toEqual({
      added: 1,
      removed: 1,
      endpoints: 3,
      slices: 2,
      fewestSlices: 3,
    });
  });

  it("without pods one empty slice is enough", () => {
    expect(outcomeOf([], { ...NOTHING, create: [slice("a")] }, 100)).toMatchObject({ slices: 1, fewestSlices: 1 });
  });

  it("is told under upstream's names, all services together", () => {
    const monitor = new SliceMonitor();
    const service: Service = { metadata: {}, spec: { trafficDistribution: "PreferClose" } };
    monitor.planned("ns/a", service, [], { ...NOTHING, create: [slice("a", 1, 2)] }, 100);
    monitor.planned("ns/b", service, [slice("b", 1)], NOTHING, 100);
    monitor.written("create");
    monitor.synced("success");
    for (const line of [
      "endpoint_slice_controller_endpoints_desired 3",
      "endpoint_slice_controller_num_endpoint_slices 2",
      "endpoint_slice_controller_desired_endpoint_slices 2",
      "endpoint_slice_controller_endpoints_added_per_sync_sum 2",
      "endpoint_slice_controller_endpoints_removed_per_sync_count 2",
      'endpoint_slice_controller_changes{operation="create"} 1',
      'endpoint_slice_controller_syncs{result="success"} 1',
      'endpoint_slice_controller_services_count_by_traffic_distribution{traffic_distribution="PreferClose"} 2',
      'endpoint_slice_controller_endpointslices_changed_per_sync_count{topology="Disabled",traffic_distribution="PreferClose"} 2',
    ])
      expect(monitor.text()).toContain(`${line}\n`);
    monitor.forget("ns/a");
    expect(monitor.text()).toContain("endpoint_slice_controller_endpoints_desired 1\n");
  });
});
