import type { Clock, Logger, Random } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import { StoreMetrics } from "../metrics/store-metrics.ts";
import { ConvertedStorage } from "../storage/converted-storage.ts";
import { LeasePool } from "../storage/lease-pool.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { ResourceStorage } from "../storage/resource-storage.ts";
import { StorageHub, type CachedResource } from "../storage/storage-hub.ts";
import type { StoredValueGuard } from "../storage/stored-value-guard.ts";
import type { ValueReader } from "../storage/stored-version.ts";
import { createBindingHandler } from "./binding-handler.ts";
import { builtInPatches, createBuiltInSchemaPort, readBuiltInValue } from "./built-in-types.ts";
import { conversionOf } from "./conversion/conversions.ts";
import { fieldVersionsOf } from "./conversion/field-versions.ts";
import { fallbackDefinition } from "./fallback-definition.ts";
import { createGenericHandler } from "./generic-handler.ts";
import type { PatchPort } from "./patch-verb.ts";
import type { AdmissionChain, Registry, ResourceHandler } from "./registry.ts";
import { readResourceCatalog, resourceKey, type ResourceEntry } from "./resource-catalog.ts";
import type { ResourceCore, WriteHooks } from "./resource-core.ts";
import type { ApiDraft, ResourceDefinition } from "./resource-definition.ts";
import type { IsServed } from "./runtime-config.ts";
import type { SchemaPort } from "./schema-port.ts";
import { openServiceNetworking } from "./service-networking.ts";
import { subresourcesOf } from "./subresources/subresources.ts";

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
  /** Absent: the schema engine over the API tables. */
  readonly schema?: SchemaPort | undefined;
  /** Absent: patches of built-in kinds. */
  readonly patches?: PatchPort | undefined;
  /** Absent: 10.96.0.0/16. Two blocks, separated by a comma, for two families. */
  readonly serviceCidr?: string | undefined;
  /** Absent: 30000-32767. */
  readonly nodePortRange?: string | undefined;
  /** Absent: an hour. */
  readonly eventTtlSeconds?: number | undefined;
  /** How long one lease is given to further objects; absent: a minute. */
  readonly leaseReuseSeconds?: number | undefined;
  /** Absent: what is on by default. */
  readonly isServed?: IsServed | undefined;
  /** Absent: reads JSON and the binary form of built-in kinds. */
  readonly readValue?: ValueReader | undefined;
  /** Absent: everything in the store can be read. */
  readonly guard?: StoredValueGuard | undefined;
}

/** What resources that come later are made of, and where they are put. */
export interface RegistryExtension {
  readonly hub: StorageHub;
  readonly leases: LeasePool;
  readonly storeMetrics: StoreMetrics;
  readonly parts: Pick<ResourceCore, "admission" | "clock" | "random" | "logger" | "waitForRevision">;
  /** A resource of the tables is never replaced. */
  set(
    type: { readonly group: string; readonly version: string; readonly plural: string },
    handler: ResourceHandler,
  ): void;
  delete(type: { readonly group: string; readonly version: string; readonly plural: string }): void;
}

/** A running registry: its caches follow the store until it is disposed. */
export interface RunningRegistry extends Registry, AsyncDisposable {
  /** The resources it serves, in the tables' order. */
  readonly catalog: readonly ResourceEntry[];
  /** How far its caches are. */
  readonly revision: number;
  /** The address of the Service `default/kubernetes`. */
  readonly kubernetesServiceIp: string;
  readonly extension: RegistryExtension;
}

/** Kinds whose `metadata.generation` counts changes of the spec, when their definition does not say. */
const COUNTED: ReadonlySet<string> = new Set(
  (
    "pods replicationcontrollers podtemplates deployments replicasets statefulsets daemonsets jobs cronjobs " +
    "poddisruptionbudgets ingresses ingressclasses networkpolicies endpointslices priorityclasses flowschemas " +
    "prioritylevelconfigurations mutatingwebhookconfigurations validatingwebhookconfigurations " +
    "validatingadmissionpolicies validatingadmissionpolicybindings customresourcedefinitions deviceclasses resourceslices"
  ).split(" "),
);

const keyOf = (entry: { readonly group: string; readonly version: string; readonly plural: string }): string =>
  resourceKey(entry.group, entry.version, entry.plural);

