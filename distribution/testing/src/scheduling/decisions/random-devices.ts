import type { PodSpec } from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim, ResourceSlice, type DeviceRequest } from "@coracle/api/resource/v1";
import type { Draw } from "./draw.ts";
import { seed, type NodeSeed, type Seed } from "./random-cluster.ts";

const namespace = "default";
const CLAIMS = 16;
const DRIVER = "devices.example.com";

const selector = (expression: string) => ({ cel: { expression } });
const MODEL = `device.attributes["${DRIVER}"].model`;
const SELECTORS = [
  `${MODEL} == "a"`,
  `${MODEL} != "a"`,
  `device.attributes["${DRIVER}"].speed > 5`,
  `device.capacity["${DRIVER}"].memory.compareTo(quantity("8Gi")) >= 0`,
] as const;

export function randomDevices(draw: Draw, nodes: readonly NodeSeed[]): Seed[] {
  const generation = 1;
  const slices = nodes
    .filter(() => draw.chance(50))
    .map(({ name }) =>
      seed(ResourceSlice, {
        metadata: { name: `of-${name}` },
        spec: {
          driver: DRIVER,
          nodeName: name,
          // A few pools are not told whole.
          pool: { name, generation, resourceSliceCount: draw.chance(3) ? 2 : 1 },
          devices: draw.times(1, 4, (i) => ({
            name: `device-${i}`,
            attributes: {
              model: { string: draw.pick(["a", "b"]) },
              speed: { int: draw.between(1, 9) },
              board: { string: draw.pick(["x", "y"]) },
            },
            capacity: { memory: { value: draw.pick(["4Gi", "16Gi"]) } },
          })),
        },
      }),
    );
  const request = (name: string): DeviceRequest => {
    const selectors = draw.maybe(50, () => ({ selectors: [selector(draw.pick(SELECTORS))] }));
    const deviceClassName = draw.pick(["any", "any", "any", "fast"]);
    const count = draw.between(1, 2);
    if (draw.chance(15)) return { name, exactly: { deviceClassName, allocationMode: "All", ...selectors } };
    if (draw.chance(20))
      return {
        name,
        firstAvailable: [
          { name: "first", deviceClassName: "fast", count: 2 },
          { name: "second", deviceClassName: "any", count, ...selectors },
        ],
      };
    return { name, exactly: { deviceClassName, allocationMode: "ExactCount", count, ...selectors } };
  };
  const claims = Array.from({ length: CLAIMS }, (_, i) =>
    seed(ResourceClaim, {
      metadata: { namespace, name: `devices-${i}` },
      spec: {
        devices: {
          requests: draw.times(1, 2, (j) => request(`r${j}`)),
          ...draw.maybe(20, () => ({ constraints: [{ matchAttribute: `${DRIVER}/board` }] })),
        },
      },
    }),
  );
  return [
    seed(DeviceClass, {
      metadata: { name: "any" },
      spec: { selectors: [selector(`device.driver == "${DRIVER}"`)] },
    }),
    seed(DeviceClass, {
      metadata: { name: "fast" },
      spec: { selectors: [selector(`device.driver == "${DRIVER}"`), selector(SELECTORS[2])] },
    }),
    ...slices,
    ...claims,
    seed(ResourceClaim, {
      metadata: { namespace, name: "of-no-class" },
      spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "nowhere" } }] } },
    }),
  ];
}

/** Claims of a pod in the default namespace. */
export function randomResourceClaims(draw: Draw): Partial<PodSpec> {
  const resourceClaimName = draw.chance(5) ? "of-no-class" : `devices-${draw.between(0, CLAIMS - 1)}`;
  return { resourceClaims: [{ name: "d", resourceClaimName }] };
}
