import type { Device, DeviceAttribute, DeviceConstraint } from "@coracle/api/resource/v1";

/** What devices of one claim must have in common, or must not, while they are being chosen. */
export interface Constraint {
  /** False: not this device beside those chosen so far; nothing changes then. */
  add(request: string, subRequest: string | undefined, device: Device, driver: string): boolean;
  /** Takes back the last device that was added. */
  removeLast(request: string, subRequest: string | undefined): void;
}

/** The constraints of a claim; undefined: of a kind that is not known. */
export function compileConstraint(constraint: DeviceConstraint): Constraint | undefined {
  const { matchAttribute, distinctAttribute, requests = [] } = constraint;
  const attribute = matchAttribute ?? distinctAttribute;
  return attribute === undefined
    ? undefined
    : new AttributeConstraint(attribute, matchAttribute !== undefined, requests);
}

class AttributeConstraint implements Constraint {
  readonly #attribute: string;
  readonly #mustMatch: boolean;
  readonly #requests: readonly string[];
  readonly #values: string[] = [];

  constructor(attribute: string, mustMatch: boolean, requests: readonly string[]) {
    this.#attribute = attribute;
    this.#mustMatch = mustMatch;
    this.#requests = requests;
  }

  add(request: string, subRequest: string | undefined, device: Device, driver: string): boolean {
    if (!this.#concerns(request, subRequest)) return true;
    const attribute = findAttribute(device, driver, this.#attribute);
    const value = attribute === undefined ? undefined : valueOf(attribute);
    if (value === undefined) return false;
    const isAllowed = this.#mustMatch
      ? this.#values.length === 0 || this.#values[0] === value
      : !this.#values.includes(value);
    if (isAllowed) this.#values.push(value);
    return isAllowed;
  }

  removeLast(request: string, subRequest: string | undefined): void {
    if (this.#concerns(request, subRequest)) this.#values.pop();
  }

  #concerns(request: string, subRequest: string | undefined): boolean {
    if (this.#requests.length === 0 || this.#requests.includes(request)) return true;
    return subRequest !== undefined && this.#requests.includes(`${request}/${subRequest}`);
  }
}

/** An attribute by its full name; names without a domain are of the driver's. */
export function findAttribute(device: Device, driver: string, name: string): DeviceAttribute | undefined {
  const full = device.attributes?.[name];
  if (full !== undefined) return full;
  return name.startsWith(`${driver}/`) ? device.attributes?.[name.slice(driver.length + 1)] : undefined;
}

/** Text that is equal for equal values of the same type. */
function valueOf({ string, int, bool, version }: DeviceAttribute): string | undefined {
  if (string !== undefined) return `s${string}`;
  if (int !== undefined) return `i${int}`;
  if (bool !== undefined) return `b${bool}`;
  return version === undefined ? undefined : `v${version}`;
}
