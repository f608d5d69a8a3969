import type { Node } from "@coracle/api/core/v1";
import type {
  AllocationResult,
  Device,
  DeviceClass,
  DeviceRequest,
  ResourceClaim,
  ResourceSlice,
} from "@coracle/api/resource/v1";
import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { DeviceAllocator } from "./allocate.ts";
import { findAttribute } from "./constraints.ts";
import { DEFAULT_DEVICE_FEATURES } from "./device-features.ts";
import { DeviceSelectors } from "./device-selectors.ts";
import { AllocatedDevices } from "./devices-in-use.ts";

const ALL = { ...DEFAULT_DEVICE_FEATURES, partitionableDevices: true, deviceTaints: true, consumableCapacity: true };
const node: Node = { metadata: { name: "n", labels: { zone: "z" } }, spec: {} };
const language = await DeviceSelectors.load(true);

const slice = (spec: Partial<ResourceSlice["spec"]>, ...devices: Device[]): ResourceSlice => ({
  metadata: { name: "s" },
  spec: { driver: "d.io", nodeName: "n", pool: { name: "p", generation: 1, resourceSliceCount: 1 }, devices, ...spec },
});
const gpu = (name: string, part: Partial<Device> = {}): Device => ({ name, ...part });
const claimOf = (requests: readonly DeviceRequest[], devices: NonNullable<ResourceClaim["spec"]["devices"]> = {}) =>
  ({
    metadata: { namespace: "ns", name: "c", uid: "c" },
    spec: { devices: { requests, ...devices } },
  }) as ResourceClaim;
const exactly = (name: string, part: Partial<NonNullable<DeviceRequest["exactly"]>> = {}): DeviceRequest => ({
  name,
  exactly: { deviceClassName: "any", ...part },
});
const cel = (expression: string) => ({ selectors: [{ cel: { expression } }] });
const classes: readonly DeviceClass[] = [
  { metadata: { name: "any" }, spec: {} },
  { metadata: { name: "big" }, spec: cel(`device.capacity["d.io"].memory.isGreaterThan(quantity("10Gi"))`) },
  { metadata: { name: "set" }, spec: { config: [{ opaque: { driver: "d.io", parameters: { a: 1 } } }] } },
];

function allocate(
  slices: readonly ResourceSlice[],
  claims: readonly ResourceClaim[],
  before: readonly AllocationResult[] = [],
) {
  const inUse = new AllocatedDevices();
  for (const allocation of before) inUse.add({ metadata: {}, spec: {}, status: { allocation } });
  let shares = 0;
  return new DeviceAllocator({
    slices,
    inUse,
    classOf: (name) => classes.find(({ metadata }) => metadata.name === name),
    selectors: language,
    features: ALL,
    newShareId: () => `share-${++shares}`,
  }).allocate(node, claims);
}

/** `REQUEST=DEVICE …` by claim, or what stands against it. */
function tell(...input: Parameters<typeof allocate>): string {
  const answer = allocate(...input);
  if (answer.type === "problem") return answer.message;
  if (answer.type === "none") return answer.reason === "cannot allocate all claims" ? "none" : answer.reason;
  const text = (result: AllocationResult): string =>
    (result.devices?.results ?? []).map(({ request, device }) => `${request}=${device}`).join(" ");
  return answer.results.map(text).join(" | ");
}

const two = slice({}, gpu("a"), gpu("b"));
const inUse = (device: string): AllocationResult => ({
  devices: { results: [{ request: "r", driver: "d.io", pool: "p", device }] },
});
const sized = (name: string, memory: string, vendor: string) =>
  gpu(name, {
    attributes: { vendor: { string: vendor }, "other.io/index": { int: 3 }, driver: { version: "1.4.0" } },
    capacity: { memory: { value: memory } },
  });
const mixed = slice({}, sized("small", "8Gi", "x"), sized("large", "16Gi", "x"), sized("other", "16Gi", "y"));

