import { parseTable } from "@coracle/api";

/** The names of a kind. */
export interface TypeName {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** One subresource, as the API tables list it. */
export interface SubresourceEntry extends TypeName {
  readonly verbs: readonly string[];
}

/** One served resource, as the API tables list it. */
export interface ResourceEntry extends TypeName {
  readonly listKind?: string | undefined;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames?: readonly string[] | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly subresources?: Readonly<Record<string, SubresourceEntry>> | undefined;
  readonly enabledByDefault: boolean;
  /** `GROUP/VERSION` objects are stored in. */
  readonly storageVersion?: string | undefined;
  /** Absent: never stored. */
  readonly etcdPrefix?: string | undefined;
}

/** Every resource that is served by default, in the table's order. */
export function readResourceCatalog(
  isServed: (entry: ResourceEntry) => boolean = ({ enabledByDefault }) => enabledByDefault,
): readonly ResourceEntry[] {
  const table = parseTable("resources") as { readonly resources: Readonly<Record<string, ResourceEntry>> };
  return Object.values(table.resources).filter(isServed);
}

/** `pods`, `deployments.apps`: the key of definitions and handlers, with the version. */
export function resourceKey(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}
