import { sleep, type Clock, type Logger } from "@coracle/base";
import { statfs } from "node:fs/promises";
import type { KubeletConfiguration } from "../config.ts";
import type { CriClient } from "../cri/cri-client.ts";
import type { PodManager } from "../pod/pod-manager.ts";

const CHECK_MS = 300_000;

/** Removes images that nothing uses, the longest unused first, when the disk they are on is nearly full. */
export async function runGarbageCollection(
  deps: {
    readonly cri: CriClient;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly configuration: KubeletConfiguration;
    readonly pods: PodManager;
  },
  signal: AbortSignal,
): Promise<void> {
  const { cri, clock, logger, configuration } = deps;
  /** When each image was last seen in use, or first seen. */
  const usedAt = new Map<string, number>();
  while (!signal.aborted) {
    await sleep(clock, CHECK_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await collect();
    } catch (error) {
      logger.warn("unused images were not removed", { error });
    }
  }

  async function collect(): Promise<void> {
    const [{ images = [] }, { containers = [] }, fsInfo] = await Promise.all([
      cri.call("ListImages", {}),
      cri.call("ListContainers", {}),
      cri.call("ImageFsInfo", {}),
    ]);
    const now = clock.now();
    const inUse = new Set(containers.flatMap(({ imageRef, imageId, image }) => [imageRef, imageId, image?.image]));
    for (const image of images) {
      const id = image.id ?? "";
      const isUsed = [id, ...(image.repoTags ?? []), ...(image.repoDigests ?? [])].some((name) => inUse.has(name));
      if (isUsed || !usedAt.has(id)) usedAt.set(id, now);
    }
    const folder = fsInfo.imageFilesystems?.[0]?.fsId?.mountpoint;
    if (folder === undefined || folder === "") return;
    const disk = await statfs(folder);
    const total = disk.blocks * disk.bsize;
    let usedPercent = 100 - Math.floor((disk.bavail * disk.bsize * 100) / total);
    if (usedPercent < configuration.imageGCHighThresholdPercent) return;
    const unused = images
      .filter(
        ({ id = "", pinned }) =>
          pinned !== true && now - (usedAt.get(id) ?? now) >= configuration.imageMinimumGCAgeSeconds * 1000,
      )
      .toSorted((a, b) => (usedAt.get(a.id ?? "") ?? 0) - (usedAt.get(b.id ?? "") ?? 0));
    for (const image of unused) {
      if (usedPercent <= configuration.imageGCLowThresholdPercent) return;
      await cri.call("RemoveImage", { image: { image: image.id ?? "" } });
      usedAt.delete(image.id ?? "");
      usedPercent -= ((image.size ?? 0) * 100) / total;
    }
  }
}
