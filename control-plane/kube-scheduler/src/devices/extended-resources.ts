import type { Container, ContainerExtendedResourceRequest, Pod } from "@coracle/api/core/v1";
import type { DeviceClass, DeviceRequest } from "@coracle/api/resource/v1";
import { amountOf } from "../state/pod-resources.ts";

const CLASS_PREFIX = "deviceclass.resource.kubernetes.io/";

/** The resource that every class of devices stands behind. */
export const resourceOfClass = (className: string): string => `${CLASS_PREFIX}${className}`;

/** Whether devices may stand behind a resource of this name. */
export function mayBeDevices(name: string): boolean {
  if (name.startsWith(CLASS_PREFIX)) return true;
  return name.includes("/") && !name.includes("kubernetes.io/") && !name.startsWith("requests.");
}

/** Which class of devices stands behind a resource: the one that its name says, or the newest that names it. */
export class DevicesByResource {
  readonly #classes: () => readonly DeviceClass[];
  #byName: ReadonlyMap<string, DeviceClass> | undefined;
  #version = 0;

  constructor(classes: () => readonly DeviceClass[]) {
    this.#classes = classes;
  }

  /** Changes whenever answers may have changed. */
  get version(): number {
    return this.#version;
  }

  /** Some class came, went or is another. */
  changed(): void {
    this.#byName = undefined;
    this.#version++;
  }

  classOf(resource: string): DeviceClass | undefined {
    if (!mayBeDevices(resource)) return undefined;
    this.#byName ??= byResource(this.#classes());
    return this.#byName.get(resource);
  }
}

function byResource(classes: readonly DeviceClass[]): ReadonlyMap<string, DeviceClass> {
  const found = new Map<string, DeviceClass>();
  for (const each of classes) {
    found.set(resourceOfClass(each.metadata.name ?? ""), each);
    const { extendedResourceName: name } = each.spec;
    const other = name === undefined ? undefined : found.get(name);
    if (name !== undefined && (other === undefined || goesBefore(each, other))) found.set(name, each);
  }
  return found;
}

/** Who moves from one class to another makes the new one first. */
function goesBefore({ metadata: a }: DeviceClass, { metadata: b }: DeviceClass): boolean {
  const [of, than] = [a.creationTimestamp ?? "", b.creationTimestamp ?? ""];
  return of === than ? (a.name ?? "") < (b.name ?? "") : of > than;
}

/** What a claim asks for in the name of containers, and which of its requests serve which container. */
export interface ExtendedRequests {
  readonly requests: readonly DeviceRequest[];
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

interface Asking {
  readonly container: Container;
  /** Among init containers and containers together. */
  readonly index: number;
}

/** A request of a container, as far as others do not serve it. */
interface Asked {
  readonly index: number;
  readonly name: string;
  readonly count: number;
}

/** Requests for the devices behind `resources`. Containers that run at once have devices of their own. */
export function extendedRequests(
  { spec }: Pod,
  resources: readonly string[],
  classOf: (resource: string) => DeviceClass | undefined,
): ExtendedRequests {
  const inits = spec.initContainers ?? [];
  const all = [...inits, ...spec.containers].map((container, index): Asking => ({ container, index }));
  const isPassing = ({ container, index }: Asking): boolean =>
    index < inits.length && container.restartPolicy !== "Always";
  const staying = all.filter((each) => !isPassing(each));
  const passing = all.filter(isPassing);
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  for (const resource of [...resources].sort()) {
    const className = classOf(resource)?.metadata.name;
    if (className === undefined) continue;
    const kept: Asked[] = [];
    for (const each of staying) {
      const { asked, uses } = ask(each, resource, []);
      if (asked !== undefined) kept.push(asked);
      mappings.push(...uses);
    }
    const passed: ContainerExtendedResourceRequest[] = [];
    const own: Asked[] = [];
    for (const each of passing) {
      // What containers use that start later is free until then.
      const { asked, uses } = ask(
        each,
        resource,
        kept.filter(({ index }) => index >= each.index),
      );
      if (asked !== undefined) own.push(asked);
      passed.push(...uses);
    }
    // One after the other: the largest serves them all.
    const largest = own.reduce<Asked | undefined>((a, b) => (a === undefined || a.count < b.count ? b : a), undefined);
    const names = new Set(own.map(({ name }) => name));
    const shared = (use: ContainerExtendedResourceRequest): ContainerExtendedResourceRequest =>
      largest !== undefined && names.has(use.requestName) ? { ...use, requestName: largest.name } : use;
    mappings.push(...passed.map(shared));
    for (const { name, count } of largest === undefined ? kept : [largest, ...kept])
      requests.push({
        name,
        exactly: { deviceClassName: className, allocationMode: "ExactCount", count },
      });
  }
  return { requests: requests.sort((a, b) => (a.name < b.name ? -1 : 1)), mappings };
}

/** What the container needs beyond `reusable`, and whose requests it uses. */
function ask(
  { container: { name: containerName, resources }, index }: Asking,
  resourceName: string,
  reusable: readonly Asked[],
): { readonly asked?: Asked; readonly uses: readonly ContainerExtendedResourceRequest[] } {
  const wanted = amountOf(resourceName, resources?.requests?.[resourceName] ?? "0");
  const uses: ContainerExtendedResourceRequest[] = [];
  let left = wanted;
  for (const { name: requestName, count } of reusable) {
    if (left <= 0) break;
    left -= count;
    uses.push({ containerName, resourceName, requestName });
  }
  if (left <= 0) return { uses };
  const place = Object.keys(resources?.requests ?? {})
    .sort()
    .indexOf(resourceName);
  const name = `container-${index}-request-${place}`;
  uses.push({ containerName, resourceName, requestName: name });
  return { asked: { index, name, count: left }, uses };
}
