import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import type { Draft } from "@coracle/apimachinery";
import type { AdmissionVersions } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { Converter } from "./conversion-review.ts";
import { acceptedNames } from "./definition.ts";

/** The served versions of a custom resource, for admission webhooks that know another one than the request's. */
export function admissionVersionsOf(crd: CustomResourceDefinition, convert: Converter | undefined): AdmissionVersions {
  const { group } = crd.spec;
  const { plural, kind } = acceptedNames(crd);
  const served = crd.spec.versions.filter((version) => version.served);
  return {
    equivalents: (_group, _resource, subresource) =>
      served.map(({ name }) => ({
        group,
        version: name,
        resource: plural,
        kind:
          subresource === "scale"
            ? { group: "autoscaling", version: "v1", kind: "Scale" }
            : { group, version: name, kind },
      })),
    async convert(_group, _resource, object, to) {
      const apiVersion = `${group}/${to.version}`;
      if (convert === undefined) return { ...object, apiVersion };
      const [converted] = await convert([object as unknown as ApiObject], apiVersion);
      return converted as Draft;
    },
  };
}
