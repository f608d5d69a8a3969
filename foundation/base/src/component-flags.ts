import { flag, UsageError, type Flag } from "./flags.ts";

/** The name of a file; an empty one is none. */
export const fileFlag = (name: string): Flag<string | undefined> => ({
  ...flag.string<string | undefined>(name, undefined),
  parse: (text) => (text === "" ? undefined : text),
});

/** A flag of upstream's that asks for what cannot be done here: only its default is taken. `why` follows its name. */
export const refusedFlag = <T>(known: Flag<T>, why: string): Flag<T> => ({
  ...known,
  parse(text, name) {
    const value = known.parse(text, name);
    if (value !== known.fallback) throw new UsageError(`--${name} ${why}`);
    return value;
  },
});

/** About Go's client and its log, or about serving in ways that we do not. */
const TEXTS = [
  "kube-api-qps",
  "kube-api-burst",
  "kube-api-content-type",
  "cert-dir",
  "http2-max-streams-per-connection",
  "tls-cipher-suites",
  "tls-min-version",
  "authentication-kubeconfig",
  "authentication-token-webhook-cache-ttl",
  "authorization-kubeconfig",
  "authorization-webhook-cache-authorized-ttl",
  "authorization-webhook-cache-unauthorized-ttl",
  "requestheader-allowed-names",
  "requestheader-client-ca-file",
  "requestheader-extra-headers-prefix",
  "requestheader-group-headers",
  "requestheader-uid-headers",
  "requestheader-username-headers",
  "client-ca-file",
  "min-compatibility-version",
  "allow-metric-labels",
  "allow-metric-labels-manifest",
  "disabled-metrics",
  "show-hidden-metrics-for-version",
  "log-flush-frequency",
  "log-json-info-buffer-size",
  "log-text-info-buffer-size",
  "logging-format",
  "vmodule",
];

const SWITCHES = [
  "profiling",
  "contention-profiling",
  "disable-http2-serving",
  "permit-address-sharing",
  "permit-port-sharing",
  "authentication-skip-lookup",
  "authentication-tolerate-lookup-failure",
  "log-json-split-stream",
  "log-text-split-stream",
];

/** Flags that every component of upstream's has, taken and of no effect here; `texts` and `switches`: those of one alone. */
export const flagsWithoutEffect = (
  texts: readonly string[] = [],
  switches: readonly string[] = [],
): { readonly withoutEffect: Flag<string | undefined>; readonly switchesWithoutEffect: Flag<boolean> } => ({
  withoutEffect: flag.string([...texts, ...TEXTS], undefined as string | undefined),
  switchesWithoutEffect: flag.boolean([...switches, ...SWITCHES], false),
});

/** What every component serves of itself, beside the API, and how. */
export const servingFlags = (port: number) => ({
  /** Serves health and metrics; 0: nothing is served. */
  securePort: flag.number("secure-port", port),
  bindAddress: flag.string("bind-address", "0.0.0.0"),
  /** PEM files; absent: a certificate of its own. */
  tlsCertFile: fileFlag("tls-cert-file"),
  tlsPrivateKeyFile: fileFlag("tls-private-key-file"),
  /** Paths that anybody may see; `*` at the end stands for all below. */
  authorizationAlwaysAllowPaths: flag.list("authorization-always-allow-paths", ["/healthz", "/readyz", "/livez"]),
});

/** What upstream's controller managers both have, and ours do not do. */
export const refusedManagerFlags = () => ({
  cidrAllocatorType: flag.choice("cidr-allocator-type", "RangeAllocator", ["RangeAllocator"]),
  enableLeaderMigration: refusedFlag(
    flag.boolean("enable-leader-migration", false),
    "is not supported: no controller moves between managers here",
  ),
  leaderMigrationConfig: refusedFlag(flag.string("leader-migration-config", ""), "is not supported"),
  master: refusedFlag(flag.string("master", ""), "is not supported: the kubeconfig names the server"),
  externalCloudVolumePlugin: refusedFlag(flag.string("external-cloud-volume-plugin", ""), "is not supported"),
  version: refusedFlag(flag.string("version", ""), "is not supported: the API server tells it at /version"),
  tlsSniCertKey: refusedFlag(flag.string("tls-sni-cert-key", ""), "is not supported: one certificate is served"),
});
