import { UsageError } from "@coracle/base";
import type { FlagTaker } from "./access-flags.ts";
import type { AuditDeliverySettings, AuditSettings } from "./audit/settings.ts";
import { parseDurationMs } from "./files/config-document.ts";

/** Flags about how the server is run and watched. Files are named, not read. */
export interface OperationFlags {
  readonly audit: AuditSettings | undefined;
  readonly encryption: { readonly configFile: string; readonly reloads: boolean } | undefined;
  readonly tracingConfigFile: string | undefined;
}

const optional = (text: string): string | undefined => (text === "" ? undefined : text);

function takeNumber(flags: FlagTaker, name: string, fallback: number, pattern = /^-?\d+$/): number {
  const text = flags.take(name, String(fallback));
  if (pattern.test(text)) return Number(text);
  throw new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag: not a number`);
}

function takeDurationMs(flags: FlagTaker, name: string, fallback: string): number {
  const text = flags.take(name, fallback);
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  throw new UsageError(
    `invalid argument ${JSON.stringify(text)} for "--${name}" flag: time: invalid duration ${JSON.stringify(text)}`,
  );
}

const MODES: readonly AuditDeliverySettings["mode"][] = ["batch", "blocking", "blocking-strict"];

interface DeliveryDefaults {
  readonly mode: AuditDeliverySettings["mode"];
  readonly batchSize: number;
  readonly wait: string;
  readonly throttles: boolean;
  readonly qps: number;
  readonly burst: number;
}

function takeDelivery(
  flags: FlagTaker,
  plugin: "log" | "webhook",
  defaults: DeliveryDefaults,
): { readonly delivery: AuditDeliverySettings; readonly problem: string | undefined } {
  const prefix = `audit-${plugin}`;
  const mode = flags.take(`${prefix}-mode`, defaults.mode);
  const bufferSize = takeNumber(flags, `${prefix}-batch-buffer-size`, 10_000);
  const maxBatchSize = takeNumber(flags, `${prefix}-batch-max-size`, defaults.batchSize);
  const maxWaitMs = takeDurationMs(flags, `${prefix}-batch-max-wait`, defaults.wait);
  const throttles = flags.takeBoolean(`${prefix}-batch-throttle-enable`, defaults.throttles);
  const qps = takeNumber(flags, `${prefix}-batch-throttle-qps`, defaults.qps, /^-?\d+(\.\d+)?$/);
  const burst = takeNumber(flags, `${prefix}-batch-throttle-burst`, defaults.burst);
  const truncates = flags.takeBoolean(`${prefix}-truncate-enabled`, false);
  const maxBatchBytes = takeNumber(flags, `${prefix}-truncate-max-batch-size`, 10 * 1024 * 1024);
  const maxEventBytes = takeNumber(flags, `${prefix}-truncate-max-event-size`, 100 * 1024);
  const version = flags.take(`${prefix}-version`, "audit.k8s.io/v1");
  const known = MODES.find((name) => name === mode);
  const must = "must be a positive number";
  const problem = (): string | undefined => {
    if (known === undefined) {
      return `invalid audit ${plugin} mode ${mode}, allowed modes are "${MODES.join(",")}"`;
    }
    if (known === "batch") {
      if (bufferSize <= 0) return `invalid audit batch ${plugin} buffer size ${bufferSize}, ${must}`;
      if (maxBatchSize <= 0) return `invalid audit batch ${plugin} max batch size ${maxBatchSize}, ${must}`;
      if (throttles && qps <= 0) return `invalid audit batch ${plugin} throttle QPS ${qps}, ${must}`;
      if (throttles && burst <= 0) return `invalid audit batch ${plugin} throttle burst ${burst}, ${must}`;
    }
    if (maxEventBytes <= 0) return `invalid audit truncate ${plugin} max event size ${maxEventBytes}, ${must}`;
    if (maxBatchBytes < maxEventBytes) {
      return `invalid audit truncate ${plugin} max batch size ${maxBatchBytes}, must be greater than max event size (${maxEventBytes})`;
    }
    if (version !== "audit.k8s.io/v1") return 'invalid group version, allowed versions are ["audit.k8s.io/v1"]';
    return undefined;
  };
  return {
    delivery: {
      mode: known ?? "batch",
      bufferSize,
      maxBatchSize,
      maxWaitMs,
      throttle: throttles ? { perSecond: qps, burst } : undefined,
      truncate: truncates ? { maxBatchBytes, maxEventBytes } : undefined,
    },
    problem: problem(),
  };
}

const LOG_DEFAULTS: DeliveryDefaults = {
  mode: "blocking",
  batchSize: 1,
  wait: "0s",
  throttles: false,
  qps: 0,
  burst: 0,
};

const WEBHOOK_DEFAULTS: DeliveryDefaults = {
  mode: "batch",
  batchSize: 400,
  wait: "30s",
  throttles: true,
  qps: 10,
  burst: 15,
};

function takeAudit(flags: FlagTaker): AuditSettings | undefined {
  const policyFile = optional(flags.take("audit-policy-file", ""));
  const path = optional(flags.take("audit-log-path", ""));
  const format = flags.take("audit-log-format", "json");
  const maxAgeDays = takeNumber(flags, "audit-log-maxage", 0);
  const maxBackups = takeNumber(flags, "audit-log-maxbackup", 0);
  const maxSizeMegabytes = takeNumber(flags, "audit-log-maxsize", 0);
  const compresses = flags.takeBoolean("audit-log-compress", false);
  const log = takeDelivery(flags, "log", LOG_DEFAULTS);
  const kubeconfigFile = optional(flags.take("audit-webhook-config-file", ""));
  const initialBackoffMs = takeDurationMs(flags, "audit-webhook-initial-backoff", "10s");
  const webhook = takeDelivery(flags, "webhook", WEBHOOK_DEFAULTS);
  if (path !== undefined) {
    if (log.problem !== undefined) throw new UsageError(log.problem);
    if (format !== "json" && format !== "legacy") {
      throw new UsageError(`invalid audit log format ${format}, allowed formats are "legacy,json"`);
    }
    const limits = { maxage: maxAgeDays, maxbackup: maxBackups, maxsize: maxSizeMegabytes };
    for (const [name, value] of Object.entries(limits)) {
      if (value < 0) throw new UsageError(`--audit-log-${name} ${value} can't be a negative number`);
    }
  }
  if (kubeconfigFile !== undefined && webhook.problem !== undefined) throw new UsageError(webhook.problem);
  if (policyFile === undefined) return undefined;
  return {
    policyFile,
    log:
      path === undefined
        ? undefined
        : {
            path,
            format: format === "legacy" ? "legacy" : "json",
            maxAgeDays,
            maxBackups,
            maxSizeMegabytes,
            compresses,
            delivery: log.delivery,
          },
    webhook:
      kubeconfigFile === undefined ? undefined : { kubeconfigFile, initialBackoffMs, delivery: webhook.delivery },
  };
}

/** Takes the flags of audit, encryption at rest and traces. Throws a UsageError with upstream's text where they contradict. */
export function takeOperationFlags(flags: FlagTaker): OperationFlags {
  const configFile = optional(flags.take("encryption-provider-config", ""));
  const reloads = flags.takeBoolean("encryption-provider-config-automatic-reload", false);
  if (reloads && configFile === undefined) {
    throw new UsageError("--encryption-provider-config-automatic-reload must be set with --encryption-provider-config");
  }
  return {
    audit: takeAudit(flags),
    encryption: configFile === undefined ? undefined : { configFile, reloads },
    tracingConfigFile: optional(flags.take("tracing-config-file", "")),
  };
}
