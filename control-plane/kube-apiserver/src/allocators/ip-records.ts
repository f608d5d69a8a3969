import type { Clock, Logger } from "@coracle/base";
import { isIpv6Address, type Draft } from "@coracle/apimachinery";
import { fillNewMeta } from "../registry/object-meta.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";

const MANAGED_BY = "ipaddress.kubernetes.io/managed-by";
const OURS = "ipallocator.k8s.io";

/** Keeps an IPAddress object for each cluster IP in use. */
export class IpRecords {
  readonly #storage: ObjectStorage;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(storage: ObjectStorage, clock: Clock, logger: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Never throws: the address is taken whether or not its record could be written; the next start mends it. */
  async add(ips: readonly string[], service: ApiDraft | ApiObject): Promise<void> {
    for (const ip of ips) {
      if (ip === "None" || this.#storage.get("", ip) !== undefined) continue;
      try {
        await this.#storage.create(this.#record(ip, service));
      } catch (error) {
        this.#logger.warn("cannot write the record of a cluster IP", { ip, error });
      }
    }
  }

  #record(ip: string, service: ApiDraft | ApiObject): ApiDraft {
    const { namespace, name } = service.metadata;
    const family = isIpv6Address(ip).length === 0 ? "IPv6" : "IPv4";
    const draft: ApiDraft = {
      kind: "IPAddress",
      apiVersion: "networking.k8s.io/v1",
      metadata: { name: ip, labels: { "ipaddress.kubernetes.io/ip-family": family, [MANAGED_BY]: OURS } },
      spec: { parentRef: { resource: "services", namespace, name } },
    };
    fillNewMeta(draft, this.#clock.now());
    return draft;
  }

  async remove(ips: readonly string[]): Promise<void> {
    for (const ip of ips) {
      try {
        const stored = this.#storage.get("", ip);
        if (stored !== undefined) await this.#storage.remove(stored);
      } catch (error) {
        this.#logger.warn("cannot remove the record of a cluster IP", { ip, error });
      }
    }
  }

  /** Makes the records agree with the services. */
  async repair(services: readonly ApiObject[]): Promise<void> {
    const wanted = new Set<string>();
    for (const service of services) {
      const ips = ((service.spec as Draft | undefined)?.clusterIPs as string[] | undefined) ?? [];
      for (const ip of ips) wanted.add(ip);
      await this.add(ips, service);
    }
    const { items } = await this.#storage.list({});
    const orphans = items.filter(
      (item) => !wanted.has(item.name) && (item.object.metadata.labels as Draft | undefined)?.[MANAGED_BY] === OURS,
    );
    await this.remove(orphans.map((item) => item.name));
  }
}