/** Opens the registry: reads the store's state once and follows it. */
export async function createRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { store, clock, logger, random } = options;
  const catalog = readResourceCatalog(options.isServed);
  const entries = catalog.filter((entry) => entry.etcdPrefix !== undefined);
  const known = new Map(options.definitions.map((definition) => [keyOf(definition), definition]));
  const definitionOf = (entry: ResourceEntry): ResourceDefinition =>
    known.get(keyOf(entry)) ?? fallbackDefinition(entry);

  const read = options.readValue ?? readBuiltInValue;
  const hub = new StorageHub({ store, clock, logger, read, guard: options.guard });
  await hub.start(cachedResources(entries, definitionOf));
  const leases = new LeasePool(store, clock, options.leaseReuseSeconds);
  const storeMetrics = new StoreMetrics(clock);
  const storages = openStorages({ hub, leases, storeMetrics }, entries, definitionOf, read);
  const storageOf = (group: string, version: string, plural: string): ObjectStorage => {
    const storage = storages.get(resourceKey(group, version, plural));
    if (storage === undefined) throw new Error(`the API tables have no ${plural}`);
    return storage;
  };

  const services = await openServiceNetworking({
    networking: {
      serviceCidr: options.serviceCidr ?? "10.96.0.0/16",
      nodePortRange: options.nodePortRange ?? "30000-32767",
    },
    services: storageOf("", "v1", "services"),
    addresses: storageOf("networking.k8s.io", "v1", "ipaddresses"),
    blocks: storageOf("networking.k8s.io", "v1", "servicecidrs"),
    events: storageOf("", "v1", "events"),
    store,
    read,
    clock,
    random,
    logger,
  });
  const hooks: Readonly<Record<string, WriteHooks | undefined>> = { "/v1/services": services.allocator };
  const patches = options.patches ?? builtInPatches;
  const schema = options.schema ?? createBuiltInSchemaPort();
  const eviction = { budgets: storageOf("policy", "v1", "poddisruptionbudgets") };

  const handlers = new Map<string, ResourceHandler>();
  const later = new Map<string, ResourceHandler>();
  for (const entry of entries) {
    const definition = definitionOf(entry);
    const core: ResourceCore = {
      entry,
      definition,
      storage: storageOf(entry.group, entry.version, entry.plural),
      schema,
      admission: options.admission,
      clock,
      random,
      logger,
      hasGeneration: definition.hasGeneration ?? COUNTED.has(entry.plural),
      hooks: hooks[keyOf(entry)] ?? NO_HOOKS,
      ttlSeconds: entry.plural === "events" ? (options.eventTtlSeconds ?? EVENT_TTL_SECONDS) : undefined,
      waitForRevision: (revision) => hub.waitAtMost(revision, FRESHNESS_WAIT_MS),
      freshen: hub.freshen,
      inVersion: fieldVersionsOf(entry, entries, schema),
    };
    const subresources = subresourcesOf(core, patches, eviction);
    handlers.set(keyOf(entry), createGenericHandler(core, patches, subresources));
    if (keyOf(entry) === "/v1/pods") handlers.set("/v1/bindings", createBindingHandler(core));
  }
  return {
    catalog,
    get revision() {
      return hub.revision;
    },
    kubernetesServiceIp: services.allocator.kubernetesIp,
    extension: {
      hub,
      leases,
      storeMetrics,
      parts: {
        admission: options.admission,
        clock,
        random,
        logger,
        waitForRevision: (revision) => hub.waitAtMost(revision, FRESHNESS_WAIT_MS),
      },
      set: (type, handler) => void later.set(keyOf(type), handler),
      delete: (type) => void later.delete(keyOf(type)),
    },
    resource(group, version, plural) {
      const key = resourceKey(group, version, plural);
      return handlers.get(key) ?? later.get(key);
    },
    async [Symbol.asyncDispose]() {
      await services[Symbol.asyncDispose]();
      await hub[Symbol.asyncDispose]();
    },
  };
}

const NO_HOOKS: WriteHooks = {};

const isStoredVersion = (entry: ResourceEntry): boolean =>
  (entry.storageVersion ?? "") === (entry.group === "" ? entry.version : `${entry.group}/${entry.version}`);

/** One cache a prefix, with the indexes of the version that is stored. */
function cachedResources(
  entries: readonly ResourceEntry[],
  definitionOf: (entry: ResourceEntry) => ResourceDefinition,
): readonly CachedResource[] {
  const byPrefix = new Map<string, CachedResource>();
  for (const entry of entries) {
    const prefix = entry.etcdPrefix as string;
    if (byPrefix.has(prefix) && !isStoredVersion(entry)) continue;
    byPrefix.set(prefix, { prefix, indexes: definitionOf(entry).selectableFields });
  }
  return [...byPrefix.values()];
}

/** A storage for each served version: the stored version's own, and views of it for the others. */
function openStorages(
  { hub, leases, storeMetrics }: Pick<RegistryExtension, "hub" | "leases" | "storeMetrics">,
  entries: readonly ResourceEntry[],
  definitionOf: (entry: ResourceEntry) => ResourceDefinition,
  read: ValueReader | undefined,
): ReadonlyMap<string, ObjectStorage> {
  const out = new Map<string, ObjectStorage>();
  for (const entry of entries) {
    const cache = hub.cache(entry.etcdPrefix as string);
    if (cache === undefined) continue;
    const resource = { group: entry.group, resource: entry.plural };
    const base = new ResourceStorage({ hub, cache, leases, resource, read, metrics: storeMetrics.of(resource) });
    const stored = entries.find((other) => other.etcdPrefix === entry.etcdPrefix && isStoredVersion(other));
    const finish = (draft: ApiDraft): void => {
      if (stored !== undefined) definitionOf(stored).defaults?.(draft);
    };
    const conversion = conversionOf(entry, finish);
    out.set(keyOf(entry), conversion === undefined ? base : new ConvertedStorage(base, conversion));
  }
  return out;
}
