import type { Image, ImageServiceMethods } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { ImageRecord, ImageStore } from "../image/image-store.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import type { UnaryMethods } from "./runtime-service.ts";

/** CRI's view of an image. */
export function imageOf(record: ImageRecord): Image {
  const user = (record.config.User ?? "").split(":")[0] ?? "";
  const isNumber = /^\d+$/.test(user);
  return {
    id: record.id,
    repoTags: record.repoTags,
    repoDigests: record.repoDigests,
    size: record.size,
    spec: { image: record.id },
    // The kubelet's runAsNonRoot check reads these: no user is root.
    ...(isNumber || user === "" ? { uid: { value: Number(user) } } : { username: user }),
  };
}

/** CRI's ImageService over the store. */
export function createImageService(
  store: ImageStore,
  context: Pick<RuntimeContext, "paths" | "clock">,
): UnaryMethods<ImageServiceMethods> {
  return {
    ListImages({ filter }) {
      const wanted = filter?.image?.image ?? "";
      const records = wanted === "" ? store.list() : [store.find(wanted)].filter((record) => record !== undefined);
      return { images: records.map(imageOf) };
    },
    ImageStatus(request) {
      const reference = request.image?.image ?? "";
      if (reference === "") throw new CriError("INVALID_ARGUMENT", "image reference is empty");
      const record = store.find(reference);
      if (record === undefined) return {};
      const info = { imageSpec: { config: record.config }, layers: record.layers };
      return { image: imageOf(record), ...(request.verbose === true ? { info: { info: JSON.stringify(info) } } : {}) };
    },
    async PullImage(request) {
      const record = await store.pull(request.image?.image ?? "", { auth: request.auth });
      return { imageRef: record.id };
    },
    async RemoveImage(request) {
      await store.remove(request.image?.image ?? "");
      return {};
    },
    async ImageFsInfo() {
      const usage = await store.usage();
      const timestamp = usage.timestamp * 1e6;
      return {
        imageFilesystems: [
          {
            timestamp,
            fsId: { mountpoint: usage.folder },
            usedBytes: { value: usage.usedBytes },
            inodesUsed: { value: usage.inodesUsed },
          },
        ],
        containerFilesystems: [
          {
            timestamp,
            fsId: { mountpoint: context.paths.containers },
            usedBytes: { value: 0 },
            inodesUsed: { value: 0 },
          },
        ],
      };
    },
  };
}
