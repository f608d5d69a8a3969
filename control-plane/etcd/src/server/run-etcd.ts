import { readFileSync } from "node:fs";
import { join } from "node:path";
import { aborted, type Clock, type Logger } from "@coracle/base";
import { openEmbeddedStore } from "../engine/embedded-store.ts";
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
  await using store = await openEmbeddedStore({
    dataDir: join(dataDir, "member"),
    isSynced: !flags.unsafeNoFsync,
    clock,
    logger,
  });
  const read = (file: string): string => readFileSync(file, "utf8");
  const tls =
    flags.certFile === ""
      ? undefined
      : {
          cert: read(flags.certFile),
          key: read(flags.keyFile),
          usesCertificates: flags.clientCertAuth,
          clientCa: flags.clientCertAuth || flags.trustedCaFile !== "" ? read(flags.trustedCaFile) : undefined,
        };
  await using server = await startEtcdServer({
    store,
    clock,
    logger,
    name: flags.name,
    listenClientUrls: flags.listenClientUrls.map((url) => new URL(url)),
    advertiseClientUrls: flags.advertiseClientUrls,
    advertisePeerUrls: flags.initialAdvertisePeerUrls,
    tls,
    maxRequestBytes: flags.maxRequestBytes,
    quotaBytes: quotaOf(flags.quotaBackendBytes),
    watchProgressMs: flags.watchProgressMs,
    temporaryDir: join(dataDir, "member"),
  });
  logger.info("serving client traffic", { ports: server.ports });
  options.onReady?.(server);
  await aborted(signal);
}

const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;

/** As etcd: 0 stands for the default, less than that for no limit. */
function quotaOf(bytes: number): number {
  if (bytes === 0) return DEFAULT_QUOTA_BYTES;
  return bytes < 0 ? Infinity : bytes;
}
