import { aborted, type Clock, type Logger, type Random } from "@coracle/base";
import { createOpenApi, type OpenApiResource } from "@coracle/api";
import type { Store } from "@coracle/etcd";
import type { Transport } from "@coracle/client";
import { createOpenApiRoutes } from "./discovery/openapi.ts";
import { openEncryption } from "./encryption/open-encryption.ts";
import { createRegistry } from "./registry/create-registry.ts";
import { NO_FEATURES, servedWith } from "./features.ts";
import { definitionsWith } from "./resources/index.ts";
import { withoutPrivilege } from "./resources/without-privilege.ts";
import { createApiServer, type ApiServerConfig } from "./server/api-server.ts";
import type { MemoryIdentity } from "./server/memory-exchange.ts";
import { loadWireCodecs } from "./server/wire-codecs.ts";
import { openTracing, traceStore } from "./tracing/tracing.ts";
import { withKeyPrefix } from "./storage/prefixed-store.ts";
import type { StorageHub } from "./storage/storage-hub.ts";

export interface ApiServerOptions {
  readonly config: ApiServerConfig;
  /** Where objects are kept. Belongs to the caller, who closes it after the server. */
  readonly store: Store;
  /** Absent: no socket; requests come by `transport`. Port 0: any free one. */
  readonly listen?:
    | { readonly host: string; readonly port: number; readonly cert: string; readonly key: string }
    | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where the proxy subresources may lead. Absent: anywhere but to this host and its link. */
  readonly mayProxyTo?: ((address: string) => boolean) | undefined;
}

/** A server that answers requests, until it is disposed. */
export interface RunningApiServer extends AsyncDisposable {
  /** 0 when it listens nowhere. */
  readonly port: number;
  /** A way in for the same process: no socket, the same authentication, authorisation and admission. */
  transport(identity: MemoryIdentity): Transport;
}

const STORE_TIMEOUT_MS = 2_000;

/** What is wrong with the store: it does not answer, or not in time. */
async function answersWithin(store: Store, clock: Clock, timeoutMs: number): Promise<string | undefined> {
  const answer = store.revision().then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  return await new Promise((resolve) => {
    const timer = clock.after(timeoutMs, () => resolve(`the store did not answer within ${timeoutMs} ms`));
    void answer.then((failure) => {
      timer[Symbol.dispose]();
      resolve(failure);
    });
  });
}

/** Starts a server; resolves when it is ready. Throws when the port is taken or the store cannot be read. */
export async function startApiServer(options: ApiServerOptions): Promise<RunningApiServer> {
  const { config, clock, random } = options;
  const { keyPrefix, storeTimeouts } = config;
  const store = keyPrefix === undefined ? options.store : withKeyPrefix(options.store, keyPrefix);
  const logger = options.logger.child({ component: "kube-apiserver" });
  let custom: readonly OpenApiResource[] = [];
  const features = config.features ?? NO_FEATURES;
  const definitions = definitionsWith(features);
  const isServed = servedWith(features, config.isServed);
  const openApi = createOpenApi({ custom: () => custom, isServed });
  let hub: StorageHub | undefined;
  const encryption =
    config.encryption &&
    (await openEncryption({
      ...config.encryption,
      store,
      clock,
      logger,
      onReadable: (keys) => {
        hub?.reread(keys).catch((error: unknown) => logger.error("objects were not read anew", { error }));
      },
    }));
  const tracing =
    config.tracingConfigFile === undefined
      ? undefined
      : await openTracing(config.tracingConfigFile, { clock, random, logger });
  const objects = encryption?.store ?? store;
  const server = await createApiServer(config, {
    tracing,
    openRegistry: async (admission) => {
      const registry = await createRegistry({
        store: tracing === undefined ? objects : traceStore(tracing, objects),
        guard: encryption?.store,
        clock,
        random,
        logger,
        admission,
        definitions: config.serving?.allowsPrivileged === false ? withoutPrivilege(definitions) : definitions,
        serviceCidr: config.serviceClusterIpRanges.join(","),
        eventTtlSeconds: config.serving?.eventTtlSeconds,
        leaseReuseSeconds: config.leaseReuseSeconds,
        nodePortRange: config.serviceNodePortRange,
        isServed,
      });
      ({ hub } = registry.extension);
      return registry;
    },
    codecs: loadWireCodecs(),
    mayProxyTo: options.mayProxyTo,
    routes: [createOpenApiRoutes(openApi)],
    publishTypes: (resources) => {
      custom = resources;
      openApi.refresh();
    },
    healthChecks: [
      {
        name: "etcd",
        check: () => answersWithin(store, clock, storeTimeouts?.healthMs ?? STORE_TIMEOUT_MS),
        isReady: () => answersWithin(store, clock, storeTimeouts?.readyMs ?? STORE_TIMEOUT_MS),
      },
      ...(encryption?.healthChecks ?? []),
    ],
    clock,
    random,
    logger,
  }).catch(async (error: unknown) => {
    await tracing?.[Symbol.asyncDispose]();
    await encryption?.[Symbol.asyncDispose]();
    throw error;
  });
  const end = async (): Promise<void> => {
    await server[Symbol.asyncDispose]();
    await tracing?.[Symbol.asyncDispose]();
    await encryption?.[Symbol.asyncDispose]();
  };
  try {
    const { port } = options.listen === undefined ? { port: 0 } : await server.serve(options.listen);
    logger.info("serving", { port });
    return {
      port,
      transport: (identity) => server.transport(identity),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Runs a server until the signal aborts; settles when everything of it has ended. */
export async function runApiServer(
  options: ApiServerOptions & {
    readonly signal: AbortSignal;
    readonly onReady?: (server: RunningApiServer) => void;
  },
): Promise<void> {
  await using server = await startApiServer(options);
  options.onReady?.(server);
  await aborted(options.signal);
}
