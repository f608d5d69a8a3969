import type { CapacityRequestPolicy, CapacityRequirements, Device, DeviceCapacity } from "@coracle/api/resource/v1";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityOf,
  type Quantity,
} from "@coracle/apimachinery";

/** Amounts by name of a capacity. */
export type Capacities = ReadonlyMap<string, Quantity>;

const NONE: Capacities = new Map();
const NANO = 1_000_000_000n;

/**
 * What a request takes of a device that serves several, on top of what others have taken; undefined: it does not fit,
 * or the device has no such capacity.
 */
export function consume(
  device: Device,
  requirements: CapacityRequirements | undefined,
  taken: Capacities = NONE,
): Capacities | undefined {
  const capacities = device.capacity ?? {};
  for (const name of Object.keys(requirements?.requests ?? {})) if (capacities[name] === undefined) return undefined;
  const consumed = new Map<string, Quantity>();
  for (const [name, capacity] of Object.entries(capacities)) {
    const share = shareOf(capacity, requirements?.requests?.[name]);
    if (breaksPolicy(share, capacity.requestPolicy)) return undefined;
    const others = taken.get(name);
    const total = others === undefined ? share : addQuantities(others, share);
    if (compareQuantities(total, parseQuantity(capacity.value)) > 0) return undefined;
    consumed.set(name, share);
  }
  return consumed;
}

/** One more set of amounts, or one less. */
export function sumCapacities(a: Capacities, b: Capacities): Capacities {
  const sum = new Map(a);
  for (const [name, amount] of b) {
    const known = sum.get(name);
    sum.set(name, known === undefined ? amount : addQuantities(known, amount));
  }
  return sum;
}

/** As an allocation says it. */
export const textsOf = (capacities: Capacities): Readonly<Record<string, string>> =>
  Object.fromEntries([...capacities].map(([name, amount]) => [name, formatQuantity(amount)]));

/** Amounts that an allocation says. */
export const capacitiesOf = (texts: Readonly<Record<string, string>>): Capacities =>
  new Map(Object.entries(texts).map(([name, text]) => [name, parseQuantity(text)]));

/** What is asked for, rounded up to what the policy allows; nothing asked for: the default, or all there is. */
function shareOf({ value, requestPolicy: policy }: DeviceCapacity, request: string | undefined): Quantity {
  if (request === undefined) return parseQuantity(policy?.default ?? value);
  const amount = parseQuantity(request);
  if (policy?.validRange !== undefined) {
    const min = parseQuantity(policy.validRange.min);
    if (compareQuantities(amount, min) < 0) return min;
    if (policy.validRange.step === undefined) return amount;
    const step = parseQuantity(policy.validRange.step);
    const steps = (amount.nano - min.nano + step.nano - 1n) / step.nano;
    return quantityOf((min.nano + step.nano * steps) / NANO, "BinarySI");
  }
  const valid = policy?.validValues?.map((text) => parseQuantity(text)) ?? [];
  return valid.find((each) => compareQuantities(amount, each) <= 0) ?? amount;
}

function breaksPolicy(amount: Quantity, policy: CapacityRequestPolicy | undefined): boolean {
  if (policy === undefined) return false;
  const isSame = (text: string): boolean => compareQuantities(amount, parseQuantity(text)) === 0;
  if (policy.default !== undefined && isSame(policy.default)) return false;
  const { validRange, validValues = [] } = policy;
  if (validRange === undefined) return validValues.length > 0 && !validValues.some(isSame);
  if (validRange.max !== undefined && compareQuantities(amount, parseQuantity(validRange.max)) > 0) return true;
  if (validRange.step === undefined) return false;
  return (amount.nano - parseQuantity(validRange.min).nano) % parseQuantity(validRange.step).nano !== 0n;
}