describe("devices for a claim", () => {
  it.each<[string, readonly ResourceSlice[], ResourceClaim, string]>([
    ["the first that is free", [two], claimOf([exactly("r")]), "r=a"],
    ["as many as asked for", [two], claimOf([exactly("r", { count: 2 })]), "r=a r=b"],
    ["no more than there are", [two], claimOf([exactly("r", { count: 3 })]), "none"],
    ["all", [two], claimOf([exactly("r", { allocationMode: "All" })]), "r=a r=b"],
    ["all of none is not enough", [], claimOf([exactly("r", { allocationMode: "All" })]), "none"],
    ["of another node", [slice({ nodeName: "m" }, gpu("a"))], claimOf([exactly("r")]), "none"],
    ["of all nodes", [slice({ nodeName: undefined, allNodes: true }, gpu("a"))], claimOf([exactly("r")]), "r=a"],
    [
      "of nodes with a label",
      [
        slice(
          {
            nodeName: undefined,
            nodeSelector: {
              nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "In", values: ["z"] }] }],
            },
          },
          gpu("a"),
        ),
      ],
      claimOf([exactly("r")]),
      "r=a",
    ],
    [
      "each with its own nodes",
      [
        slice(
          { nodeName: undefined, perDeviceNodeSelection: true },
          gpu("a", { nodeName: "m" }),
          gpu("b", { nodeName: "n" }),
        ),
      ],
      claimOf([exactly("r")]),
      "r=b",
    ],
    ["by class", [mixed], claimOf([exactly("r", { deviceClassName: "big" })]), "r=large"],
    [
      "by expression",
      [mixed],
      claimOf([exactly("r", cel(`device.driver == "d.io" && device.attributes["d.io"].vendor == "y"`))]),
      "r=other",
    ],
    [
      "by version, and by a domain that is not there",
      [mixed],
      claimOf([
        exactly(
          "r",
          cel(
            `device.attributes["d.io"].driver.isGreaterThan(semver("1.3.9")) && !("no.io" in device.attributes) && !has(device.attributes["no.io"].x) && device.attributes["other.io"].index == 3`,
          ),
        ),
      ]),
      "r=small",
    ],
    [
      "an attribute that is not there is an error",
      [mixed],
      claimOf([exactly("r", cel(`device.attributes["d.io"].nope == "y"`))]),
      "claim ns/c, request r: selector #0: CEL runtime error: no such key: nope",
    ],
    [
      "the first alternative that can be had",
      [mixed],
      claimOf([
        {
          name: "r",
          firstAvailable: [
            { name: "many", deviceClassName: "big", count: 3 },
            { name: "few", deviceClassName: "big", count: 2 },
          ],
        },
      ]),
      "r/few=large r/few=other",
    ],
    [
      "all of one vendor",
      [mixed],
      claimOf([exactly("r", { deviceClassName: "big" }), exactly("s")], {
        constraints: [{ matchAttribute: "d.io/vendor" }],
      }),
      "r=large s=small",
    ],
    [
      "each of another vendor",
      [mixed],
      claimOf([exactly("r", { count: 2 })], { constraints: [{ distinctAttribute: "d.io/vendor" }] }),
      "r=small r=other",
    ],
    [
      "all devices where one stands against the others: at fault is the claim",
      [mixed],
      claimOf([exactly("r", { allocationMode: "All" })], { constraints: [{ matchAttribute: "d.io/vendor" }] }),
      "claim ns/c, request r: cannot add device d.io/p/other because a claim constraint would not be satisfied",
    ],
    [
      "not where a taint is not tolerated",
      [slice({}, gpu("a", { taints: [{ key: "bad", effect: "NoSchedule" }] }), gpu("b"))],
      claimOf([exactly("r")]),
      "r=b",
    ],
    [
      "where a taint is tolerated",
      [slice({}, gpu("a", { taints: [{ key: "bad", effect: "NoSchedule" }] }), gpu("b"))],
      claimOf([exactly("r", { tolerations: [{ key: "bad", operator: "Exists" }] })]),
      "r=a",
    ],
    [
      "not of a pool that is being updated",
      [slice({ pool: { name: "p", generation: 1, resourceSliceCount: 2 } }, gpu("a"))],
      claimOf([exactly("r")]),
      "none",
    ],
    [
      "not of a pool that names a device twice",
      [slice({}, gpu("a"), gpu("a"))],
      claimOf([exactly("r")]),
      "invalid resource pools were encountered",
    ],
    [
      "of the newest generation",
      [slice({}, gpu("old")), slice({ pool: { name: "p", generation: 2, resourceSliceCount: 1 } }, gpu("new"))],
      claimOf([exactly("r")]),
      "r=new",
    ],
    [
      "of a class that is there",
      [two],
      claimOf([exactly("r", { deviceClassName: "no" })]),
      'claim ns/c, request r: could not retrieve device class no: deviceclass.resource.k8s.io "no" not found',
    ],
    [
      "not more than 32",
      [two],
      claimOf([exactly("r", { count: 33 })]),
      "claim ns/c: number of requested devices 33 exceeds the claim limit of 32",
    ],
  ])("%s", (_, slices, claim, expected) => expect(tell(slices, [claim])).toBe(expected));

  it("are not those of others, unless it only looks after them", () => {
    expect(tell([two], [claimOf([exactly("r")])], [inUse("a")])).toBe("r=b");
    expect(tell([two], [claimOf([exactly("r", { adminAccess: true })])], [inUse("a")])).toBe("r=a");
    expect(tell([two], [claimOf([exactly("r")]), claimOf([exactly("s")])])).toBe("r=a | s=b");
  });

  it("share counters with devices that are in use", () => {
    const uses = (value: string) => ({ consumesCounters: [{ counterSet: "m", counters: { mem: { value } } }] });
    const pool = { name: "p", generation: 1, resourceSliceCount: 2 };
    const slices = [
      slice({ pool, sharedCounters: [{ name: "m", counters: { mem: { value: "40Gi" } } }], devices: undefined }),
      slice({ pool }, gpu("half-1", uses("20Gi")), gpu("half-2", uses("20Gi")), gpu("whole", uses("40Gi"))),
    ];
    expect(tell(slices, [claimOf([exactly("r", { count: 2 })])])).toBe("r=half-1 r=half-2");
    expect(tell(slices, [claimOf([exactly("r", { count: 3 })])])).toBe("none");
    expect(tell(slices, [claimOf([exactly("r")])], [inUse("whole")])).toBe("none");
    expect(tell(slices, [claimOf([exactly("r")])], [inUse("half-1")])).toBe("r=half-2");
  });

  it("share the capacity of a device that serves several", () => {
    const nic = slice(
      {},
      gpu("nic", {
        allowMultipleAllocations: true,
        capacity: { bw: { value: "10G", requestPolicy: { default: "1G", validRange: { min: "1G", step: "1G" } } } },
      }),
    );
    const wants = (bw: string) => claimOf([exactly("r", { capacity: { requests: { bw } } })]);
    const first = allocate([nic], [wants("4500M")]);
    if (first.type !== "allocated") throw new Error("nothing");
    expect(first.results[0]?.devices?.results).toEqual([
      {
        request: "r",
        driver: "d.io",
        pool: "p",
        device: "nic",
        shareID: "share-1",
        consumedCapacity: { bw: "5000000000" },
      },
    ]);
    expect(tell([nic], [wants("5G")], first.results)).toBe("r=nic");
    expect(tell([nic], [wants("6G")], first.results)).toBe("none");
    expect(tell([nic], [claimOf([exactly("r")]), wants("9G")])).toBe("r=nic | r=nic");
  });

  it("come with what class and claim say of them, and with the nodes they can be used on", () => {
    const config = [{ opaque: { driver: "d.io", parameters: { b: 2 } }, requests: ["r"] }];
    const answer = allocate([two], [claimOf([exactly("r", { deviceClassName: "set" })], { config })]);
    if (answer.type !== "allocated") throw new Error("nothing");
    expect(answer.results).toEqual([
      {
        devices: {
          results: [{ request: "r", driver: "d.io", pool: "p", device: "a" }],
          config: [
            { source: "FromClass", requests: ["r"], opaque: { driver: "d.io", parameters: { a: 1 } } },
            { source: "FromClaim", requests: ["r"], opaque: { driver: "d.io", parameters: { b: 2 } } },
          ],
        },
        nodeSelector: {
          nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["n"] }] }],
        },
      },
    ]);
  });
});

