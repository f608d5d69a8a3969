import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { storageSizeMetrics } from "./store-metrics.ts";

describe("the room a store takes", () => {
  const clock = createFakeClock();

  it("is told under etcd's names too where there is a quota, so that alerts see it fill up", async () => {
    const text = await storageSizeMetrics(
      { size: async () => ({ totalBytes: 900, usedBytes: 300, quotaBytes: 1_000 }) },
      clock,
    );
    expect(text.split("\n").filter((line) => !line.startsWith("#"))).toEqual([
      'apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 900',
      "etcd_server_quota_backend_bytes 1000",
      "etcd_mvcc_db_total_size_in_bytes 900",
      "etcd_mvcc_db_total_size_in_use_in_bytes 300",
      "",
    ]);
  });

  it("is told alone where there is none; nothing is told of a store that does not say", async () => {
    const size = async (): Promise<{ totalBytes: number; usedBytes: number }> => ({ totalBytes: 9, usedBytes: 3 });
    expect(await storageSizeMetrics({ size }, clock)).not.toContain("quota");
    expect(await storageSizeMetrics({ size: () => Promise.reject(new Error("gone")) }, clock)).toBe("");
  });
});
