import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { join, normalize } from "node:path";
import type { Readable } from "node:stream";
import { run } from "@coracle/linux";
import { CriError } from "../cri-error.ts";
import type { ImageStore } from "./image-store.ts";
import type { ImageIndex } from "./manifest.ts";
import { formatImageReference, parseImageReference } from "./reference.ts";

/** One entry of the `manifest.json` that `docker save` writes. */
interface SavedImage {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

const NAME_ANNOTATIONS = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/**
 * Adds the images of an archive: a tar of an OCI layout, or what `docker save` writes (compressed or not).
 * A bare tag as an OCI layout's name gives no reference of its own; such an image is known by its id. Gives the
 * names that were added.
 */
export async function importImageArchive(store: ImageStore, file: string, workFolder: string): Promise<string[]> {
  const folder = await mkdtemp(join(workFolder, "import-"));
  try {
    await run("tar", ["-x", "-f", file, "-C", folder, "--no-same-owner"]);
    const saved = await readOptional(join(folder, "manifest.json"));
    // Newer archives carry both forms; the layout then lacks the tags.
    if (saved !== undefined) return await importSaved(store, folder, JSON.parse(saved) as SavedImage[]);
    const index = await readOptional(join(folder, "index.json"));
    if (index !== undefined) return await importLayout(store, folder, JSON.parse(index) as ImageIndex);
    throw new CriError("INVALID_ARGUMENT", `${file}: neither an OCI image layout nor an archive of docker save`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function inside(folder: string, name: string): string {
  const path = normalize(join(folder, name));
  if (!path.startsWith(`${folder}/`))
    throw new CriError("INVALID_ARGUMENT", `the archive names a file outside itself: ${name}`);
  return path;
}

const normalizeName = (name: string): string => formatImageReference(parseImageReference(name));

async function importSaved(store: ImageStore, folder: string, images: readonly SavedImage[]): Promise<string[]> {
  const added: string[] = [];
  for (const image of images) {
    const layers = await Promise.all(
      image.Layers.map(async (name) => {
        const path = inside(folder, name);
        return {
          size: (await stat(path)).size,
          open: (): Promise<Readable> => Promise.resolve(createReadStream(path)),
        };
      }),
    );
    const config = await readFile(inside(folder, image.Config));
    const tags = (image.RepoTags ?? []).map(normalizeName);
    const record = await store.addParts({ config, layers, tags });
    added.push(...(tags.length === 0 ? [record.id] : tags));
  }
  return added;
}

async function importLayout(store: ImageStore, folder: string, index: ImageIndex): Promise<string[]> {
  const pathOf = (digest: string): string => inside(folder, join("blobs", digest.replace(":", "/")));
  const source = {
    manifest: (digest: string) => readFile(pathOf(digest)),
    blob: (digest: string): Promise<Readable> => Promise.resolve(createReadStream(pathOf(digest))),
  };
  const added: string[] = [];
  for (const entry of index.manifests) {
    const name = NAME_ANNOTATIONS.map((key) => entry.annotations?.[key]).find(
      (text) => text !== undefined && /[/:]/.test(text),
    );
    const tags = name === undefined ? [] : [normalizeName(name)];
    const ref = name === undefined ? undefined : parseImageReference(name);
    const digests = ref === undefined ? [] : [`${ref.domain}/${ref.path}@${entry.digest}`];
    const record = await store.addFrom(source, entry, { tags, digests });
    added.push(tags[0] ?? record.id);
  }
  return added;
}
