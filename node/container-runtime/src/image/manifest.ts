/** What names one blob. */
export interface Descriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string; readonly variant?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ImageManifest {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
}

/** The part of an image's configuration that running it needs. */
export interface ImageConfig {
  readonly architecture?: string;
  readonly os?: string;
  readonly config?: {
    readonly User?: string;
    readonly Env?: readonly string[] | null;
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly WorkingDir?: string;
    readonly StopSignal?: string;
    readonly Volumes?: Readonly<Record<string, unknown>> | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly string[] };
}

export const MANIFEST_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm", ia32: "386" };

/** Architecture of this process in the words of image manifests. */
export const hostArchitecture: string = ARCHITECTURES[process.arch] ?? process.arch;

export function isIndex(document: ImageManifest | ImageIndex): document is ImageIndex {
  return "manifests" in document && Array.isArray(document.manifests);
}

/** The entry of an index for this platform; entries without one (single-image layouts) fit any. */
export function selectPlatform(index: ImageIndex, architecture = hostArchitecture): Descriptor | undefined {
  return (
    index.manifests.find((m) => m.platform?.os === "linux" && m.platform.architecture === architecture) ??
    index.manifests.find((m) => m.platform === undefined)
  );
}
