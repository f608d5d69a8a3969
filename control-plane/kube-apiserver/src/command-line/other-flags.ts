import { UsageError } from "@coracle/base";
import type { FlagTaker } from "../access-flags.ts";
import { parseDurationMs } from "../files/config-document.ts";

/** Flags that come to little here, and what there is to tell of them. */
export interface OtherFlags {
  /** `/debug/pprof`. */
  readonly profiling: boolean;
  /** Families of metrics that are not told. */
  readonly disabledMetrics: readonly string[];
  /** Given, and without effect. */
  readonly withoutEffect: readonly string[];
}

/** Accepted, and told in the log: their subject has another form here, or upstream's effect cannot be seen. */
const WITHOUT_EFFECT = [
  // Objects of a page are deleted side by side.
  "delete-collection-workers",
  // There are Go's profiles, and V8's.
  "contention-profiling",
  // Counts are made when they are asked for; nothing polls.
  "etcd-count-metric-poll-period",
  "etcd-db-metric-poll-interval",
  // The server listens once everything is started.
  "livez-grace-period",
  "storage-initialization-timeout",
  // Watches end at once, and their clients come again.
  "shutdown-watch-termination-grace-period",
  "max-connection-bytes-per-sec",
  "kubelet-timeout",
  // Belongs to a feature that is off.
  "coordinated-leadership-lease-duration",
  "coordinated-leadership-renew-deadline",
  "coordinated-leadership-retry-period",
  "apiserver-count",
  "min-compatibility-version",
  "runtime-config-emulation-forward-compatible",
  "enable-logs-handler",
  "allow-metric-labels",
  "allow-metric-labels-manifest",
  "show-hidden-metrics-for-version",
  // Every line is written at once.
  "log-flush-frequency",
  "vmodule",
  // Caches are as large as what they hold.
  "watch-cache-sizes",
] as const;

const VERSIONS = ["1.32", "1.33", "1.34", "1.35"];
const OWN_VERSION = "1.35";

/** `1.35` or `kube=1.35`. */
function takeVersion(flags: FlagTaker, name: string): string | undefined {
  const items = flags.takeList(name);
  let found: string | undefined;
  for (const item of items) {
    const [component, version] = item.includes("=") ? item.split("=", 2) : ["kube", item];
    if (component !== "kube") throw new UsageError(`component not registered: ${component}`);
    if (!/^v?\d+\.\d+$/.test(version ?? ""))
      throw new UsageError(
        /^v?\d+\.\d+\./.test(version ?? "")
          ? `patch version not allowed, got: ${item}`
          : `could not parse ${JSON.stringify(version)} as version`,
      );
    found = version!.replace(/^v/, "");
  }
  return found;
}

function checkVersions(flags: FlagTaker): void {
  const emulated = takeVersion(flags, "emulated-version");
  const compatible = takeVersion(flags, "min-compatibility-version");
  if (emulated !== undefined && emulated !== OWN_VERSION) {
    if (!VERSIONS.includes(emulated))
      throw new UsageError(`emulation version ${emulated} is not between [1.32, 1.35.0]`);
    throw new UsageError(`--emulated-version ${emulated} is not supported, this server is ${OWN_VERSION} alone`);
  }
  if (compatible !== undefined && !VERSIONS.includes(compatible))
    throw new UsageError(`minCompatibilityVersion version ${compatible} is not between [1.32, ${OWN_VERSION}]`);
  if (flags.takeBoolean("emulation-forward-compatible", false))
    throw new UsageError("--emulation-forward-compatible is only allowed when the emulation version is lower");
}

function checkMetrics(flags: FlagTaker): void {
  const hidden = flags.take("show-hidden-metrics-for-version", "");
  if (hidden !== "" && hidden !== "1.34")
    throw new UsageError(
      "--show-hidden-metrics-for-version must be omitted or have the value '1.34'. Only the previous minor version is allowed",
    );
  for (const pair of flags.takeAll("allow-metric-labels"))
    if (!pair.includes("="))
      throw new UsageError(
        `invalid argument ${JSON.stringify(pair)} for "--allow-metric-labels" flag: ${pair} must be formatted as key=value`,
      );
}

