import { flag, parseFlags, UsageError, type FlagValues } from "@coracle/base";

const FLAGS = {
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
  quotaBackendBytes: flag.number("quota-backend-bytes", 0),
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
  const fromEnvironment = Object.values(FLAGS).flatMap(({ names: [name = ""] }) => {
    const value = environment[`ETCD_${name.toUpperCase().replaceAll("-", "_")}`];
    return value === undefined ? [] : [`--${name}=${value}`];
  });
  const flags = parseFlags(FLAGS, [...fromEnvironment, ...argv]);
  if (flags.initialCluster.length > 1) {
    throw new UsageError("initial-cluster: a cluster of several members is etcd's own business; this is one member");
  }
  for (const url of [...flags.listenClientUrls, ...flags.advertiseClientUrls]) {
    if (!/^https?:\/\/[^/]+$/.test(url))
      throw new UsageError(`invalid URL ${JSON.stringify(url)}: want http(s)://HOST:PORT`);
  }
  const isSecure = flags.listenClientUrls.some((url) => url.startsWith("https:"));
  if (isSecure && (flags.certFile === "" || flags.keyFile === "")) {
    throw new UsageError("cert-file and key-file are needed to listen on https");
  }
  return flags.advertiseClientUrls.length > 0 || flags.listenClientUrls.length === 0
    ? flags
    : { ...flags, advertiseClientUrls: flags.listenClientUrls };
}
