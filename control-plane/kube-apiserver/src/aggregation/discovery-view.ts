import type { JsonObject } from "@coracle/apimachinery";
import type { Catalog, CatalogGroup } from "../discovery/catalog.ts";
import { sortedGroups, type RegisteredService } from "./api-service.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";
import { customServiceSpec } from "./auto-registration.ts";

/** The group of the aggregation layer itself, which nobody registers and which leads every list. */
const OWN_GROUP = "apiregistration.k8s.io";

export interface DiscoveryViewOptions {
  readonly catalog: Catalog;
  readonly index: ApiServiceIndex;
  /** What another server says of a group version. */
  readonly remote: (name: string) => JsonObject | undefined;
  /** Rises when what `remote` answers changes. */
  readonly remoteRevision: () => number;
}

type Ranked = Pick<RegisteredService, "name" | "group" | "version" | "groupPriority" | "versionPriority">;

/** A catalog as discovery shows it: everything registered, by everybody's priorities, with what is served elsewhere. */
export interface DiscoveryCatalog extends Catalog {
  /** The entry of a group version that another server answers for. */
  remoteVersion(group: string, version: string): JsonObject | undefined;
}

export function createDiscoveryView({
  catalog,
  index,
  remote,
  remoteRevision,
}: DiscoveryViewOptions): DiscoveryCatalog {
  let seen = "";
  let revision = 0;
  let groups: readonly CatalogGroup[] = [];

  function ranked(): Ranked[] {
    const services: Ranked[] = [];
    for (const service of index.all()) services.push(service);
    // What was established a moment ago is registered a moment later.
    for (const { name: group, versions } of catalog.groups) {
      for (const version of versions) {
        const name = `${version}.${group}`;
        if (index.get(name) !== undefined || catalog.resources(group, version)[0]?.isCustom !== true) continue;
        const { groupPriorityMinimum, versionPriority } = customServiceSpec(group, version);
        services.push({
          name,
          group,
          version,
          groupPriority: groupPriorityMinimum as number,
          versionPriority: versionPriority as number,
        });
      }
    }
    return services;
  }

  function refresh(): void {
    const state = `${catalog.revision} ${index.revision} ${remoteRevision()}`;
    if (state === seen) return;
    seen = state;
    revision += 1;
    const own = catalog.groups.filter(({ name }) => name === OWN_GROUP);
    const registered = sortedGroups(ranked()).filter(([first]) => first!.group !== OWN_GROUP);
    groups = [
      ...own,
      ...registered.map((versions) => ({
        name: versions[0]!.group,
        versions: versions.map(({ version }) => version),
      })),
    ];
  }

  const isRemote = (group: string, version: string): boolean => index.remotes.has(`${version}.${group}`);
  return {
    get revision() {
      refresh();
      return revision;
    },
    get groups() {
      refresh();
      return groups;
    },
    find: (group, version, plural) => (isRemote(group, version) ? undefined : catalog.find(group, version, plural)),
    hasGroupVersion: (group, version) => catalog.hasGroupVersion(group, version),
    resources: (group, version) => (isRemote(group, version) ? [] : catalog.resources(group, version)),
    remoteVersion(group, version) {
      if (!isRemote(group, version)) return undefined;
      return remote(`${version}.${group}`) ?? { version, freshness: "Stale" };
    },
  };
}
