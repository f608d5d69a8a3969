import type { Node, NodeSelector, NodeSelectorRequirement } from "@coracle/api/core/v1";
import type {
  AllocationResult,
  Device,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  ResourceClaim,
  ResourceSlice,
} from "@coracle/api/resource/v1";
import { textsOf, type Capacities } from "./consumed-capacity.ts";
import type { DeviceFeatures } from "./device-features.ts";
import { fullName, type Choice } from "./requests.ts";

/** A device chosen for a request. */
export interface Chosen {
  readonly choice: Choice;
  readonly device: Device;
  readonly slice: ResourceSlice;
  readonly driver: string;
  readonly pool: string;
  /** The part of a device that others may use too. */
  readonly share: { readonly consumed: Capacities; readonly id: string } | undefined;
}

/** What a claim's status says of the devices chosen for it. */
export function allocationOf(
  claim: ResourceClaim | undefined,
  chosen: readonly Chosen[],
  node: Node,
  { bindingConditions }: DeviceFeatures,
): AllocationResult {
  const config = configOf(claim, chosen);
  const bindsToNode = bindingConditions && chosen.some(({ device }) => device.bindsToNode === true);
  const nodeSelector = bindsToNode ? onlyOn(node.metadata.name ?? "") : nodesOf(chosen);
  const results = chosen.map((each) => ({
    ...resultOf(each),
    ...(bindingConditions ? conditionsOf(each.device) : {}),
  }));
  return {
    devices: { results, ...(config.length === 0 ? {} : { config }) },
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
  };
}

function resultOf({ choice, device, driver, pool, share }: Chosen): DeviceRequestAllocationResult {
  return {
    request: fullName(choice),
    driver,
    pool,
    device: device.name,
    ...(choice.isAdmin ? { adminAccess: true } : {}),
    ...(choice.tolerations === undefined ? {} : { tolerations: choice.tolerations }),
    ...(share === undefined ? {} : { shareID: share.id, consumedCapacity: textsOf(share.consumed) }),
  };
}

/** What must be true, and what must not, before a pod with the device is bound. */
const conditionsOf = ({ bindingConditions, bindingFailureConditions }: Device) => ({
  ...(bindingConditions === undefined ? {} : { bindingConditions }),
  ...(bindingFailureConditions === undefined ? {} : { bindingFailureConditions }),
});

/** First what the classes say, each once with all requests of the class; then what the claim says for what was chosen. */
function configOf(
  claim: ResourceClaim | undefined,
  chosen: readonly Chosen[],
): readonly DeviceAllocationConfiguration[] {
  const byClass = new Map<string, { readonly choice: Choice; readonly requests: string[] }>();
  const names = new Set<string>();
  for (const { choice } of chosen) {
    const name = fullName(choice);
    if (names.has(name)) continue;
    names.add(name).add(choice.request);
    const className = choice.deviceClass.metadata.name ?? "";
    const known = byClass.get(className);
    if (known === undefined) byClass.set(className, { choice, requests: [name] });
    else known.requests.push(name);
  }
  const config: DeviceAllocationConfiguration[] = [];
  for (const { choice, requests } of byClass.values())
    for (const each of choice.deviceClass.spec.config ?? []) config.push({ ...each, source: "FromClass", requests });
  for (const each of claim?.spec.devices?.config ?? []) {
    const { requests = [] } = each;
    if (requests.length === 0 || requests.some((name) => names.has(name)))
      config.push({ ...each, source: "FromClaim" });
  }
  return config;
}

/** The nodes that can reach all devices; undefined: all. */
function nodesOf(chosen: readonly Chosen[]): NodeSelector | undefined {
  const matchFields: NodeSelectorRequirement[] = [];
  const matchExpressions: NodeSelectorRequirement[] = [];
  const add = (into: NodeSelectorRequirement[], more: readonly NodeSelectorRequirement[] = []): void => {
    for (const each of more) if (!into.some((known) => isSame(known, each))) into.push(each);
  };
  for (const { device, slice } of chosen) {
    const { nodeName = "", nodeSelector } = slice.spec.perDeviceNodeSelection === true ? device : slice.spec;
    if (nodeName !== "") return onlyOn(nodeName);
    const [term] = nodeSelector?.nodeSelectorTerms ?? [];
    add(matchFields, term?.matchFields);
    add(matchExpressions, term?.matchExpressions);
  }
  if (matchFields.length + matchExpressions.length === 0) return undefined;
  const fields = matchFields.length === 0 ? {} : { matchFields };
  const expressions = matchExpressions.length === 0 ? {} : { matchExpressions };
  return { nodeSelectorTerms: [{ ...fields, ...expressions }] };
}

const onlyOn = (nodeName: string): NodeSelector => ({
  nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [nodeName] }] }],
});

function isSame(a: NodeSelectorRequirement, b: NodeSelectorRequirement): boolean {
  const values = new Set(a.values ?? []);
  const isEqual = values.size === new Set(b.values ?? []).size && (b.values ?? []).every((value) => values.has(value));
  return a.key === b.key && a.operator === b.operator && isEqual;
}
