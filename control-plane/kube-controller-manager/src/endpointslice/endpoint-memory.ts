import type { Pod, Service } from "@coracle/api/core/v1";
import type { Endpoint } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { withoutHints } from "./hints.ts";

interface Kept {
  readonly address: string;
  readonly zone: string | undefined;
  readonly endpoint: Endpoint;
}

/**
 * Endpoints that were made and compared before, so that a change of one pod costs little in a service of thousands.
 * Objects of the caches never change: a pod that did is another object. Nothing is kept longer than what it is about.
 */
export class EndpointMemory {
  readonly #made = new WeakMap<Service, WeakMap<Pod, Kept>>();
  /** What was seen in a slice → what was wanted, and is the same. */
  readonly #equal = new WeakMap<Endpoint, Endpoint>();

  /** The pod's endpoint in the service as it was made before, or as `make` makes it now. */
  endpoint(service: Service, pod: Pod, address: string, zone: string | undefined, make: () => Endpoint): Endpoint {
    let ofService = this.#made.get(service);
    if (ofService === undefined) this.#made.set(service, (ofService = new WeakMap<Pod, Kept>()));
    const kept = ofService.get(pod);
    if (kept?.zone === zone && kept?.address === address) return kept.endpoint;
    const endpoint = make();
    ofService.set(pod, { address, zone, endpoint });
    return endpoint;
  }

  isSame(seen: Endpoint, wanted: Endpoint): boolean {
    if (seen === wanted || this.#equal.get(seen) === wanted) return true;
    if (!equalJson(withoutHints(seen), wanted)) return false; // hints are added later
    this.#equal.set(seen, wanted);
    return true;
  }
}
