import { UsageError } from "@coracle/base";
import type { FlagTaker } from "../access-flags.ts";
import { parseDurationMs } from "../files/config-document.ts";

/** Flags about the store, and how objects lie in it. */
export interface StoreFlags {
  readonly servers: readonly string[];
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Where objects' keys begin: `/registry`. */
  readonly prefix: string;
  /** 0: never. */
  readonly compactionIntervalMs: number;
  /** How much the embedded store may hold; undefined: as much as the disk. */
  readonly quotaBytes: number | undefined;
  readonly healthTimeoutMs: number;
  readonly readyTimeoutMs: number;
  readonly leaseReuseSeconds: number;
}

const MEDIA_TYPES = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];

/** What etcd's documentation advises not to exceed. */
const DEFAULT_QUOTA_BYTES = 8 * 1024 ** 3;

/** As with etcd, 0 stands for a default and less than that for no limit. */
function quotaOf(bytes: number): number | undefined {
  if (!Number.isFinite(bytes)) throw new UsageError("--quota-backend-bytes wants a number");
  if (bytes === 0) return DEFAULT_QUOTA_BYTES;
  return bytes < 0 ? undefined : bytes;
}

/** Flags that leave no choice here: any other value would be a promise not kept. */
function checkSettled(flags: FlagTaker): void {
  const backend = flags.take("storage-backend", "");
  if (backend !== "" && backend !== "etcd3")
    throw new UsageError(
      "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'",
    );
  const media = flags.take("storage-media-type", "application/json");
  if (!MEDIA_TYPES.includes(media))
    throw new UsageError(
      `--storage-media-type ${JSON.stringify(media)} invalid, allowed values: ${MEDIA_TYPES.join(", ")}`,
    );
  if (media !== "application/json")
    throw new UsageError(`--storage-media-type ${media} is not supported: objects are written as application/json`);
  if (!flags.takeBoolean("watch-cache", true)) throw new UsageError("--watch-cache cannot be turned off");
}

/** Takes the flags of the store. Throws a UsageError with upstream's text for what cannot be. */
export function takeStoreFlags(flags: FlagTaker): StoreFlags {
  checkSettled(flags);
  const ms = (name: string, fallback: string): number => parseDurationMs(flags.take(name, fallback)) ?? 0;
  return {
    servers: flags.takeList("etcd-servers"),
    caFile: flags.take("etcd-cafile", ""),
    certFile: flags.take("etcd-certfile", ""),
    keyFile: flags.take("etcd-keyfile", ""),
    prefix: `/${flags.take("etcd-prefix", "/registry").replaceAll(/^\/+|\/+$/g, "")}`,
    compactionIntervalMs: ms("etcd-compaction-interval", "5m"),
    quotaBytes: quotaOf(Number(flags.take("quota-backend-bytes", "0"))),
    healthTimeoutMs: ms("etcd-healthcheck-timeout", "2s"),
    readyTimeoutMs: ms("etcd-readycheck-timeout", "2s"),
    leaseReuseSeconds: Number(flags.take("lease-reuse-duration-seconds", "60")),
  };
}
