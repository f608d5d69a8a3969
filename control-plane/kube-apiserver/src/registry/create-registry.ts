import type { Clock, Logger, Random } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import { LeasePool } from "../storage/lease-pool.ts";
import { ResourceStorage } from "../storage/resource-storage.ts";
import { StorageHub, type CachedResource } from "../storage/storage-hub.ts";
import { createGenericHandler, objectSubresource } from "./generic-handler.ts";
import type { PatchPort } from "./patch-verb.ts";
import type { AdmissionChain, Registry, ResourceHandler, SubresourceHandler } from "./registry.ts";
import { readResourceCatalog, resourceKey, type ResourceEntry } from "./resource-catalog.ts";
import type { ResourceCore } from "./resource-core.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import type { SchemaPort } from "./schema-port.ts";

const FRESHNESS_WAIT_MS = 3_000;
const EVENT_TTL_SECONDS = 3_600;

/** What a registry is made of. */
export interface RegistryOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly admission: AdmissionChain;
  /** What is special about kinds; kinds without one are served from the tables alone. */
  readonly definitions: readonly ResourceDefinition[];
  readonly schema: SchemaPort;
  readonly patches: PatchPort;
}

/** A running registry: its caches follow the store until it is disposed. */
export interface RunningRegistry extends Registry, AsyncDisposable {
  /** The resources it serves, in the tables' order. */
  readonly catalog: readonly ResourceEntry[];
  /** How far its caches are. */
  readonly revision: number;
}

/** Kinds whose `metadata.generation` counts changes of the spec. */
const COUNTED: ReadonlySet<string> = new Set(
  (
    "pods replicationcontrollers podtemplates deployments replicasets statefulsets daemonsets jobs cronjobs " +
    "poddisruptionbudgets ingresses ingressclasses networkpolicies endpointslices priorityclasses flowschemas " +
    "prioritylevelconfigurations mutatingwebhookconfigurations validatingwebhookconfigurations " +
    "validatingadmissionpolicies validatingadmissionpolicybindings customresourcedefinitions deviceclasses resourceslices"
  ).split(" "),
);

/** Opens the registry: reads the store's state once and follows it. */
export async function createRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { store, clock, logger } = options;
  const catalog = readResourceCatalog();
  const definitions = new Map(
    options.definitions.map((definition) => [
      resourceKey(definition.group, definition.version, definition.plural),
      definition,
    ]),
  );
  const definitionOf = (entry: ResourceEntry): ResourceDefinition =>
    definitions.get(resourceKey(entry.group, entry.version, entry.plural)) ?? {
      group: entry.group,
      version: entry.version,
      plural: entry.plural,
      kind: entry.kind,
    };
  const hub = new StorageHub({ store, clock, logger });
  const stored = catalog.filter((entry) => entry.etcdPrefix !== undefined);
  const byPrefix = new Map<string, CachedResource>();
  for (const entry of stored) {
    const prefix = entry.etcdPrefix as string;
    if (!byPrefix.has(prefix)) byPrefix.set(prefix, { prefix, indexes: definitionOf(entry).selectableFields });
  }
  await hub.start([...byPrefix.values()]);
  const leases = new LeasePool(store, clock);
  const handlers = new Map<string, ResourceHandler>();
  for (const entry of stored) {
    const cache = hub.cache(entry.etcdPrefix as string);
    if (cache === undefined) continue;
    const storage = new ResourceStorage({
      hub,
      cache,
      leases,
      resource: { group: entry.group, resource: entry.plural },
    });
    const definition = definitionOf(entry);
    const core: ResourceCore = {
      entry,
      definition,
      storage,
      schema: options.schema,
      admission: options.admission,
      clock,
      random: options.random,
      logger,
      hasGeneration: definition.hasGeneration ?? COUNTED.has(entry.plural),
      hooks: {},
      ttlSeconds: entry.plural === "events" ? EVENT_TTL_SECONDS : undefined,
      waitForRevision: (revision) => hub.waitAtMost(revision, FRESHNESS_WAIT_MS),
    };
    handlers.set(
      resourceKey(entry.group, entry.version, entry.plural),
      createGenericHandler(core, options.patches, subresourcesOf(core, options)),
    );
  }
  return {
    catalog,
    get revision() {
      return hub.revision;
    },
    resource: (group, version, plural) => handlers.get(resourceKey(group, version, plural)),
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

function subresourcesOf(core: ResourceCore, options: RegistryOptions): ReadonlyMap<string, SubresourceHandler> {
  const out = new Map<string, SubresourceHandler>();
  for (const subresource of Object.keys(core.entry.subresources ?? {})) {
    const strategy = core.definition.subresources?.[subresource];
    if (strategy !== undefined || subresource === "status") {
      const way = { subresource, strategy: strategy ?? {} };
      out.set(subresource, objectSubresource(core, options.patches, way));
    }
  }
  return out;
}
