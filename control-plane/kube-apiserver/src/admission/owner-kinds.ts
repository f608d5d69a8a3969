import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import { readResourceCatalog } from "../registry/resource-catalog.ts";

const DEFINITIONS = { group: "apiextensions.k8s.io", version: "v1", plural: "customresourcedefinitions" };

/** A resource that serves a kind. */
export interface KindMapping {
  readonly plural: string;
  readonly namespaced: boolean;
}

/** The resources that serve a kind, built in or custom. */
export async function mappingsOf(
  objects: RegistryReader,
  group: string,
  version: string,
  kind: string,
): Promise<readonly KindMapping[]> {
  const builtIn = readResourceCatalog().filter(
    (entry) => entry.group === group && entry.version === version && entry.kind === kind,
  );
  if (builtIn.length > 0) return builtIn;
  const definitions = (await objects.list(DEFINITIONS)) as unknown as readonly CustomResourceDefinition[];
  return definitions
    .filter(
      ({ spec }) =>
        spec.group === group &&
        spec.names.kind === kind &&
        spec.versions.some(({ name, served }) => name === version && served),
    )
    .map(({ spec }) => ({ plural: spec.names.plural, namespaced: spec.scope === "Namespaced" }));
}
