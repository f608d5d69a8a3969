import { openLineTable } from "@coracle/api";

/** A member or type as the API tables write it: OpenAPI with the Kubernetes extensions. */
export interface Definition {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Definition>>;
  readonly items?: Definition;
  readonly additionalProperties?: Definition;
  readonly enum?: readonly string[];
  readonly "x-kubernetes-group-version-kind"?: readonly GroupVersionKind[];
  readonly "x-kubernetes-patch-strategy"?: string;
  readonly "x-kubernetes-patch-merge-key"?: string;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: "atomic" | "granular";
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** Where an engine finds definitions; asked once for each name. */
export interface DefinitionSource {
  find(name: string): Definition | undefined;
  /** Members of the definition that JSON leaves out when zero. */
  omittedWhenZero(name: string): readonly string[];
  /** The definition of a kind. */
  nameOf(gvk: GroupVersionKind): string | undefined;
}

/** The tables of the built-in API. Reads the table file at once, definitions as they are asked for. */
export function openBuiltInDefinitions(): DefinitionSource {
  const schema = openLineTable("schema");
  const zero = openLineTable("go-zero");
  let byKind: Map<string, string> | undefined;
  const indexKinds = (): Map<string, string> => {
    const index = new Map<string, string>();
    for (const name of schema.names("definitions")) {
      const text = schema.text("definitions", name) ?? "";
      const at = text.indexOf('"x-kubernetes-group-version-kind":');
      if (at === -1) continue;
      const list = text.slice(at + 34, text.indexOf("]", at) + 1);
      for (const gvk of JSON.parse(list) as GroupVersionKind[]) index.set(keyOf(gvk), name);
    }
    return index;
  };
  return {
    find: (name) => schema.entry("definitions", name) as Definition | undefined,
    omittedWhenZero: (name) => (zero.entry("definitions", name) as readonly string[] | undefined) ?? [],
    nameOf: (gvk) => (byKind ??= indexKinds()).get(keyOf(gvk)),
  };
}

const keyOf = ({ group, version, kind }: GroupVersionKind): string => `${group}/${version}/${kind}`;
