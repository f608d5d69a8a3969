import type { IPAddress } from "@coracle/api/networking/v1";
import { isAlreadyExists, type Draft } from "@coracle/apimachinery";
import type { Clock, Logger, Random } from "@coracle/base";
import { fillNewMeta } from "../registry/object-meta.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { canonicalIp, familyOf, type AddressBlock, type IpFamily } from "./address-block.ts";
import type { ServiceBlocks } from "./service-blocks.ts";

const FAMILY = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY = "ipaddress.kubernetes.io/managed-by";
const OURS = "ipallocator.k8s.io";

/** Why an address was not to be had. */
export type AddressRefusal = "allocated" | "mismatched" | "full";

/** Names a Service. */
export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

/** Whether the allocator made this IPAddress. */
export function isOurs(address: ApiObject): boolean {
  return ((address.metadata["labels"] as Draft | undefined) ?? {})[MANAGED_BY] === OURS;
}

/** Whether the labels are those that the allocator gives. */
export function hasOurLabels(address: ApiObject): boolean {
  const { name, labels = {} } = address.metadata as { name: string; labels?: Record<string, string> };
  return isOurs(address) && labels[FAMILY] === familyOf(name);
}

/** What the address is for. */
export const parentOf = (address: ApiObject): NonNullable<IPAddress["spec"]>["parentRef"] | undefined =>
  (address as unknown as IPAddress).spec?.parentRef;

/**
 * Who has which cluster IP: an IPAddress object each. To create the object is to take the address, so that of several
 * servers on one store only one can.
 */
export class AddressLedger {
  readonly #addresses: ObjectStorage;
  readonly #blocks: ServiceBlocks;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;

  constructor(options: {
    readonly addresses: ObjectStorage;
    readonly blocks: ServiceBlocks;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
  }) {
    this.#addresses = options.addresses;
    this.#blocks = options.blocks;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
  }

  /** Takes one address. Undefined: done. */
  async take(ip: string, service: ServiceName): Promise<AddressRefusal | undefined> {
    const family = familyOf(ip);
    if (family === undefined || !this.#blocks.ready(family).some((block) => block.contains(ip))) return "mismatched";
    return (await this.record(ip, service)) ? undefined : "allocated";
  }

  /** Takes any address of a family; undefined: there is none. */
  async takeAny(family: IpFamily, service: ServiceName): Promise<string | undefined> {
    for (const block of this.#blocks.ready(family)) {
      for (const ip of block.candidates(this.#random)) {
        if (this.#addresses.get("", ip) === undefined && (await this.record(ip, service))) return ip;
      }
    }
    return undefined;
  }

  /** A block that a dry run may look at. */
  anyBlock(family: IpFamily): AddressBlock | undefined {
    return this.#blocks.ready(family)[0];
  }

  /** Writes down who has an address, whatever the blocks. False: it is another's. */
  async record(ip: string, { namespace, name }: ServiceName): Promise<boolean> {
    const draft: ApiDraft = {
      kind: "IPAddress",
      apiVersion: "networking.k8s.io/v1",
      metadata: { name: canonicalIp(ip) ?? ip, labels: { [FAMILY]: familyOf(ip) ?? "IPv4", [MANAGED_BY]: OURS } },
      spec: { parentRef: { resource: "services", namespace, name } },
    };
    fillNewMeta(draft, this.#clock.now());
    try {
      await this.#addresses.create(draft);
      return true;
    } catch (error) {
      if (isAlreadyExists(error)) return false;
      throw error;
    }
  }

  get(ip: string): ApiObject | undefined {
    return this.#addresses.get("", canonicalIp(ip) ?? ip)?.object;
  }

  /** Never throws: what cannot be given back now is found by the repair. */
  async release(ips: readonly string[]): Promise<void> {
    for (const ip of ips) {
      try {
        const stored = this.#addresses.get("", canonicalIp(ip) ?? ip);
        if (stored !== undefined) await this.#addresses.remove(stored);
      } catch (error) {
        this.#logger.warn("cannot give back a cluster IP", { ip, error });
      }
    }
  }
}
