/** How events reach a backend: at once, or in batches by and by. */
export interface AuditDeliverySettings {
  /** `blocking-strict`: a request whose first event cannot be written fails. */
  readonly mode: "batch" | "blocking" | "blocking-strict";
  readonly bufferSize: number;
  readonly maxBatchSize: number;
  /** 0: only full batches, and at the end. */
  readonly maxWaitMs: number;
  readonly throttle: { readonly perSecond: number; readonly burst: number } | undefined;
  /** Absent: nothing is shortened. */
  readonly truncate: { readonly maxBatchBytes: number; readonly maxEventBytes: number } | undefined;
}

/** Where audit events of a file go. */
export interface AuditLogSettings {
  /** `-`: standard output. */
  readonly path: string;
  readonly format: "json" | "legacy";
  /** Days; 0: old files are kept however old. */
  readonly maxAgeDays: number;
  /** 0: all. */
  readonly maxBackups: number;
  /** Megabytes; 0: upstream's 100. */
  readonly maxSizeMegabytes: number;
  readonly compresses: boolean;
  readonly delivery: AuditDeliverySettings;
}

/** Where audit events are posted to. */
export interface AuditWebhookSettings {
  readonly kubeconfigFile: string;
  readonly initialBackoffMs: number;
  readonly delivery: AuditDeliverySettings;
}

/** What is recorded, and where. Files are named, not read. */
export interface AuditSettings {
  readonly policyFile: string;
  readonly log?: AuditLogSettings | undefined;
  readonly webhook?: AuditWebhookSettings | undefined;
}
