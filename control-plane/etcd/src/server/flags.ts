import { flag, parseFlags, UsageError, type FlagValues } from "@coracle/base";
import { parseAutoCompaction } from "../compactor/auto-compaction.ts";
import { configFileArguments } from "./config-file.ts";
import { checkMemberFlags, MEMBER_FLAGS } from "./member-flags.ts";

const FLAGS = {
  configFile: flag.string("config-file", ""),
  name: flag.string("name", "default"),
  dataDir: flag.string("data-dir", ""),
  listenClientUrls: flag.list("listen-client-urls", ["http://localhost:2379"]),
  advertiseClientUrls: flag.list("advertise-client-urls"),
  /** There are no peers to listen for: the address is only told on. */
  listenPeerUrls: flag.list("listen-peer-urls", ["http://localhost:2380"]),
  initialAdvertisePeerUrls: flag.list("initial-advertise-peer-urls", ["http://localhost:2380"]),
  initialCluster: flag.list("initial-cluster"),
  initialClusterState: flag.choice("initial-cluster-state", "new", ["new", "existing"]),
  initialClusterToken: flag.string("initial-cluster-token", "etcd-cluster"),
  certFile: flag.string("cert-file", ""),
  keyFile: flag.string("key-file", ""),
  trustedCaFile: flag.string("trusted-ca-file", ""),
  clientCertAuth: flag.boolean("client-cert-auth", false),
  maxRequestBytes: flag.number("max-request-bytes", 1_572_864),
  maxTxnOps: flag.number("max-txn-ops", 128),
  quotaBackendBytes: flag.number("quota-backend-bytes", 0),
  /** Space that a defragmentation at the start must give back to be worth it; 0: there is none. */
  bootstrapDefragThresholdMegabytes: flag.number("bootstrap-defrag-threshold-megabytes", 0),
  autoCompactionMode: flag.choice("auto-compaction-mode", "periodic", ["periodic", "revision"]),
  autoCompactionRetention: flag.string("auto-compaction-retention", "0"),
  authToken: flag.string("auth-token", "simple"),
  authTokenTtl: flag.number("auth-token-ttl", 300),
  bcryptCost: flag.number("bcrypt-cost", 10),
  clientCrlFile: flag.string("client-crl-file", ""),
  tlsMinVersion: flag.choice("tls-min-version", "TLS1.2", ["TLS1.2", "TLS1.3"]),
  tlsMaxVersion: flag.choice("tls-max-version", "", ["", "TLS1.2", "TLS1.3"]),
  /** Beside the client URLs: only metrics and health. */
  listenMetricsUrls: flag.list("listen-metrics-urls"),
  watchProgressMs: flag.durationMs(
    ["watch-progress-notify-interval", "experimental-watch-progress-notify-interval"],
    600_000,
  ),
  /** Nothing waits for the disk: whoever gives this may lose what was acknowledged when the machine fails. */
  unsafeNoFsync: flag.boolean("unsafe-no-fsync", false),
  logLevel: flag.choice("log-level", "info", ["debug", "info", "warn", "error", "panic", "fatal"]),
  logger: flag.string("logger", "zap"),
  logOutputs: flag.list("log-outputs"),
};

/** What etcd is told on its command line. */
export type EtcdFlags = FlagValues<typeof FLAGS>;

/**
 * Reads etcd's flags; each may also come from the environment, as `ETCD_DATA_DIR` for `--data-dir`. Throws UsageError, also for what a
 * single member cannot be.
 */
export function parseEtcdFlags(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): EtcdFlags {
  const known = { ...FLAGS, ...MEMBER_FLAGS };
  const fromEnvironment = Object.values(known).flatMap(({ names: [name = ""] }) => {
    const value = environment[`ETCD_${name.toUpperCase().replaceAll("-", "_")}`];
    return value === undefined ? [] : [`--${name}=${value}`];
  });
  return checked(parseFlags(known, [...fromEnvironment, ...argv]));
}

/**
 * As `parseEtcdFlags`, but where `--config-file` (or `ETCD_CONFIG_FILE`) names a file, that says it all: as with etcd, other flags and the
 * environment do not count then.
 */
export async function readEtcdFlags(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): Promise<EtcdFlags> {
  const flags = parseEtcdFlags(argv, environment);
  if (flags.configFile === "") return flags;
  let text: string;
  try {
    text = readFile(flags.configFile);
  } catch (error) {
    throw new UsageError(`config-file: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseEtcdFlags(await configFileArguments(text));
}

function checked(values: Readonly<Record<string, unknown>>): EtcdFlags {
  checkMemberFlags(values);
  const flags = values as unknown as EtcdFlags;
  parseAutoCompaction(flags.autoCompactionMode, flags.autoCompactionRetention);
  if (flags.initialCluster.length > 1) {
    throw new UsageError("initial-cluster: a cluster of several members is etcd's own business; this is one member");
  }
  for (const url of [...flags.listenClientUrls, ...flags.advertiseClientUrls, ...flags.listenMetricsUrls]) {
    if (!/^https?:\/\/[^/]+$/.test(url))
      throw new UsageError(`invalid URL ${JSON.stringify(url)}: want http(s)://HOST:PORT`);
  }
  if (flags.tlsMaxVersion !== "" && flags.tlsMaxVersion < flags.tlsMinVersion) {
    throw new UsageError(`min version (${flags.tlsMinVersion}) is greater than max version (${flags.tlsMaxVersion})`);
  }
  const isSecure = [...flags.listenClientUrls, ...flags.listenMetricsUrls].some((url) => url.startsWith("https:"));
  if (isSecure && (flags.certFile === "" || flags.keyFile === "")) {
    throw new UsageError("cert-file and key-file are needed to listen on https");
  }
  return flags.advertiseClientUrls.length > 0 || flags.listenClientUrls.length === 0
    ? flags
    : { ...flags, advertiseClientUrls: flags.listenClientUrls };
}
