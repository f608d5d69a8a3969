import { createHash } from "node:crypto";
import { mkdir, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { AuthConfig } from "@coracle/api/cri";
import type { Clock } from "@coracle/base";
import { run } from "@coracle/linux";
import { CriError, messageOf } from "../cri-error.ts";
import { readJsonFile, writeFileAtomically } from "../json-file.ts";
import { openLayerStore, type LayerStore } from "./layer-store.ts";
import {
  isIndex,
  selectPlatform,
  hostArchitecture,
  type Descriptor,
  type ImageConfig,
  type ImageIndex,
  type ImageManifest,
} from "./manifest.ts";
import { formatImageReference, isImageId, parseImageReference, type ImageReference } from "./reference.ts";
import { openRepository, type RegistryHost, type Repository } from "./registry.ts";

/** An image in the store, as its file says it. */
export interface ImageRecord {
  /** Digest of the configuration. */
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Bytes of the compressed layers and the configuration. */
  readonly size: number;
  readonly layers: readonly string[];
  readonly config: NonNullable<ImageConfig["config"]>;
}

export interface ImageStore {
  readonly layers: LayerStore;
  list(): readonly ImageRecord[];
  /** By id, id prefix-free, tag or digest reference; undefined when absent. */
  find(reference: string): ImageRecord | undefined;
  /** Pulls unless another pull of the same reference runs, whose result is then shared. Gives the image's id. */
  pull(
    reference: string,
    options?: { readonly auth?: AuthConfig | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<ImageRecord>;
  /** Adds an image whose blobs `source` gives. */
  addFrom(
    source: BlobSource,
    manifest: Descriptor,
    names: { readonly tags: readonly string[]; readonly digests: readonly string[] },
  ): Promise<ImageRecord>;
  /** Adds an image given as configuration and layers, as `docker save` writes them. */
  addParts(parts: {
    readonly config: Buffer;
    readonly layers: readonly { open(): Promise<Readable>; readonly size: number }[];
    readonly tags: readonly string[];
  }): Promise<ImageRecord>;
  /** Takes a name away; the image goes with its last one. Unknown references are no error. */
  remove(reference: string): Promise<void>;
  /** Removes layers that no image and no container needs, such as an interrupted pull leaves. */
  sweep(): Promise<void>;
  /** Space used by layers and records, on what folder. */
  usage(): Promise<{
    readonly folder: string;
    readonly usedBytes: number;
    readonly inodesUsed: number;
    readonly timestamp: number;
  }>;
}

/** Where blobs come from: a registry or an unpacked archive. */
export interface BlobSource {
  manifest(digest: string): Promise<Buffer>;
  blob(digest: string): Promise<Readable>;
}

export interface ImageStoreOptions {
  readonly folder: string;
  readonly clock: Clock;
  /** By registry host as written in references. */
  readonly registries?: Readonly<Record<string, RegistryHost>> | undefined;
  /** Layers that containers still stand on. */
  readonly layersInUse: () => Iterable<string>;
}

const PARALLEL_LAYERS = 3;
const sha256 = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Opens the store; what an interrupted pull left behind is gone, what it finished is there. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const folder = join(options.folder, "records");
  await mkdir(folder, { recursive: true });
  const layers = await openLayerStore(join(options.folder, "layers"));
  const images = new Map<string, ImageRecord>();
  for (const name of await readdir(folder)) {
    const record = name.endsWith(".json") ? await readJsonFile<ImageRecord>(join(folder, name)) : undefined;
    if (record !== undefined && record.layers.every((layer) => layers.has(layer))) images.set(record.id, record);
    else await rm(join(folder, name), { force: true });
  }
  const pulls = new Map<string, Promise<ImageRecord>>();
  // Records change one at a time: a tag that moves leaves one image and joins another.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = turn.then(work);
    turn = next.catch(() => {});
    return next;
  };
  const busy = new Map<string, number>();

  const fileOf = (id: string): string => join(folder, `${id.slice("sha256:".length)}.json`);
  const save = async (record: ImageRecord): Promise<void> => {
    await writeFileAtomically(fileOf(record.id), JSON.stringify(record));
    images.set(record.id, record);
  };
  const drop = async (id: string): Promise<void> => {
    await rm(fileOf(id), { force: true });
    images.delete(id);
  };
  const sweep = async (): Promise<void> => {
    const used = new Set<string>([...busy.keys(), ...options.layersInUse()]);
    for (const image of images.values()) for (const layer of image.layers) used.add(layer);
    await layers.removeExcept(used);
  };

  const commit = (record: ImageRecord): Promise<ImageRecord> =>
    inTurn(async () => {
      for (const other of images.values()) {
        if (other.id === record.id || !other.repoTags.some((tag) => record.repoTags.includes(tag))) continue;
        await save({ ...other, repoTags: other.repoTags.filter((tag) => !record.repoTags.includes(tag)) });
      }
      const before = images.get(record.id);
      const merged: ImageRecord = {
        ...record,
        size: Math.max(record.size, before?.size ?? 0),
        repoTags: [...new Set([...(before?.repoTags ?? []), ...record.repoTags])],
        repoDigests: [...new Set([...(before?.repoDigests ?? []), ...record.repoDigests])],
      };
      await save(merged);
      return merged;
    });

  const unpackAll = async (
    jobs: readonly { readonly diffId: string; readonly blobDigest?: string; open(): Promise<Readable> }[],
  ): Promise<Disposable> => {
    for (const { diffId } of jobs) busy.set(diffId, (busy.get(diffId) ?? 0) + 1);
    const release = {
      [Symbol.dispose]() {
        for (const { diffId } of jobs) {
          const left = (busy.get(diffId) ?? 1) - 1;
          if (left === 0) busy.delete(diffId);
          else busy.set(diffId, left);
        }
      },
    };
    const waiting = [...new Map(jobs.map((job) => [job.diffId, job])).values()].filter(
      (job) => !layers.has(job.diffId),
    );
    const waitingAtFirst = waiting.length;
    const worker = async (): Promise<void> => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
        await layers.add(await job.open(), { diffId: job.diffId, blobDigest: job.blobDigest });
      }
    };
    const results = await Promise.allSettled(Array.from({ length: PARALLEL_LAYERS }, worker));
    const failed = results.find((result) => result.status === "rejected");
    if (failed === undefined) {
      // A record says that its layers are whole, also after a power failure.
      if (waitingAtFirst > 0) await run("sync", ["-f", layers.folder], { allowFailure: true });
      return release;
    }
    release[Symbol.dispose]();
    throw failed.reason;
  };

  const parseConfig = (bytes: Buffer): ImageConfig => {
    const config = JSON.parse(bytes.toString("utf8")) as ImageConfig;
    if (!Array.isArray(config.rootfs?.diff_ids)) throw new Error("the image's configuration names no layers");
    if (config.architecture !== undefined && config.architecture !== "" && config.architecture !== hostArchitecture) {
      throw new CriError(
        "NOT_FOUND",
        `no match for platform in manifest: image is for ${config.os ?? "linux"}/${config.architecture}, this host is linux/${hostArchitecture}: not found`,
      );
    }
    return config;
  };

  const readManifest = async (source: BlobSource, first: Buffer): Promise<ImageManifest> => {
    let document = JSON.parse(first.toString("utf8")) as ImageManifest | ImageIndex;
    for (let depth = 0; isIndex(document); depth++) {
      const chosen = selectPlatform(document);
      if (chosen === undefined || depth > 3) {
        throw new CriError("NOT_FOUND", `no match for platform in manifest: linux/${hostArchitecture}: not found`);
      }
      document = JSON.parse((await source.manifest(chosen.digest)).toString("utf8")) as ImageManifest | ImageIndex;
    }
    if (document.config === undefined || !Array.isArray(document.layers)) {
      throw new Error("unsupported manifest: neither schema 2 nor an OCI image");
    }
    return document;
  };

  const readAll = async (stream: Readable): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  };

  const addManifest = async (
    source: BlobSource,
    first: Buffer,
    names: { readonly tags: readonly string[]; readonly digests: readonly string[] },
  ): Promise<ImageRecord> => {
    const manifest = await readManifest(source, first);
    const configBytes = await readAll(await source.blob(manifest.config.digest));
    if (sha256(configBytes) !== manifest.config.digest) {
      throw new Error(
        `unexpected digest ${sha256(configBytes)} of the configuration, expected ${manifest.config.digest}`,
      );
    }
    const config = parseConfig(configBytes);
    const diffIds = config.rootfs.diff_ids;
    if (diffIds.length !== manifest.layers.length) throw new Error("mismatched image rootfs and manifest layers");
    using _held = await unpackAll(
      manifest.layers.map((layer, i) => ({
        diffId: diffIds[i] as string,
        blobDigest: layer.digest,
        open: () => source.blob(layer.digest),
      })),
    );
    return await commit({
      id: manifest.config.digest,
      repoTags: names.tags,
      repoDigests: names.digests,
      size: manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size),
      layers: diffIds,
      config: config.config ?? {},
    });
  };

  const pullNow = async (
    ref: ImageReference,
    auth: AuthConfig | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ImageRecord> => {
    const full = formatImageReference(ref);
    const host = options.registries?.[ref.domain];
    const repository: Repository = openRepository(ref, { auth, host });
    try {
      const top = await repository.manifest(ref.digest ?? ref.tag ?? "latest", signal);
      const source: BlobSource = {
        manifest: async (digest) => (await repository.manifest(digest, signal)).bytes,
        blob: (digest) => repository.blob(digest, signal),
      };
      return await addManifest(source, top.bytes, {
        tags: ref.digest === undefined ? [full] : [],
        digests: [`${ref.domain}/${ref.path}@${top.digest}`],
      });
    } catch (error) {
      if (error instanceof CriError && error.message.startsWith("failed to pull")) throw error;
      const code = error instanceof CriError ? error.code : "UNKNOWN";
      throw new CriError(code, `failed to pull and unpack image "${full}": ${messageOf(error)}`, { cause: error });
    }
  };

  const find = (reference: string): ImageRecord | undefined => {
    if (isImageId(reference)) return images.get(reference.startsWith("sha256:") ? reference : `sha256:${reference}`);
    const ref = parseImageReference(reference);
    const full = formatImageReference(ref);
    for (const image of images.values()) {
      if ((ref.digest === undefined ? image.repoTags : image.repoDigests).includes(full)) return image;
    }
    return undefined;
  };

  return {
    layers,
    sweep: () => inTurn(sweep),
    list: () => [...images.values()],
    find,
    pull(reference, { auth, signal } = {}) {
      const ref = parseImageReference(reference);
      // Two callers with different credentials must not share an answer.
      const key = `${formatImageReference(ref)} ${auth === undefined ? "" : sha256(Buffer.from(JSON.stringify(auth)))}`;
      let running = pulls.get(key);
      if (running === undefined) {
        running = pullNow(ref, auth, signal).finally(() => pulls.delete(key));
        pulls.set(key, running);
      }
      return running;
    },
    addFrom: async (source, manifest, names) => addManifest(source, await source.manifest(manifest.digest), names),
    async addParts({ config: configBytes, layers: parts, tags }) {
      const config = parseConfig(configBytes);
      const diffIds = config.rootfs.diff_ids;
      if (diffIds.length !== parts.length) throw new Error("mismatched image rootfs and manifest layers");
      using _held = await unpackAll(
        parts.map((part, i) => ({ diffId: diffIds[i] as string, open: () => part.open() })),
      );
      const size = parts.reduce((sum, part) => sum + part.size, configBytes.length);
      return await commit({
        id: sha256(configBytes),
        repoTags: tags,
        repoDigests: [],
        size,
        layers: diffIds,
        config: config.config ?? {},
      });
    },
    remove: (reference) =>
      inTurn(async () => {
        const record = find(reference);
        if (record === undefined) return;
        if (isImageId(reference)) await drop(record.id);
        else {
          const full = formatImageReference(parseImageReference(reference));
          const repoTags = record.repoTags.filter((tag) => tag !== full);
          const repoDigests = record.repoDigests.filter((digest) => digest !== full);
          if (repoTags.length === 0) await drop(record.id);
          else await save({ ...record, repoTags, repoDigests });
        }
        await sweep();
      }),
    async usage() {
      let usedBytes = 0;
      for (const image of images.values()) usedBytes += image.size;
      // Counting every inode would cost more than the answer is worth: the file system knows its own.
      const { files, ffree } = await statfs(options.folder);
      return { folder: options.folder, usedBytes, inodesUsed: files - ffree, timestamp: options.clock.now() };
    },
  };
}
