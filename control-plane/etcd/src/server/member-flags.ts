import { flag, UsageError, type Flag } from "@coracle/base";

/** Flags of etcd that are about peers, its raft log or its own way of writing: a single member of ours has none of that. */
const WITHOUT_EFFECT = [
  "snapshot-count",
  "heartbeat-interval",
  "election-timeout",
  "max-snapshots",
  "max-wals",
  "backend-bbolt-freelist-type",
  "backend-batch-interval",
  "backend-batch-limit",
  "raft-read-timeout",
  "raft-write-timeout",
  "snapshot-catchup-entries",
  "max-learners",
  "max-concurrent-streams",
  "grpc-keepalive-min-time",
  "grpc-keepalive-interval",
  "grpc-keepalive-timeout",
  "compact-hash-check-time",
  "compaction-batch-limit",
  "compaction-sleep-interval",
  "downgrade-check-time",
  "v2-deprecation",
  "discovery-fallback",
  "client-cert-file",
  "client-key-file",
  "peer-cert-file",
  "peer-key-file",
  "peer-client-cert-file",
  "peer-client-key-file",
  "peer-trusted-ca-file",
  "peer-cert-allowed-cn",
  "peer-cert-allowed-hostname",
  "peer-crl-file",
  "self-signed-cert-validity",
  "warning-apply-duration",
  "warning-unary-request-duration",
  "log-format",
  "log-rotation-config-json",
] as const;
const SWITCHES_WITHOUT_EFFECT = [
  "initial-election-tick-advance",
  "strict-reconfig-check",
  "pre-vote",
  "peer-client-cert-auth",
  "peer-auto-tls",
  "peer-skip-client-san-verification",
  "force-new-cluster",
  "socket-reuse-address",
  "enable-grpc-gateway",
] as const;

const NO_DISCOVERY = "there are no other members to discover";
/** Flags of etcd that are not served: the value that means nothing is asked for, and why others are refused. */
const REFUSED: Readonly<Record<string, readonly [string, string]>> = {
  "wal-dir": ["", "there is no write-ahead log; everything is in data-dir"],
  "listen-client-http-urls": ["", "HTTP and gRPC share the client URLs"],
  "client-cert-allowed-hostname": ["", "client certificates are checked by their authority only"],
  "cipher-suites": ["", "the list of ciphers cannot be chosen; tls-min-version can"],
  cors: ["*", "origins are not restricted"],
  "host-whitelist": ["*", "hosts are not restricted"],
  metrics: ["basic", "there are no extensive metrics"],
  "feature-gates": ["", "there are no feature gates"],
  discovery: ["", NO_DISCOVERY],
  "discovery-token": ["", NO_DISCOVERY],
  "discovery-endpoints": ["", NO_DISCOVERY],
  "discovery-srv": ["", NO_DISCOVERY],
  "corrupt-check-time": ["0s", "there are no other members to compare with"],
};
const REFUSED_SWITCHES: Readonly<Record<string, string>> = {
  "auto-tls": "certificates are not made; give cert-file and key-file",
  "memory-mlock": "pages are not locked",
  "enable-pprof": "there is no profile to serve",
  "enable-distributed-tracing": "there are no traces",
  "enable-log-rotation": "logs go to the standard error output",
  "socket-reuse-port": "a port has one owner",
};

/** What is only looked at: accepted without effect, or refused. */
export const MEMBER_FLAGS: Readonly<Record<string, Flag<string | boolean>>> = Object.fromEntries([
  ...WITHOUT_EFFECT.map((name) => [name, flag.string(name, "")] as const),
  ...SWITCHES_WITHOUT_EFFECT.map((name) => [name, flag.boolean(name, false)] as const),
  ...Object.entries(REFUSED).map(([name, [fallback]]) => [name, flag.string(name, fallback)] as const),
  ...Object.keys(REFUSED_SWITCHES).map((name) => [name, flag.boolean(name, false)] as const),
]);

/** Throws UsageError, with the reason, for what is asked for and cannot be had. */
export function checkMemberFlags(values: Readonly<Record<string, unknown>>): void {
  for (const [name, [fallback, reason]] of Object.entries(REFUSED)) {
    if (values[name] !== fallback) throw new UsageError(`${name}: ${reason}`);
  }
  for (const [name, reason] of Object.entries(REFUSED_SWITCHES)) {
    if (values[name] === true) throw new UsageError(`${name}: ${reason}`);
  }
}
