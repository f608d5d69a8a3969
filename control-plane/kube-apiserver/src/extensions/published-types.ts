import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import type { OpenApiResource } from "@coracle/api";
import { catalogResourceOf } from "./version-handler.ts";

const PRESERVED = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** The served versions of a definition, as the OpenAPI documents describe them. */
export function openApiResourcesOf(crd: CustomResourceDefinition): readonly OpenApiResource[] {
  return crd.spec.versions
    .filter(({ served }) => served)
    .map((version) => {
      const { subresources, ...resource } = catalogResourceOf(crd, version);
      return {
        group: resource.group,
        version: resource.version,
        kind: resource.kind,
        listKind: resource.listKind ?? null,
        plural: resource.plural,
        namespaced: resource.namespaced,
        verbs: resource.verbs,
        subresources: Object.fromEntries(subresources),
        schema:
          crd.spec.preserveUnknownFields === true
            ? PRESERVED
            : ((version.schema?.openAPIV3Schema as object) ?? PRESERVED),
      };
    });
}
