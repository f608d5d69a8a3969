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

/** The built-in resources that are served unless told otherwise. */
export function builtInOpenApiResources(): readonly OpenApiResource[] {
  const { resources } = parseTable("resources") as {
    readonly resources: Readonly<Record<string, OpenApiResource & { readonly enabledByDefault: boolean }>>;
  };
  return Object.values(resources).filter(
    (resource) => resource.enabledByDefault && resource.group !== "metrics.k8s.io",
  );
}
