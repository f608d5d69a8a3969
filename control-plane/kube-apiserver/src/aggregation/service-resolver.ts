import type { Random } from "@coracle/base";
import {
  resolveByClusterIp,
  resolveByEndpoints,
  type Address,
  type ServiceResolver,
} from "../outbound/service-resolver.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";

export interface ServiceResolverOptions {
  readonly objects: RegistryReader;
  readonly random: Random;
  /** `--enable-aggregator-routing`: for hosts that do not route service addresses. */
  readonly routesToEndpoints: boolean;
  /** Where this server itself is reached. */
  readonly self: () => Address;
}

/** Finds the server behind a Service; `default/kubernetes` is this one, whatever its endpoints say. */
export function createServiceResolver({
  objects,
  random,
  routesToEndpoints,
  self,
}: ServiceResolverOptions): ServiceResolver {
  const resolve = routesToEndpoints ? resolveByEndpoints(objects, random) : resolveByClusterIp(objects);
  return (namespace, name, port) =>
    namespace === "default" && name === "kubernetes" && port === 443
      ? Promise.resolve(self())
      : resolve(namespace, name, port);
}
