import { Counter, Gauge, Histogram, type Instant } from "@coracle/base";

type Row = readonly [values: readonly string[], value: number];

interface UnderWay {
  readonly plugin: string;
  readonly operation: "provision" | "delete";
  readonly since: Instant;
}

/** How volumes that may be attached are spread. */
export interface AttachmentCounts {
  /** By plugin and state. */
  readonly total: () => Iterable<Row>;
  /** By node and plugin. */
  readonly inUse: () => Iterable<Row>;
}

const SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600];

/** What is counted and measured of that which is done to volumes, under upstream's names. */
export class VolumeOperations {
  readonly #underWay = new Map<string, UnderWay>();
  #attachments: AttachmentCounts = { total: () => [], inUse: () => [] };
  readonly #seconds = new Histogram(
    "volume_operation_total_seconds",
    "[ALPHA] Storage operation end to end duration in seconds",
    SECONDS,
    ["plugin_name", "operation_name"],
  );
  readonly #errors = new Counter("volume_operation_total_errors", "[ALPHA] Total volume operation errors", [
    "plugin_name",
    "operation_name",
  ]);
  readonly #callSeconds = new Histogram(
    "storage_operation_duration_seconds",
    "[ALPHA] Storage operation duration",
    SECONDS,
    ["volume_plugin", "operation_name", "status", "migrated"],
  );
  readonly #total = new Gauge(
    "attachdetach_controller_total_volumes",
    "[ALPHA] Number of volumes in A/D Controller",
    ["plugin_name", "state"],
    () => this.#attachments.total(),
  );
  readonly #inUse = new Gauge(
    "storage_count_attachable_volumes_in_use",
    "[ALPHA] Measure number of volumes in use",
    ["node", "volume_plugin"],
    () => this.#attachments.inUse(),
  );

  /** Volumes that may be attached are looked up there. */
  watchAttachments(counts: AttachmentCounts): void {
    this.#attachments = counts;
  }

  /** Something is done for `key`, a claim or a volume, from now on; nothing new when that goes on already. */
  begun(key: string, operation: UnderWay["operation"], plugin: string, now: Instant): void {
    if (!this.#underWay.has(key)) this.#underWay.set(key, { plugin, operation, since: now });
  }

  /** It did not succeed, and is tried again. */
  failed(key: string): void {
    const found = this.#underWay.get(key);
    if (found !== undefined) this.#errors.add(1, found.plugin, found.operation);
  }

  finished(key: string, now: Instant): void {
    const found = this.#underWay.get(key);
    if (found === undefined) return;
    this.#underWay.delete(key);
    this.#seconds.observe((now - found.since) / 1000, found.plugin, found.operation);
  }

  /** Nobody wants it any more. */
  forget(key: string): void {
    this.#underWay.delete(key);
  }

  /** A plugin was called and has answered. */
  called(plugin: string, operation: string, isFine: boolean, isMigrated: boolean, durationMs: number): void {
    const status = isFine ? "success" : "fail-unknown";
    this.#callSeconds.observe(durationMs / 1000, plugin, operation, status, String(isMigrated));
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return [this.#total, this.#inUse, this.#callSeconds, this.#errors, this.#seconds]
      .map((each) => each.text())
      .join("");
  }
}
