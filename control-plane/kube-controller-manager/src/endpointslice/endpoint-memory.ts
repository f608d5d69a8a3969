import type { Node, Pod, Service } from "@coracle/api/core/v1";
import type { Endpoint } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { targetPortsIn } from "../services/service-pods.ts";
import { withoutHints } from "./hints.ts";

/** A pod's endpoint in a service. */
interface Kept {
  readonly endpoint: Endpoint;
  /** What the service's ports are in the pod, and the same as text. */
  readonly numbers: readonly (number | undefined)[];
  readonly portsKey: string;
  /** Of which node it was made. */
  readonly node: Node | undefined;
}

/**
 * Endpoints that were made and compared before, so that a change of one pod costs little in a service of thousands.
 * Objects of the caches never change: a pod that did is another object. Nothing is kept longer than what it is about.
 */
export class EndpointMemory {
  /** By service, then by family of addresses, then by pod. */
  readonly #made = new WeakMap<Service, Map<string, WeakMap<Pod, Kept>>>();
  /** What was seen in a slice → what was wanted, and is the same. */
  readonly #equal = new WeakMap<Endpoint, Endpoint>();

  /** The endpoints of the service's pods in one family, as they were made before. */
  of(service: Service, addressType: string): WeakMap<Pod, Kept> {
    let families = this.#made.get(service);
    if (families === undefined) this.#made.set(service, (families = new Map()));
    let known = families.get(addressType);
    if (known === undefined) families.set(addressType, (known = new WeakMap()));
    return known;
  }

  /** What was wanted when `seen` was found to be the same, whether or not it is wanted still. */
  sameAs(seen: Endpoint): Endpoint | undefined {
    return this.#equal.get(seen);
  }

  isSame(seen: Endpoint, wanted: Endpoint): boolean {
    if (this.#equal.get(seen) === wanted) return true;
    if (!equalJson(withoutHints(seen), wanted)) return false; // hints are added later
    this.#equal.set(seen, wanted);
    return true;
  }
}

/** The pod's endpoint as it was made before if that was of the same node, else made and kept now; undefined: it has none. */
export function keptEndpoint(
  known: WeakMap<Pod, Kept>,
  service: Service,
  pod: Pod,
  node: Node | undefined,
  make: (pod: Pod, node: Node | undefined) => Endpoint | undefined,
): Kept | undefined {
  const before = known.get(pod);
  if (before !== undefined && before.node === node) return before;
  const endpoint = make(pod, node);
  if (endpoint === undefined) return undefined;
  const numbers = targetPortsIn(pod, service);
  const kept = { endpoint, numbers, portsKey: numbers.join(), node };
  known.set(pod, kept);
  return kept;
}
