import type { Secret } from "@coracle/api/core/v1";
import type { AuthConfig } from "@coracle/api/cri";

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
}

/** The registry host of an image name: `docker.io` when it has none. */
export function registryOf(image: string): string {
  const slash = image.indexOf("/");
  const first = slash === -1 ? "" : image.slice(0, slash);
  return first.includes(".") || first.includes(":") || first === "localhost" ? first : "docker.io";
}

/** The image name with the registry, repository and tag that it stands for; throws for what is no image name. */
export function normalizeImage(image: string): string {
  const match = /^([a-zA-Z0-9][\w.:/-]*?)(?::([\w][\w.-]{0,127}))?(@sha256:[0-9a-f]{64})?$/.exec(image);
  const path = match?.[1];
  if (path === undefined || /\/\/|\/$|:$/.test(path)) throw new Error("invalid reference format");
  const host = registryOf(image);
  const repository = path.startsWith(`${host}/`) ? path.slice(host.length + 1) : path;
  if (repository !== repository.toLowerCase()) {
    throw new Error("invalid reference format: repository name must be lowercase");
  }
  const full = host === "docker.io" && !repository.includes("/") ? `library/${repository}` : repository;
  const tag = match?.[2] === undefined ? (match?.[3] === undefined ? ":latest" : "") : `:${match[2]}`;
  return `${host}/${full}${tag}${match?.[3] ?? ""}`;
}

/** Tells a key of a docker configuration (`https://index.docker.io/v1/`, `*.example.com/team`) from an image. */
function matches(key: string, image: string): boolean {
  const plain = key
    .replace(/^https?:\/\//, "")
    .replace(/\/(v1|v2)\/?$/, "")
    .replace(/\/$/, "");
  const [host = "", ...path] = plain.split("/");
  const registry = registryOf(image);
  const isDocker = registry === "docker.io" && ["docker.io", "index.docker.io", "registry-1.docker.io"].includes(host);
  const pattern = host.split(".").map((part) => part.replaceAll(/[$()+?[\\\]^{|}]/g, "\\$&").replaceAll("*", "[^.]*"));
  if (!isDocker && !new RegExp(`^${pattern.join("\\.")}$`).test(registry)) return false;
  const repository = image.startsWith(`${registry}/`) ? image.slice(registry.length + 1) : image;
  return (
    path.length === 0 || `${repository}/`.startsWith(`${path.join("/")}/`) || repository.startsWith(path.join("/"))
  );
}

/** Credentials of pull secrets that fit an image, the most specific first. */
export function pullCredentials(image: string, secrets: readonly Secret[]): AuthConfig[] {
  const found: { readonly key: string; readonly auth: AuthConfig }[] = [];
  for (const secret of secrets) {
    const modern = secret.data?.[".dockerconfigjson"];
    const old = secret.data?.[".dockercfg"];
    const text = modern ?? old;
    if (text === undefined) continue;
    let auths: Readonly<Record<string, DockerAuth>>;
    try {
      const parsed = JSON.parse(Buffer.from(text, "base64").toString("utf8")) as { auths?: Record<string, DockerAuth> };
      auths = modern === undefined ? (parsed as Record<string, DockerAuth>) : (parsed.auths ?? {});
    } catch {
      continue; // a secret that is no docker configuration gives no credentials
    }
    for (const [key, entry] of Object.entries(auths)) {
      if (!matches(key, image)) continue;
      const [user = "", ...password] = Buffer.from(entry.auth ?? "", "base64")
        .toString("utf8")
        .split(":");
      found.push({
        key,
        auth: {
          username: entry.username ?? user,
          password: entry.password ?? password.join(":"),
          ...(entry.identitytoken === undefined ? {} : { identityToken: entry.identitytoken }),
          serverAddress: registryOf(image),
        },
      });
    }
  }
  return found.toSorted((a, b) => b.key.length - a.key.length).map(({ auth }) => auth);
}
