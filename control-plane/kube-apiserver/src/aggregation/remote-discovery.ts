import type { JsonObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { RemoteService } from "./api-service.ts";
import type { RemoteCaller } from "./remote-caller.ts";

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 16 * 1024 * 1024;
const ACCEPT = ["v2", "v2beta1"]
  .map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  .join(",");
const IS_AGGREGATED = /as=APIGroupDiscoveryList/;

/** A group version's entry of aggregated discovery, without its freshness. */
export type VersionDiscovery = JsonObject;

interface Kept {
  readonly versions: ReadonlyMap<string, VersionDiscovery>;
  readonly etag: string | undefined;
  readonly at: number;
}

/** What aggregated servers say they have. */
export interface RemoteDiscovery {
  /** Reads it again; resolves to whether anything is different. A server that cannot be reached is stale, without resources. */
  refresh(remote: RemoteService): Promise<boolean>;
  forget(name: string): void;
  /** Undefined: never read. */
  entry(name: string): VersionDiscovery | undefined;
}

type Resource = { readonly [member: string]: unknown };

const kindOf = (resource: Resource): JsonObject => ({
  group: (resource["group"] as string | undefined) ?? "",
  version: (resource["version"] as string | undefined) ?? "",
  kind: (resource["kind"] as string | undefined) ?? "",
});

/** A list of resources in the old form as an entry of the new one. */
export function fromResourceList(version: string, resources: readonly Resource[]): VersionDiscovery {
  const entries = new Map<string, JsonObject & { subresources?: JsonObject[] }>();
  for (const resource of resources) {
    const name = String(resource["name"]);
    if (name.includes("/")) continue;
    entries.set(name, {
      resource: name,
      responseKind: kindOf(resource),
      scope: resource["namespaced"] === true ? "Namespaced" : "Cluster",
      singularResource: (resource["singularName"] as string | undefined) ?? "",
      verbs: (resource["verbs"] ?? []) as string[],
      ...(resource["shortNames"] === undefined ? {} : { shortNames: resource["shortNames"] as string[] }),
      ...(resource["categories"] === undefined ? {} : { categories: resource["categories"] as string[] }),
    });
  }
  for (const resource of resources) {
    const [name = "", ...rest] = String(resource["name"]).split("/");
    if (rest.length === 0) continue;
    const entry = entries.get(name);
    if (entry === undefined) continue;
    (entry.subresources ??= []).push({
      subresource: rest.join("/"),
      responseKind: kindOf(resource),
      verbs: (resource["verbs"] ?? []) as string[],
    });
  }
  return { version, resources: [...entries.values()] as JsonObject[] };
}

function versionsOf(document: JsonObject): Map<string, VersionDiscovery> {
  const found = new Map<string, VersionDiscovery>();
  for (const item of (document["items"] ?? []) as readonly JsonObject[]) {
    const group = ((item["metadata"] as JsonObject | undefined)?.["name"] as string | undefined) ?? "";
    for (const version of (item["versions"] ?? []) as readonly JsonObject[]) {
      const { freshness: _, ...entry } = version;
      found.set(`${version["version"] as string}.${group}`, entry as VersionDiscovery);
    }
  }
  return found;
}

export function createRemoteDiscovery(caller: RemoteCaller, clock: Clock): RemoteDiscovery {
  const entries = new Map<string, VersionDiscovery>();
  const kept = new Map<string, Kept>();
  const keyOf = ({ service }: RemoteService): string => `${service.namespace}/${service.name}:${service.port}`;

  async function read(remote: RemoteService): Promise<VersionDiscovery> {
    const { name, group, version } = remote;
    const key = keyOf(remote);
    const known = kept.get(key);
    const at = await caller.locate(remote);
    const answer = await caller.ask(remote, at, {
      path: "/apis",
      user: { name: "system:kube-aggregator", groups: ["system:masters"] },
      headers: { accept: ACCEPT, ...(known?.etag === undefined ? {} : { "if-none-match": known.etag }) },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    });
    const empty = { version };
    if (answer.status === 304 && known !== undefined) return known.versions.get(name) ?? empty;
    if (answer.status === 503) throw new Error(`service ${key} returned non-success response code: 503`);
    if (answer.status === 200 && IS_AGGREGATED.test(String(answer.headers["content-type"] ?? ""))) {
      const versions = versionsOf(JSON.parse(answer.body.toString("utf8")) as JsonObject);
      const etag = answer.headers["etag"] as string | undefined;
      kept.set(key, { versions, etag, at: clock.monotonicMs() });
      return versions.get(name) ?? empty;
    }
    // A server that does not know the new form lists its resources in the old one.
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const user = { name: "system:kube-aggregator", groups: [] };
    const old = await caller.ask(remote, at, { path, user, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
    if (old.status !== 200) throw new Error(`failed to download legacy discovery for ${path}: ${old.status}`);
    const list = JSON.parse(old.body.toString("utf8")) as { readonly resources?: readonly Resource[] };
    return fromResourceList(version, list.resources ?? []);
  }

  return {
    async refresh(remote) {
      let entry: VersionDiscovery;
      try {
        if (!remote.isAvailable) throw new Error("service unavailable");
        entry = { ...(await read(remote)), freshness: "Current" };
      } catch {
        // The group version exists, and nobody knows what is in it: that is what clients are told.
        entry = { version: remote.version, freshness: "Stale" };
      }
      const before = entries.get(remote.name);
      entries.set(remote.name, entry);
      return JSON.stringify(before) !== JSON.stringify(entry);
    },
    forget: (name) => void entries.delete(name),
    entry: (name) => entries.get(name),
  };
}