function checkLogs(flags: FlagTaker): void {
  for (const pair of flags.takeList("vmodule"))
    if (!/^[^=]+=\d+$/.test(pair))
      throw new UsageError(
        `invalid argument ${JSON.stringify(pair)} for "--vmodule" flag: ${JSON.stringify(pair)} does not have the pattern=N format`,
      );
  const isSet = (name: string): boolean => !["", "false", "0"].includes(flags.take(name, ""));
  for (const format of ["json", "text"]) {
    const why = "Forbidden: Feature LoggingAlphaOptions is disabled";
    const [isSplit, isBuffered] = [isSet(`log-${format}-split-stream`), isSet(`log-${format}-info-buffer-size`)];
    if (isSplit) throw new UsageError(`options.${format}.splitStream: ${why}`);
    if (isBuffered) throw new UsageError(`options.${format}.infoBufferSize: ${why}`);
  }
}

function checkStore(flags: FlagTaker): void {
  for (const text of flags.takeList("watch-cache-sizes")) {
    const [name, size] = text.split("#");
    if (size === undefined || name === "" || text.split("#").length !== 2)
      throw new UsageError(`invalid value of watch cache size: ${text}`);
    if (!/^-?\d+$/.test(size)) throw new UsageError(`invalid size of watch cache size: ${text}`);
    if (size.startsWith("-")) throw new UsageError(`watch cache size cannot be negative: ${text}`);
  }
  const overrides = flags.takeList("etcd-servers-overrides");
  for (const text of overrides) {
    const parts = text.split("#");
    if (parts.length !== 2 || parts[0]!.split("/").length !== 2)
      throw new UsageError(
        "--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated",
      );
  }
  if (overrides.length > 0)
    throw new UsageError("--etcd-servers-overrides is not supported: everything is in one store");
  if (!flags.takeBoolean("enable-garbage-collector", true))
    throw new UsageError("--enable-garbage-collector cannot be turned off");
}

/** What a server on its own cannot do: asked for, it does not start. */
function refuseUnsupported(flags: FlagTaker): void {
  if (flags.take("egress-selector-config-file", "") !== "")
    throw new UsageError("--egress-selector-config-file is not supported: connections are made directly");
  for (const name of ["peer-ca-file", "peer-advertise-ip", "peer-advertise-port"])
    if (flags.take(name, "") !== "")
      throw new UsageError(`--${name} requires UnknownVersionInteroperabilityProxy feature to be turned on`);
  if (flags.take("service-account-signing-endpoint", "") !== "")
    throw new UsageError(
      "service-account-signing-key-file and service-account-signing-endpoint are mutually exclusive and cannot be set at the same time",
    );
  if (flags.take("debug-socket-path", "") !== "")
    throw new UsageError("--debug-socket-path is not supported: profiles are at /debug/pprof");
}

function checkNumbers(flags: FlagTaker): void {
  const isNegative = (name: string): boolean => (parseDurationMs(flags.take(name, "0")) ?? 0) < 0;
  if (isNegative("livez-grace-period")) throw new UsageError("--livez-grace-period can not be a negative value");
  if (isNegative("shutdown-watch-termination-grace-period"))
    throw new UsageError("shutdown-watch-termination-grace-period, if provided, can not be a negative value");
  const count = flags.take("apiserver-count", "1");
  if (Number(count) <= 0)
    throw new UsageError(`--apiserver-count should be a positive number, but value '${count}' provided`);
}

/** Takes what no other group of flags takes. Throws a UsageError for what cannot be. */
export function takeOtherFlags(flags: FlagTaker): OtherFlags {
  const withoutEffect = WITHOUT_EFFECT.filter((name) => flags.has(name));
  checkVersions(flags);
  checkMetrics(flags);
  checkLogs(flags);
  checkStore(flags);
  checkNumbers(flags);
  refuseUnsupported(flags);
  for (const name of WITHOUT_EFFECT) flags.takeAll(name);
  return {
    profiling: flags.takeBoolean("profiling", true),
    disabledMetrics: flags.takeList("disabled-metrics"),
    withoutEffect,
  };
}
