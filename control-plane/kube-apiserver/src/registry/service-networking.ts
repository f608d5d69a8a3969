import type { Clock, Logger, Random } from "@coracle/base";
import { IpRecords } from "../allocators/ip-records.ts";
import { ServiceAllocator } from "../allocators/service-allocator.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { fillNewMeta, formatTime } from "./object-meta.ts";
import type { ApiDraft } from "./resource-definition.ts";

/** What Services need of the cluster's configuration. */
export interface ServiceNetworking {
  /** `10.96.0.0/16`, or two blocks of different families. */
  readonly serviceCidr: string;
  /** `30000-32767`. */
  readonly nodePortRange: string;
}

/** An allocator that knows what the existing Services have. */
export async function openServiceAllocator(options: {
  readonly networking: ServiceNetworking;
  readonly services: ObjectStorage;
  readonly addresses: ObjectStorage;
  readonly blocks: ObjectStorage;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}): Promise<ServiceAllocator> {
  const { networking, services, clock, random, logger } = options;
  const records = new IpRecords(options.addresses, clock, logger);
  const allocator = new ServiceAllocator({ ...networking, random, records });
  const { items } = await services.list({});
  for (const item of items) allocator.adopt(item.object, logger);
  await records.repair(items.map((item) => item.object));
  await announceBlock(options.blocks, allocator.cidrs, clock);
  return allocator;
}

/** The ServiceCIDR object of the cluster's own blocks. */
async function announceBlock(blocks: ObjectStorage, cidrs: readonly string[], clock: Clock): Promise<void> {
  if (blocks.get("", "kubernetes") !== undefined) return;
  const draft: ApiDraft = {
    kind: "ServiceCIDR",
    apiVersion: "networking.k8s.io/v1",
    metadata: { name: "kubernetes", finalizers: ["networking.k8s.io/service-cidr-finalizer"] },
    spec: { cidrs },
    status: {
      conditions: [
        {
          type: "Ready",
          status: "True",
          lastTransitionTime: formatTime(clock.now()),
          reason: "",
          message: "Kubernetes default Service CIDR is ready",
        },
      ],
    },
  };
  fillNewMeta(draft, clock.now());
  await blocks.create(draft);
}
