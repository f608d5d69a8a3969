import { CriError } from "../cri-error.ts";

/** A reference to an image in a registry, in full form. */
export interface ImageReference {
  /** `docker.io`, `127.0.0.1:5000` … */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const TAG = /^\w[\w.-]{0,127}$/;
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const DOMAIN = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d+)?$/;

/** Reads a reference as Docker does: `busybox` is `docker.io/library/busybox:latest`. Throws for what is none. */
export function parseImageReference(text: string): ImageReference {
  const bad = (): never => {
    throw new CriError("INVALID_ARGUMENT", `failed to parse image reference "${text}": invalid reference format`);
  };
  let rest = text;
  let digest: string | undefined;
  const at = rest.indexOf("@");
  if (at !== -1) {
    digest = rest.slice(at + 1);
    if (!DIGEST.test(digest)) bad();
    rest = rest.slice(0, at);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(":");
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    if (!TAG.test(tag)) bad();
    rest = rest.slice(0, colon);
  }
  const slash = rest.indexOf("/");
  const first = slash === -1 ? "" : rest.slice(0, slash);
  const hasDomain = first === "localhost" || /[.:[]/.test(first) || first !== first.toLowerCase();
  let domain = hasDomain ? first : "docker.io";
  let path = hasDomain ? rest.slice(slash + 1) : rest;
  if (domain === "index.docker.io") domain = "docker.io";
  if (domain === "docker.io" && !path.includes("/")) path = `library/${path}`;
  if (!DOMAIN.test(domain) || !PATH.test(path) || /^[0-9a-f]{64}$/.test(text)) bad();
  if (tag === undefined && digest === undefined) tag = "latest";
  return { domain, path, tag, digest };
}

/** The full text of a reference; a digest wins over a tag, as in a repository digest. */
export function formatImageReference(ref: ImageReference): string {
  const name = `${ref.domain}/${ref.path}`;
  if (ref.digest !== undefined) return `${name}@${ref.digest}`;
  return `${name}:${ref.tag ?? "latest"}`;
}

/** True for an image id, with or without `sha256:`. */
export function isImageId(text: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{64}$/.test(text);
}
