import { Agent } from "node:https";
import { createHash } from "node:crypto";
import { linkSignal, TaskScope, type Clock, type Logger, type Timer } from "@coracle/base";
import type { Catalog } from "../discovery/catalog.ts";
import type { ServiceResolver } from "../outbound/service-resolver.ts";
import type { WorkQueueMetrics } from "../metrics/work-queue-metrics.ts";
import type { Registry } from "../registry/registry.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiRequest } from "../server/api-request.ts";
import type { PathRoutes } from "../server/dispatch.ts";
import { passToRemote } from "./aggregated-request.ts";
import type { Tracing } from "../tracing/tracing.ts";
import type { RemoteService } from "./api-service.ts";
import { followApiServices } from "./api-service-index.ts";
import { createAutoRegistration } from "./auto-registration.ts";
import { createAvailabilityController } from "./availability-controller.ts";
import { createDiscoveryView, type DiscoveryCatalog } from "./discovery-view.ts";
import type { ProxyIdentity } from "./front-proxy.ts";
import { createRemoteCaller } from "./remote-caller.ts";
import { createRemoteDiscovery } from "./remote-discovery.ts";
import { withRemoteOpenApi } from "./remote-openapi.ts";

const DISCOVERY_INTERVAL_MS = 60_000;
const MAX_FREE_CONNECTIONS = 16;
const IDLE_MS = 30_000;

export interface AggregatorOptions {
  /** What this server serves itself. */
  readonly catalog: Catalog;
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly resolve: ServiceResolver;
  /** How this server proves to others that it may speak for users; asked for each connection, since files are renewed. */
  readonly identity: () => ProxyIdentity | undefined;
  /** A redirect by another server is answered with 502. */
  readonly refusesRedirects: boolean;
  readonly clock: Clock;
  /** Absent: nothing is traced. */
  readonly tracing?: Pick<Tracing, "call"> | undefined;
  /** Where checks of availability are counted. */
  readonly queue: WorkQueueMetrics;
  readonly logger: Logger;
}

/** What other servers serve as part of this one's API. */
export interface Aggregator extends AsyncDisposable {
  /** Begins to keep what is registered true to the world; resolves when everything registered is known. */
  start(): Promise<void>;
  /** What discovery shows: this server's catalog and everybody else's, by everybody's priorities. */
  readonly discovery: DiscoveryCatalog;
  /** Answers requests for what other servers serve; undefined: this server's own. */
  route(request: ApiRequest): Promise<void> | undefined;
  /** Puts others' OpenAPI beside this server's. */
  withOpenApi(own: PathRoutes): PathRoutes;
  /** What is served changed: custom resources came or went. */
  catalogChanged(): void;
  /** Lines for the metrics page. */
  metrics(): string;
}

/** `/apis/GROUP/VERSION…` and `/api/VERSION…` as the name of their APIService; undefined for other paths. */
export function serviceNameOf({ info }: ApiRequest): string | undefined {
  if (info.isResource) return `${info.version}.${info.group}`;
  const [root, first, second, ...rest] = info.path.split("/").filter((part) => part !== "");
  if (root === "api" && first !== undefined && second === undefined) return `${first}.`;
  if (root !== "apis" || first === undefined || second === undefined || rest.length > 0) return undefined;
  return `${second}.${first}`;
}

export function createAggregator(options: AggregatorOptions): Aggregator {
  const { catalog, registry, objects, resolve, identity, clock, logger } = options;
  const scope = new TaskScope();
  const ending = linkSignal();
  const agents = new Map<string, { readonly agent: Agent; readonly key: string }>();
  const caller = createRemoteCaller({ clock, resolve, identity });
  const discovered = createRemoteDiscovery(caller, clock);
  let remoteRevision = 0;
  let nextDiscovery: Timer | undefined;
  let isSyncing = false;
  let mustSync = false;
  // Until started, nobody is told: the first objects of a new cluster are still being written.
  let tell: (name: string) => void = () => {};
  const index = followApiServices(registry, (name) => tell(name));
  const registration = createAutoRegistration({ catalog, index, registry, objects, logger });
  const availability = createAvailabilityController({
    index,
    registry,
    objects,
    caller,
    clock,
    logger,
    queue: options.queue,
  });
  const discovery = createDiscoveryView({
    catalog,
    index,
    remote: (name) => discovered.entry(name),
    remoteRevision: () => remoteRevision,
  });

  function syncRegistration(): void {
    mustSync = true;
    if (isSyncing || scope.signal.aborted) return;
    isSyncing = true;
    scope.run(async () => {
      while (mustSync && !scope.signal.aborted) {
        mustSync = false;
        await registration.sync();
      }
      isSyncing = false;
    });
  }

  function discover(remote: RemoteService): void {
    if (scope.signal.aborted) return;
    scope.run(async () => {
      if (await discovered.refresh(remote)) remoteRevision += 1;
      if (!index.remotes.has(remote.name)) discovered.forget(remote.name);
    });
    nextDiscovery ??= clock.after(DISCOVERY_INTERVAL_MS, () => {
      nextDiscovery = undefined;
      for (const one of index.remotes.values()) discover(one);
    });
    nextDiscovery.unref();
  }

  function agentFor({ name, ca, skipsVerification, service }: RemoteService): Agent {
    const shown = identity();
    const parts = [ca, skipsVerification, service.namespace, service.name, service.port, shown?.cert];
    const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
    const known = agents.get(name);
    if (known?.key === key) return known.agent;
    known?.agent.destroy();
    const agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_FREE_CONNECTIONS, timeout: IDLE_MS });
    agents.set(name, { agent, key });
    return agent;
  }

  function changed(name: string): void {
    availability.changed(name);
    const remote = index.remotes.get(name);
    if (remote !== undefined) discover(remote);
    else {
      agents.get(name)?.agent.destroy();
      agents.delete(name);
      discovered.forget(name);
      if (catalog.revision > 0) syncRegistration();
    }
  }

  const pass = (request: ApiRequest, remote: RemoteService): Promise<void> => {
    const { refusesRedirects } = options;
    const { signal } = ending;
    return passToRemote(request, remote, {
      resolve,
      identity,
      agentFor,
      refusesRedirects,
      clock,
      tracing: options.tracing,
      signal,
    });
  };

  return {
    async start() {
      await index.synced;
      tell = changed;
      for (const { name } of index.all()) changed(name);
    },
    discovery,
    route(request) {
      if (index.remotes.size === 0) return undefined;
      const name = serviceNameOf(request);
      const remote = name === undefined ? undefined : index.remotes.get(name);
      return remote === undefined ? undefined : pass(request, remote);
    },
    withOpenApi: (own) => withRemoteOpenApi(own, { index, caller, clock, pass }),
    catalogChanged: syncRegistration,
    metrics: () => availability.metrics(),
    async [Symbol.asyncDispose]() {
      tell = () => {};
      index[Symbol.dispose]();
      nextDiscovery?.[Symbol.dispose]();
      ending.abort(new DOMException("the server is shutting down", "AbortError"));
      await availability[Symbol.asyncDispose]();
      await scope[Symbol.asyncDispose]();
      for (const { agent } of agents.values()) agent.destroy();
      await caller[Symbol.asyncDispose]();
      ending[Symbol.dispose]();
    },
  };
}
