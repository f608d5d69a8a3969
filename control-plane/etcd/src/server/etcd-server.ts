import { createHash, randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, type Clock, type Logger } from "@coracle/base";
import { AuthStore, type AuthOptions } from "../auth/auth-store.ts";
import type { Engine } from "../engine/engine.ts";
import { Gateway } from "../gateway/gateway.ts";
import { serveGrpc, type GrpcHandlers } from "../grpc/grpc-server.ts";
import { Alarms } from "./alarms.ts";
import { authService } from "./auth-service.ts";
import { listenForClients, type ListenerTls } from "./client-listener.ts";
import { toStatus } from "./etcd-error.ts";
import type { EtcdContext } from "./etcd-context.ts";
import { serveHttp } from "./http-routes.ts";
import { kvService } from "./kv-service.ts";
import { leaseService } from "./lease-service.ts";
import { clusterService } from "./cluster-service.ts";
import { electionService } from "./election-service.ts";
import { lockService } from "./lock-service.ts";
import { maintenanceService } from "./maintenance-service.ts";
import { Metrics } from "./metrics.ts";
import { watchService } from "./watch-service.ts";

/** Above the request limit of the store, so that the store's error is the one that clients see. */
const OVERHEAD_BYTES = 512 * 1024;

export interface EtcdServerOptions {
  /** Belongs to the caller, who closes it after the server. */
  readonly store: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: string;
  readonly listenClientUrls: readonly URL[];
  /** Ports for metrics and health only. */
  readonly listenMetricsUrls?: readonly URL[] | undefined;
  readonly advertiseClientUrls: readonly string[];
  readonly advertisePeerUrls: readonly string[];
  readonly tls?: ListenerTls | undefined;
  readonly maxRequestBytes: number;
  /** Bytes of the file from which on writes are refused; Infinity: none. */
  readonly quotaBytes: number;
  readonly watchProgressMs: number;
  /** How users log in, beside certificates. */
  readonly auth?: Omit<AuthOptions, "usesCertificates"> | undefined;
  /** For copies that snapshots are sent from; absent: the system's. */
  readonly temporaryDir?: string | undefined;
}

export interface EtcdServer extends AsyncDisposable {
  /** Of each client URL, in order. */
  readonly ports: readonly number[];
  readonly metricsPorts: readonly number[];
}

/** Serves the etcd v3 API of a store as a cluster of one member; resolves when its ports are open. */
export async function startEtcdServer(options: EtcdServerOptions): Promise<EtcdServer> {
  const { store, clock, name } = options;
  const context: EtcdContext = {
    store,
    clock,
    logger: options.logger,
    name,
    clusterId: idOf(`cluster ${options.advertisePeerUrls.join(",")}`),
    memberId: idOf(`member ${name} ${options.advertisePeerUrls.join(",")}`),
    clientUrls: options.advertiseClientUrls,
    peerUrls: options.advertisePeerUrls,
    temporaryFile: () => join(options.temporaryDir ?? tmpdir(), `snapshot-${randomUUID()}`),
    alarms: new Alarms(store, options.quotaBytes),
    auth: new AuthStore(store, clock, { ...options.auth, usesCertificates: options.tls?.usesCertificates }),
  };
  const metrics = new Metrics();
  const services = [
    ...kvService(context),
    ...watchService(context, options.watchProgressMs),
    ...leaseService(context),
    ...maintenanceService(context),
    ...clusterService(context),
    ...authService(context),
    ...lockService(context),
    ...electionService(context),
  ];
  const handlers: GrpcHandlers = new Map(services.map(([path, handler]) => [path, metrics.counted(path, handler)]));
  const grpc = { handlers, maxReceivedBytes: options.maxRequestBytes + OVERHEAD_BYTES, toStatus };
  let gateway: Gateway | undefined;
  const http = { context, metrics, gateway: () => (gateway ??= new Gateway(handlers, grpc.maxReceivedBytes)) };
  const cleanup = new Cleanup();
  const ports: number[] = [];
  const metricsPorts: number[] = [];
  try {
    const listen = async (url: URL, isForMetrics: boolean): Promise<number> => {
      const listener = await listenForClients({
        host: url.hostname.replaceAll(/[[\]]/g, ""),
        port: Number(url.port),
        tls: url.protocol === "https:" ? options.tls : undefined,
        grpc: (stream, socket) => serveGrpc(stream, socket, isForMetrics ? { ...grpc, handlers: new Map() } : grpc),
        http: (exchange) => {
          serveHttp({ ...http, isForMetrics }, exchange).catch((error: unknown) => {
            context.logger.error("a request failed", { path: exchange.url, error });
            exchange.body.destroy();
          });
        },
      });
      cleanup.use(listener);
      return listener.port;
    };
    // oxlint-disable-next-line no-await-in-loop
    for (const url of options.listenClientUrls) ports.push(await listen(url, false));
    // oxlint-disable-next-line no-await-in-loop
    for (const url of options.listenMetricsUrls ?? []) metricsPorts.push(await listen(url, true));
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
  return { ports, metricsPorts, [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose]() };
}

/** The same for the same words, as etcd's ids are. */
function idOf(text: string): bigint {
  return createHash("sha1").update(text).digest().readBigUInt64BE(0);
}
