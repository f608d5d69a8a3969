import { parseTable } from "@coracle/api";
import type { JsonObject } from "@coracle/apimachinery";
import type { CellsOf } from "../server/table/cell-values.ts";

/** A column of a table. */
export interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

/** How a custom resource is shown as a table. */
export interface CatalogTable {
  readonly columns: readonly TableColumn[];
  readonly cellsOf: CellsOf;
}

/** A subresource as discovery shows it. */
export interface CatalogSubresource {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

/** One served resource in one version. */
export interface CatalogResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Absent for kinds that are created only. */
  readonly listKind: string | undefined;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly storageVersionHash: string | undefined;
  readonly subresources: ReadonlyMap<string, CatalogSubresource>;
  /** Custom resources take no strategic merge patch and no protobuf. */
  readonly isCustom: boolean;
  /** What is answered, where discovery shows less: of definitions that are going. */
  readonly answeredVerbs?: readonly string[];
  /** Of custom resources. */
  readonly table?: CatalogTable;
  /** What whoever uses this version is told. */
  readonly deprecation?: string | undefined;
}

export interface CatalogGroup {
  /** `""` for core. */
  readonly name: string;
  /** Best first. */
  readonly versions: readonly string[];
  /** Nothing in it is built in. */
  readonly isCustom?: boolean;
}

/** What the server serves. Changes when custom resources come and go; `revision` then rises. */
export interface Catalog {
  readonly revision: number;
  readonly groups: readonly CatalogGroup[];
  find(group: string, version: string, plural: string): CatalogResource | undefined;
  hasGroupVersion(group: string, version: string): boolean;
  /** Resources of a group and version, in the order of discovery (by name). */
  resources(group: string, version: string): readonly CatalogResource[];
  /** Aggregated discovery's entry of a group and version that another server answers for. */
  remoteVersion?(group: string, version: string): JsonObject | undefined;
}

interface TableSubresource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

interface TableResource extends Omit<CatalogResource, "subresources" | "listKind" | "isCustom"> {
  readonly listKind: string | null;
  readonly enabledByDefault: boolean;
  readonly subresources?: Readonly<Record<string, TableSubresource>>;
}

interface ResourcesTable {
  readonly groups: Readonly<
    Record<
      string,
      {
        readonly group: string;
        readonly versions: readonly {
          readonly version: string;
          readonly groupPriorityMinimum: number | null;
          readonly versionPriority: number | null;
          readonly enabledByDefault: boolean;
        }[];
      }
    >
  >;
  readonly resources: Readonly<Record<string, TableResource>>;
}

/** The aggregation layer's own group leads the list of groups. */
const FIRST_GROUP_PRIORITY = 20_000;
/** Served by an add-on behind the aggregation layer, not by this server. */
const NOT_OURS = new Set(["metrics.k8s.io"]);

/** The built-in resources that v1.35 serves by default, or those that `isServed` names. */
export function loadBuiltInCatalog(
  isServed: (row: {
    readonly group: string;
    readonly version: string;
    readonly plural: string;
    readonly enabledByDefault: boolean;
  }) => boolean = ({ enabledByDefault }) => enabledByDefault,
): Catalog {
  const table = parseTable("resources") as ResourcesTable;
  const byKey = new Map<string, CatalogResource>();
  const byGroupVersion = new Map<string, CatalogResource[]>();
  for (const row of Object.values(table.resources)) {
    if (!isServed(row) || NOT_OURS.has(row.group)) continue;
    const subresources = Object.entries(row.subresources ?? {}).map(([name, sub]): [string, CatalogSubresource] => [
      name,
      { name, ...sub },
    ]);
    const resource: CatalogResource = {
      group: row.group,
      version: row.version,
      kind: row.kind,
      listKind: row.listKind ?? undefined,
      plural: row.plural,
      singular: row.singular,
      shortNames: row.shortNames,
      categories: row.categories,
      namespaced: row.namespaced,
      verbs: row.verbs,
      storageVersionHash: row.storageVersionHash,
      subresources: new Map(subresources.toSorted(([a], [b]) => (a < b ? -1 : 1))),
      isCustom: false,
    };
    byKey.set(`${row.group}/${row.version}/${row.plural}`, resource);
    const groupVersion = `${row.group}/${row.version}`;
    const list = byGroupVersion.get(groupVersion);
    if (list === undefined) byGroupVersion.set(groupVersion, [resource]);
    else list.push(resource);
  }
  for (const list of byGroupVersion.values()) list.sort((a, b) => (a.plural < b.plural ? -1 : 1));

  const groups = Object.values(table.groups)
    .map((group) => ({
      name: group.group,
      priority: Math.max(...group.versions.map((v) => v.groupPriorityMinimum ?? FIRST_GROUP_PRIORITY)),
      versions: group.versions
        .filter((v) => byGroupVersion.has(`${group.group}/${v.version}`))
        .toSorted((a, b) => (b.versionPriority ?? 0) - (a.versionPriority ?? 0))
        .map((v) => v.version),
    }))
    .filter((group) => group.versions.length > 0)
    .toSorted((a, b) => b.priority - a.priority);

  return {
    revision: 1,
    groups,
    find: (group, version, plural) => byKey.get(`${group}/${version}/${plural}`),
    hasGroupVersion: (group, version) => byGroupVersion.has(`${group}/${version}`),
    resources: (group, version) => byGroupVersion.get(`${group}/${version}`) ?? [],
  };
}
