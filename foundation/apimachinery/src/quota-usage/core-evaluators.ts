import type { PersistentVolumeClaim, Service } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";
import type { JsonObject } from "../json/json.ts";
import { addQuantities, compareQuantities, parseQuantity, quantityOf, type Quantity } from "../quantity/quantity.ts";
import { ONE } from "./amounts.ts";
import { matchesOperator, type QuotaEvaluator } from "./evaluator.ts";

const ZERO: Quantity = quantityOf(0);
const isWrite = (operation: string): boolean => operation === "CREATE" || operation === "UPDATE";

const SERVICE_NAMES: ReadonlySet<string> = new Set([
  "count/services",
  "services",
  "services.nodeports",
  "services.loadbalancers",
]);

/** What services use: node ports and load balancers. */
export const serviceEvaluator: QuotaEvaluator = {
  group: "",
  resource: "services",
  handles: ({ operation, subresource }) => subresource === "" && isWrite(operation),
  matchingNames: (names) => [...names].filter((name) => SERVICE_NAMES.has(name)),
  usage(object) {
    const { spec } = object as unknown as Service;
    const ports = spec?.ports ?? [];
    const isBalanced = spec?.type === "LoadBalancer";
    let nodePorts = 0;
    if (isBalanced && spec.allocateLoadBalancerNodePorts === false) {
      nodePorts = ports.filter(({ nodePort }) => (nodePort ?? 0) !== 0).length;
    } else if (isBalanced || spec?.type === "NodePort") nodePorts = ports.length;
    return new Map([
      ["count/services", ONE],
      ["services", ONE],
      ["services.nodeports", quantityOf(nodePorts)],
      ["services.loadbalancers", isBalanced ? ONE : ZERO],
    ]);
  },
};

const BY_CLASS = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class";
const asClaim = (object: JsonObject): PersistentVolumeClaim => object as unknown as PersistentVolumeClaim;

function attributesClasses({ spec, status }: PersistentVolumeClaim): readonly string[] {
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ];
  return [...new Set(names.filter((name) => name !== undefined && name !== null && name !== ""))] as string[];
}

function roundUp(quantity: Quantity): Quantity {
  const unit = 1_000_000_000n;
  const rest = quantity.nano % unit;
  return rest === 0n ? quantity : { nano: quantity.nano - rest + unit, format: quantity.format };
}

function claimedStorage({ spec, status }: PersistentVolumeClaim): Quantity | undefined {
  const asked = (spec?.resources?.requests as Record<string, string> | undefined)?.["storage"];
  if (asked === undefined) return undefined;
  const wished = roundUp(parseQuantity(asked));
  const given = (status?.allocatedResources as Record<string, string> | undefined)?.["storage"];
  if (given === undefined) return wished;
  const allocated = parseQuantity(given);
  return compareQuantities(allocated, wished) > 0 ? roundUp(allocated) : wished;
}

/** Whether a change of a claim (also of its status) changes what it uses. */
export function changesClaimUsage(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  const allocated = (one: PersistentVolumeClaim): string | undefined =>
    (one.status?.allocatedResources as Record<string, string> | undefined)?.["storage"];
  if (allocated(claim) !== allocated(old)) return true;
  return attributesClasses(claim).toSorted().join() !== attributesClasses(old).toSorted().join();
}

/** What claims of volumes use: storage, in all and by class. */
export const volumeClaimEvaluator: QuotaEvaluator = {
  group: "",
  resource: "persistentvolumeclaims",
  handles({ operation, subresource, object, oldObject }) {
    if (subresource === "") return isWrite(operation);
    if (subresource !== "status" || object === undefined || oldObject === undefined) return false;
    return changesClaimUsage(asClaim(object), asClaim(oldObject));
  },
  matchingNames: (names) =>
    [...names].filter(
      (name) =>
        name === "count/persistentvolumeclaims" ||
        name === "persistentvolumeclaims" ||
        name === "requests.storage" ||
        name.endsWith(`${BY_CLASS}persistentvolumeclaims`) ||
        name.endsWith(`${BY_CLASS}requests.storage`),
    ),
  isInScope(scope, object) {
    if (scope.scopeName !== "VolumeAttributesClass") return false;
    const classes = attributesClasses(asClaim(object));
    if (classes.length === 0) return matchesOperator(scope, undefined);
    return classes.some((name) => matchesOperator(scope, name));
  },
  usage(object) {
    const claim = asClaim(object);
    const out = new Map<string, Quantity>([
      ["persistentvolumeclaims", ONE],
      ["count/persistentvolumeclaims", ONE],
    ]);
    const name = claim.metadata.annotations?.[CLASS_ANNOTATION] ?? claim.spec?.storageClassName ?? "";
    if (name !== "") out.set(`${name}${BY_CLASS}persistentvolumeclaims`, ONE);
    const storage = claimedStorage(claim);
    if (storage === undefined) return out;
    out.set("requests.storage", storage);
    if (name !== "") out.set(`${name}${BY_CLASS}requests.storage`, storage);
    return out;
  },
};

const BY_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices";
/** What "all devices" counts as: no claim can be given more. */
const MOST_DEVICES = 32;

interface DeviceWish {
  readonly deviceClassName?: string | undefined;
  readonly allocationMode?: string | undefined;
  readonly count?: number | undefined;
}

function devicesOf({ allocationMode, count }: DeviceWish): Quantity {
  if (allocationMode === "ExactCount") return quantityOf(count ?? 0);
  return quantityOf(allocationMode === "All" ? MOST_DEVICES : 0);
}

/** What claims of devices use, by class; of alternatives the largest counts. */
export const deviceClaimEvaluator: QuotaEvaluator = {
  group: "resource.k8s.io",
  resource: "resourceclaims",
  handles: ({ operation, subresource }) => subresource === "" && isWrite(operation),
  matchingNames: (names) =>
    [...names].filter((name) => name === "count/resourceclaims.resource.k8s.io" || name.endsWith(BY_DEVICE_CLASS)),
  usage(object) {
    const out = new Map<string, Quantity>([["count/resourceclaims.resource.k8s.io", ONE]]);
    const add = (key: string, quantity: Quantity): void => {
      out.set(key, addQuantities(out.get(key) ?? ZERO, quantity));
    };
    for (const request of (object as unknown as ResourceClaim).spec?.devices?.requests ?? []) {
      const alternatives = (request.firstAvailable ?? []) as readonly DeviceWish[];
      const most = new Map<string, Quantity>();
      for (const wish of alternatives) {
        const key = `${wish.deviceClassName ?? ""}${BY_DEVICE_CLASS}`;
        const devices = devicesOf(wish);
        if (compareQuantities(devices, most.get(key) ?? ZERO) > 0) most.set(key, devices);
      }
      for (const [key, quantity] of most) add(key, quantity);
      const exactly = request.exactly as DeviceWish | undefined;
      if (alternatives.length === 0 && exactly !== undefined) {
        add(`${exactly.deviceClassName ?? ""}${BY_DEVICE_CLASS}`, devicesOf(exactly));
      }
    }
    return out;
  },
};
