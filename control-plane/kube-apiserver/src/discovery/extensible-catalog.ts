import type { Catalog, CatalogGroup, CatalogResource } from "./catalog.ts";

/** The built-in resources, and custom ones beside them. */
export interface ExtensibleCatalog extends Catalog {
  /** Takes the place of all custom resources there were. `compare`: which version of a group is the better one. */
  setCustom(resources: readonly CatalogResource[], compare: (a: string, b: string) => number): void;
  readonly custom: readonly CatalogResource[];
}

const keyOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`;

/** What is built in comes first: a custom resource never hides it. */
export function createExtensibleCatalog(builtIn: Catalog): ExtensibleCatalog {
  let revision = builtIn.revision;
  let custom: readonly CatalogResource[] = [];
  let groups = builtIn.groups;
  const byKey = new Map<string, CatalogResource>();
  const byGroupVersion = new Map<string, readonly CatalogResource[]>();

  return {
    get revision() {
      return revision;
    },
    get groups() {
      return groups;
    },
    get custom() {
      return custom;
    },
    find: (group, version, plural) => builtIn.find(group, version, plural) ?? byKey.get(keyOf(group, version, plural)),
    hasGroupVersion: (group, version) =>
      builtIn.hasGroupVersion(group, version) || byGroupVersion.has(`${group}/${version}`),
    resources: (group, version) => byGroupVersion.get(`${group}/${version}`) ?? builtIn.resources(group, version),
    setCustom(resources, compare) {
      revision++;
      custom = resources.filter(({ group, version, plural }) => builtIn.find(group, version, plural) === undefined);
      groups = withCustom(builtIn.groups, custom, compare);
      byKey.clear();
      byGroupVersion.clear();
      const lists = new Map<string, CatalogResource[]>();
      for (const resource of custom) {
        const { group, version, plural } = resource;
        byKey.set(keyOf(group, version, plural), resource);
        const name = `${group}/${version}`;
        const list = lists.get(name);
        if (list === undefined) lists.set(name, [...builtIn.resources(group, version), resource]);
        else list.push(resource);
      }
      for (const [name, list] of lists) {
        byGroupVersion.set(
          name,
          list.toSorted((a, b) => (a.plural < b.plural ? -1 : 1)),
        );
      }
    },
  };
}

/** Custom groups come last, in the order of their names. */
function withCustom(
  builtIn: readonly CatalogGroup[],
  custom: readonly CatalogResource[],
  compare: (a: string, b: string) => number,
): readonly CatalogGroup[] {
  const versions = new Map<string, Set<string>>();
  for (const { group, version } of custom) {
    const list = versions.get(group);
    if (list === undefined) versions.set(group, new Set([version]));
    else list.add(version);
  }
  const extended = builtIn.map((group) => {
    const more = versions.get(group.name);
    versions.delete(group.name);
    if (more === undefined) return group;
    const own = new Set(group.versions);
    return { ...group, versions: [...group.versions, ...[...more].filter((one) => !own.has(one)).sort(compare)] };
  });
  const added = [...versions].sort(([a], [b]) => (a < b ? -1 : 1));
  return [...extended, ...added.map(([name, list]) => ({ name, versions: [...list].sort(compare), isCustom: true }))];
}
