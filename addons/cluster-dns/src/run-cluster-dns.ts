import { readFileSync } from "node:fs";
import { Namespace, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { aborted, type Clock, type Logger, type Random } from "@coracle/base";
import { createInformerFactory, dropManagedFields, type ApiClient } from "@coracle/client";
import { createAnswerCache } from "./forward/answer-cache.ts";
import { createForwarder } from "./forward/forwarder.ts";
import { nameServers } from "./forward/resolv-conf.ts";
import { listenDns } from "./server/listeners.ts";
import { createResponder } from "./server/responder.ts";
import type { ZoneView } from "./zone/records.ts";

export interface ClusterDnsOptions {
  /** Needs list and watch on services, endpointslices and namespaces. */
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly address: string;
  readonly port: number;
  /** `cluster.local`. */
  readonly clusterDomain: string;
  /** Servers for names outside the cluster; absent: those of `resolvConf`. */
  readonly forwardTo?: readonly string[] | undefined;
  readonly resolvConf?: string | undefined;
  /** Called with the bound port once names are answered. */
  readonly onReady?: ((port: number) => void) | undefined;
}

/** Serves the cluster's names until the signal aborts. */
export async function runClusterDns(options: ClusterDnsOptions): Promise<void> {
  const { client, clock, random, logger, signal, address, clusterDomain } = options;
  await using factory = createInformerFactory({ client, clock, random, logger });
  const services = factory.informer(Service, {
    transform: dropManagedFields,
    indexes: { ip: (service) => service.spec.clusterIPs ?? [] },
  });
  const slices = factory.informer(EndpointSlice, {
    transform: dropManagedFields,
    indexes: {
      service: (slice) => [`${slice.metadata.namespace}/${slice.metadata.labels?.["kubernetes.io/service-name"]}`],
      address: (slice) => (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses),
    },
  });
  const namespaces = factory.informer(Namespace, { transform: dropManagedFields });
  const view: ZoneView = {
    service: (namespace, name) => services.lister.get(namespace, name),
    servicesByIp: (ip) => services.lister.byIndex("ip", ip),
    endpointSlices: (namespace, service) => slices.lister.byIndex("service", `${namespace}/${service}`),
    slicesByAddress: (ip) => slices.lister.byIndex("address", ip),
    hasNamespace: (name) => namespaces.lister.get(undefined, name) !== undefined,
  };
  const servers =
    options.forwardTo ?? nameServers(readFileSync(options.resolvConf ?? "/etc/resolv.conf", "utf8"), [address]);
  const respond = createResponder({
    view,
    zone: clusterDomain,
    forwarder: createForwarder({ servers, clock, random }),
    cache: createAnswerCache(clock),
    isSynced: () => services.synced && slices.synced && namespaces.synced,
    serial: Math.floor(clock.now() / 1000),
  });
  await using listeners = await listenDns(address, options.port, respond);
  logger.info("serving DNS", { address, port: listeners.port, forwardTo: servers });
  await factory.waitForSync(signal);
  options.onReady?.(listeners.port);
  await aborted(signal);
}