describe("whatever is asked for", () => {
  const random = createSeededRandom(20_26);
  const upTo = (n: number): number => Math.floor(random.next() * n);
  const pick = <T>(...values: readonly T[]): T => values[upTo(values.length)] as T;

  function randomWorld() {
    const devices = Array.from({ length: 1 + upTo(6) }, (_, i) =>
      gpu(`g${i}`, {
        attributes: random.next() < 0.9 ? { vendor: { string: pick("x", "y") }, slot: { int: upTo(3) } } : {},
      }),
    );
    const pool = (name: string) => ({ name, generation: 1, resourceSliceCount: 1 });
    const slices = [slice({ pool: pool("p") }, ...devices), slice({ pool: pool("q") }, ...devices.slice(0, upTo(3)))];
    const claims = Array.from({ length: 1 + upTo(3) }, (_, i) => {
      const requests = Array.from({ length: 1 + upTo(2) }, (__, j) => {
        const wanted = () => ({
          deviceClassName: "any",
          count: 1 + upTo(2),
          ...(random.next() < 0.3 ? cel(`device.attributes["d.io"].?vendor.orValue("") == "x"`) : {}),
        });
        if (random.next() < 0.3)
          return {
            name: `r${j}`,
            firstAvailable: [
              { name: "a", ...wanted() },
              { name: "b", ...wanted() },
            ],
          };
        return exactly(`r${j}`, wanted());
      });
      const attribute = pick("d.io/vendor", "d.io/slot");
      const constraints = pick([], [{ matchAttribute: attribute }], [{ distinctAttribute: attribute }]);
      return { ...claimOf(requests, { constraints }), metadata: { namespace: "ns", name: `c${i}`, uid: `c${i}` } };
    });
    return { slices, claims };
  }

  it("no device is given twice, each request gets what it asks for, and constraints hold", () => {
    let allocated = 0;
    for (let round = 0; round < 300; round++) {
      const { slices, claims } = randomWorld();
      const before = random.next() < 0.5 ? [inUse("g0")] : [];
      const answer = allocate(slices, claims, before);
      if (answer.type === "problem") throw new Error(answer.message);
      if (answer.type === "none") {
        expect(canServe(slices, claims, before.length > 0), JSON.stringify(claims)).toBe(false);
        continue;
      }
      allocated++;
      const given = answer.results.flatMap(({ devices }) => devices?.results ?? []);
      const ids = given.map(({ pool, device }) => `${pool}/${device}`);
      expect(new Set(ids).size).toBe(ids.length);
      if (before.length > 0) expect(ids).not.toContain("p/g0");
      for (const [i, claim] of claims.entries())
        expect(isServed(claim, answer.results[i]?.devices?.results ?? [], slices)).toBe(true);
    }
    expect(allocated).toBeGreaterThan(75);
  });
});

