import { hostname } from "node:os";
import type { Draft } from "@coracle/apimachinery";
import { TaskScope, type Clock, type Logger, type Random } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import { AddressLedger } from "../allocators/address-ledger.ts";
import { DefaultBlock } from "../allocators/default-block.ts";
import { PortLedger } from "../allocators/port-ledger.ts";
import { reportByEvents } from "../allocators/problem-events.ts";
import { ServiceAllocator } from "../allocators/service-allocator.ts";
import { ServiceBlocks } from "../allocators/service-blocks.ts";
import { ServiceRepair } from "../allocators/service-repair.ts";
import { checkClusterIpFields } from "../resources/core/service-cluster-ips.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import type { ValueReader } from "../storage/stored-version.ts";
import { as } from "../resources/validation/decoded.ts";
import type { ServiceSpec } from "@coracle/api/core/v1";

/** What Services need of the cluster's configuration. */
export interface ServiceNetworking {
  /** `10.96.0.0/16`, or two blocks of different families. */
  readonly serviceCidr: string;
  /** `30000-32767`. */
  readonly nodePortRange: string;
}

/** Gives Services their addresses and ports, and sees to it that what is written down about them is true. */
export interface RunningServiceNetworking extends AsyncDisposable {
  readonly allocator: ServiceAllocator;
}

/** Opens it: reads what there is, mends it, and follows it from then on. */
export async function openServiceNetworking(options: {
  readonly networking: ServiceNetworking;
  readonly store: Store;
  readonly read: ValueReader;
  readonly services: ObjectStorage;
  readonly addresses: ObjectStorage;
  readonly blocks: ObjectStorage;
  readonly events: ObjectStorage;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}): Promise<RunningServiceNetworking> {
  const { networking, services, addresses, clock, random, logger, store, read } = options;
  const cidrs = networking.serviceCidr.split(",").map((cidr) => cidr.trim());
  const scope = new TaskScope();
  const blocks = new ServiceBlocks(options.blocks);
  const ledger = new AddressLedger({ addresses, blocks, clock, random, logger });
  const ports = await PortLedger.open({ store, range: networking.nodePortRange, read, random });
  const reporting = { events: options.events, host: hostname(), clock, random, logger, scope };
  const report = (reporter: string): ReturnType<typeof reportByEvents> => reportByEvents({ ...reporting, reporter });
  const allocator = new ServiceAllocator({
    cidrs,
    addresses: ledger,
    ports,
    checkFamilies: (spec: Draft, old: Draft | undefined) =>
      checkClusterIpFields(as<ServiceSpec>(spec), old === undefined ? undefined : as<ServiceSpec>(old)),
    logger,
  });
  const repair = new ServiceRepair({
    services,
    addresses,
    blocks: options.blocks,
    ranges: blocks,
    ledger,
    ports,
    defaultBlock: new DefaultBlock({
      blocks: options.blocks,
      cidrs,
      clock,
      report: report("kubernetes-service-cidr-controller"),
    }),
    reportIp: report("ipallocator-repair-controller"),
    reportPort: report("portallocator-repair-controller"),
    clock,
    logger,
    scope,
  });
  await repair.start();
  return {
    allocator,
    async [Symbol.asyncDispose]() {
      repair[Symbol.dispose]();
      blocks[Symbol.dispose]();
      await scope[Symbol.asyncDispose]();
    },
  };
}
