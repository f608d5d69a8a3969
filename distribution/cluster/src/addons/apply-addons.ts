import type { KubeObject, ResourceType } from "@coracle/api";
import { ServiceAccount, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { ClusterRole, ClusterRoleBinding } from "@coracle/api/rbac/v1";
import { isAlreadyExists } from "@coracle/apimachinery";
import { isAbort, sleep, type Clock, type Logger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import type { ClusterConfig } from "../cluster-config.ts";
import { cloudControllerManagerRole } from "./cloud-objects.ts";
import { dnsObjects } from "./dns-objects.ts";

interface Deps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Creates the add-ons' objects that are not there yet; what users changed stays as they have it. */
export async function applyAddons(client: ApiClient, config: ClusterConfig, deps: Deps): Promise<void> {
  if (config.cloud !== undefined) {
    const cloud = cloudControllerManagerRole();
    await ensure(client, ClusterRole, cloud.role, deps);
    await ensure(client, ClusterRoleBinding, cloud.binding, deps);
  }
  if (!config.addons) return;
  const dns = dnsObjects(config);
  await ensure(client, ServiceAccount, dns.serviceAccount, deps);
  await ensure(client, ClusterRole, dns.role, deps);
  await ensure(client, ClusterRoleBinding, dns.binding, deps);
  await ensure(client, Service, dns.service, deps);
  if (dns.slice.endpoints.length > 0) await ensure(client, EndpointSlice, dns.slice, deps, "replace");
}

const RETRY_MS = 1000;

async function ensure<T extends KubeObject>(
  client: ApiClient,
  type: ResourceType<T>,
  object: T,
  { clock, logger, signal }: Deps,
  ifThere: "keep" | "replace" = "keep",
): Promise<void> {
  for (;;) {
    try {
      await client.create(type, object, { signal });
      return;
    } catch (error) {
      if (isAbort(error, signal)) throw error;
      if (isAlreadyExists(error)) {
        // Addresses of nodes are those of this start.
        if (ifThere === "replace") await client.update(type, object, { signal });
        return;
      }
      logger.warn("add-on object could not be created; trying again", {
        kind: type.kind,
        name: object.metadata.name,
        error,
      });
      await sleep(clock, RETRY_MS, signal);
    }
  }
}