type Given = NonNullable<NonNullable<AllocationResult["devices"]>["results"]>;

const deviceOf = (slices: readonly ResourceSlice[], pool: string, name: string): Device | undefined =>
  slices.find(({ spec }) => spec.pool.name === pool)?.spec.devices?.find((device) => device.name === name);

/** Whether the devices are what the claim asks for: the rules once more, in plain words. */
function isServed({ spec }: ResourceClaim, given: Given, slices: readonly ResourceSlice[]): boolean {
  const wantsX = (wanted: { readonly selectors?: unknown }): boolean => wanted.selectors !== undefined;
  for (const { name, exactly: exact, firstAvailable = [] } of spec.devices?.requests ?? []) {
    const options =
      exact === undefined
        ? firstAvailable.map((sub) => ({ ...sub, full: `${name}/${sub.name}` }))
        : [{ ...exact, full: name }];
    const served = options.some((option) => {
      const own = given.filter(({ request }) => request === option.full);
      const fits = own.every(({ pool, device }) => {
        const found = deviceOf(slices, pool, device);
        return found !== undefined && (!wantsX(option) || found.attributes?.["vendor"]?.string === "x");
      });
      return own.length === option.count && fits;
    });
    if (!served) return false;
  }
  return (spec.devices?.constraints ?? []).every(({ matchAttribute, distinctAttribute }) => {
    const values = given.map(({ pool, device }) => {
      const found = deviceOf(slices, pool, device);
      const attribute = matchAttribute ?? distinctAttribute ?? "";
      return JSON.stringify(found === undefined ? undefined : findAttribute(found, "d.io", attribute));
    });
    if (values.includes(undefined as never)) return false;
    return matchAttribute === undefined ? new Set(values).size === values.length : new Set(values).size === 1;
  });
}

/** Tries every way to give devices to the claims. */
function canServe(slices: readonly ResourceSlice[], claims: readonly ResourceClaim[], isFirstTaken: boolean): boolean {
  const free = slices.flatMap(({ spec }) => (spec.devices ?? []).map(({ name }) => ({ pool: spec.pool.name, name })));
  const needs: {
    readonly claim: number;
    readonly ways: readonly { readonly name: string; readonly count: number }[];
  }[] = [];
  for (const [claim, { spec }] of claims.entries())
    for (const { name, exactly: exact, firstAvailable = [] } of spec.devices?.requests ?? []) {
      const ways =
        exact === undefined
          ? firstAvailable.map((sub) => ({ name: `${name}/${sub.name}`, count: sub.count ?? 1 }))
          : [{ name, count: exact.count ?? 1 }];
      needs.push({ claim, ways });
    }
  const given: Given[number][][] = claims.map(() => []);
  const taken = new Set(isFirstTaken ? ["p/g0"] : []);
  const serve = (at: number): boolean => {
    const need = needs[at];
    if (need === undefined) return claims.every((claim, i) => isServed(claim, given[i] ?? [], slices));
    const choose = (name: string, left: number, from: number): boolean => {
      if (left === 0) return serve(at + 1);
      for (let i = from; i < free.length; i++) {
        const device = free[i];
        if (device === undefined || taken.has(`${device.pool}/${device.name}`)) continue;
        taken.add(`${device.pool}/${device.name}`);
        given[need.claim]?.push({ request: name, driver: "d.io", pool: device.pool, device: device.name });
        if (choose(name, left - 1, i + 1)) return true;
        given[need.claim]?.pop();
        taken.delete(`${device.pool}/${device.name}`);
      }
      return false;
    };
    return need.ways.some(({ name, count }) => choose(name, count, 0));
  };
  return serve(0);
}
