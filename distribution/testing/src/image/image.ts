import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { tarArchive, type TarMember } from "./tar-archive.ts";

/** Bytes under their digest. */
export interface Blob {
  readonly mediaType: string;
  /** `sha256:…` */
  readonly digest: string;
  readonly content: Buffer;
}

/** One layer: compressed as a registry serves it, and the digest of what is inside. */
export interface Layer extends Blob {
  readonly diffId: string;
}

/** How a container of the image starts unless the pod says otherwise. */
export interface ImageConfig {
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: readonly string[];
  readonly workingDir?: string;
  readonly user?: string;
}

/** An OCI image: everything a registry or an archive has to hold of it. */
export interface Image {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Layer[];
}

const OCI = "application/vnd.oci.image";

export const sha256 = (content: Buffer): string => `sha256:${createHash("sha256").update(content).digest("hex")}`;

const blob = (mediaType: string, content: Buffer): Blob => ({ mediaType, digest: sha256(content), content });

/** Packs files into a layer. */
export function makeLayer(members: readonly TarMember[]): Layer {
  const tar = tarArchive(members);
  return { ...blob(`${OCI}.layer.v1.tar+gzip`, gzipSync(tar, { level: 1 })), diffId: sha256(tar) };
}

/** Joins layers, lowest first, and a configuration into an image. */
export function makeImage(layers: readonly Layer[], start: ImageConfig = {}): Image {
  const config = blob(
    `${OCI}.config.v1+json`,
    Buffer.from(
      JSON.stringify({
        architecture: process.arch === "x64" ? "amd64" : process.arch,
        os: "linux",
        config: {
          Env: start.env ?? ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
          ...(start.entrypoint === undefined ? {} : { Entrypoint: start.entrypoint }),
          ...(start.cmd === undefined ? {} : { Cmd: start.cmd }),
          ...(start.workingDir === undefined ? {} : { WorkingDir: start.workingDir }),
          ...(start.user === undefined ? {} : { User: start.user }),
        },
        rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
      }),
    ),
  );
  const manifest = blob(
    `${OCI}.manifest.v1+json`,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: `${OCI}.manifest.v1+json`,
        config: descriptor(config),
        layers: layers.map(descriptor),
      }),
    ),
  );
  return { manifest, config, layers };
}

function descriptor({ mediaType, digest, content }: Blob): object {
  return { mediaType, digest, size: content.length };
}

/** One archive with images under their names: an OCI layout that is a `docker save` archive, too. */
export function imageArchive(images: Readonly<Record<string, Image>>): Buffer {
  const blobs = new Map<string, Blob>();
  for (const { manifest, config, layers } of Object.values(images))
    for (const part of [manifest, config, ...layers]) blobs.set(part.digest, part);
  const pathOf = ({ digest }: Blob): string => `blobs/${digest.replace(":", "/")}`;
  const json = (path: string, value: unknown): TarMember => ({ path, content: Buffer.from(JSON.stringify(value)) });
  return tarArchive([
    json("oci-layout", { imageLayoutVersion: "1.0.0" }),
    json("index.json", {
      schemaVersion: 2,
      manifests: Object.entries(images).map(([name, { manifest }]) => ({
        ...descriptor(manifest),
        annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": tagOf(name) },
      })),
    }),
    json(
      "manifest.json",
      Object.entries(images).map(([name, { config, layers }]) => ({
        Config: pathOf(config),
        RepoTags: [name],
        Layers: layers.map(pathOf),
      })),
    ),
    ...[...blobs.values()].map((part): TarMember => ({ path: pathOf(part), content: part.content })),
  ]);
}

function tagOf(name: string): string {
  const tag = /:([^/:]+)$/.exec(name);
  return tag?.[1] ?? "latest";
}
