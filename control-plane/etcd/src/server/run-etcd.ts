import { readFileSync } from "node:fs";
import { join } from "node:path";
import { aborted, TaskScope, type Clock, type Logger } from "@coracle/base";
import { parseTokenOptions } from "../auth/token-options.ts";
import { parseAutoCompaction, runAutoCompaction } from "../compactor/auto-compaction.ts";
import { openEmbeddedStore } from "../engine/embedded-store.ts";
import type { Engine } from "../engine/engine.ts";
import { startEtcdServer, type EtcdServer } from "./etcd-server.ts";
import type { EtcdFlags } from "./flags.ts";

/** Runs the store as an etcd server of one member until the signal aborts; settles when everything of it has ended. */
export async function runEtcd(options: {
  readonly flags: EtcdFlags;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onReady?: ((server: EtcdServer) => void) | undefined;
}): Promise<void> {
  const { flags, clock, signal } = options;
  const logger = options.logger.child({ component: "etcd" });
  const dataDir = flags.dataDir === "" ? `${flags.name}.etcd` : flags.dataDir;
  const tokens = parseTokenOptions(flags.authToken, (path) => readFileSync(path));
  const compaction = parseAutoCompaction(flags.autoCompactionMode, flags.autoCompactionRetention);
  await using store = await openEmbeddedStore({
    dataDir: join(dataDir, "member"),
    isSynced: !flags.unsafeNoFsync,
    limits: { maxRequestBytes: flags.maxRequestBytes, maxTxnOps: flags.maxTxnOps },
    clock,
    logger,
  });
  await defragmentIfWorthIt(store, flags.bootstrapDefragThresholdMegabytes);
  await using upkeep = new TaskScope(signal);
  if (compaction !== undefined) {
    upkeep.run((until) => runAutoCompaction({ what: compaction, store, clock, logger, signal: until }));
  }
  const read = (file: string): string => readFileSync(file, "utf8");
  const tls =
    flags.certFile === ""
      ? undefined
      : {
          cert: read(flags.certFile),
          key: read(flags.keyFile),
          usesCertificates: flags.clientCertAuth,
          clientCa: flags.clientCertAuth || flags.trustedCaFile !== "" ? read(flags.trustedCaFile) : undefined,
          clientCrl: flags.clientCrlFile === "" ? undefined : read(flags.clientCrlFile),
          minVersion: TLS_VERSIONS[flags.tlsMinVersion],
          maxVersion: flags.tlsMaxVersion === "" ? undefined : TLS_VERSIONS[flags.tlsMaxVersion],
        };
  await using server = await startEtcdServer({
    store,
    clock,
    logger,
    name: flags.name,
    listenClientUrls: flags.listenClientUrls.map((url) => new URL(url)),
    advertiseClientUrls: flags.advertiseClientUrls,
    advertisePeerUrls: flags.initialAdvertisePeerUrls,
    listenMetricsUrls: flags.listenMetricsUrls.map((url) => new URL(url)),
    tls,
    auth: { tokens, tokenTtlMs: flags.authTokenTtl * 1_000, bcryptCost: flags.bcryptCost },
    maxRequestBytes: flags.maxRequestBytes,
    quotaBytes: quotaOf(flags.quotaBackendBytes),
    watchProgressMs: flags.watchProgressMs,
    temporaryDir: join(dataDir, "member"),
  });
  logger.info("serving client traffic", { ports: server.ports });
  options.onReady?.(server);
  await aborted(signal);
}

const TLS_VERSIONS = { "TLS1.2": "TLSv1.2", "TLS1.3": "TLSv1.3" } as const;

const MEGABYTE = 1024 ** 2;

async function defragmentIfWorthIt(store: Engine, thresholdMegabytes: number): Promise<void> {
  if (thresholdMegabytes <= 0) return;
  const { totalBytes, usedBytes } = await store.size();
  if (totalBytes - usedBytes >= thresholdMegabytes * MEGABYTE) await store.defragment();
}

const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;

/** As etcd: 0 stands for the default, less than that for no limit. */
function quotaOf(bytes: number): number {
  if (bytes === 0) return DEFAULT_QUOTA_BYTES;
  return bytes < 0 ? Infinity : bytes;
}
