import { parseTable } from "../tables.ts";

/** A served resource, as the documents describe it. */
export interface OpenApiResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Absent for kinds that are created only. */
  readonly listKind?: string | null;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly subresources?: Readonly<
    Record<
      string,
      { readonly group: string; readonly version: string; readonly kind: string; readonly verbs: readonly string[] }
    >
  >;
  /** The types of a custom resource, whose references name definitions; absent for built-in kinds, which the tables have. */
  readonly types?: { readonly v2: object; readonly v3: object; readonly list: object };
}

/** Whether the resource is one that users have defined. */
export const isCustom = ({ types }: OpenApiResource): boolean => types !== undefined;

/** A built-in resource, and whether it is served unless told otherwise. */
export type BuiltInOpenApiResource = OpenApiResource & { readonly enabledByDefault: boolean };

/** The built-in resources that are served. */
export function builtInOpenApiResources(
  isServed: (resource: BuiltInOpenApiResource) => boolean = ({ enabledByDefault }) => enabledByDefault,
): readonly OpenApiResource[] {
  const { resources } = parseTable("resources") as {
    readonly resources: Readonly<Record<string, BuiltInOpenApiResource>>;
  };
  return Object.values(resources).filter((resource) => resource.group !== "metrics.k8s.io" && isServed(resource));
}
