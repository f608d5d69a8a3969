import { bindAuthorizer } from "@coracle/cel";
import type { Authorizer } from "../../authorization/authorizer.ts";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { celAuthorizer } from "../expressions/cel-authorizer.ts";
import { admissionReview } from "../webhook/admission-request.ts";
import type { PolicyBindings } from "./validating-policy.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };

/** The namespace a request is in, for expressions; null for what is in none. Throws an Error when it is gone. */
export async function namespaceOfRequest(
  { group, resource, namespace }: AdmissionAttributes,
  objects: RegistryReader,
): Promise<ApiObject | null> {
  if (namespace === "" || (group === "" && resource === "namespaces")) return null;
  const found = await objects.get(NAMESPACES, "", namespace);
  if (found === undefined) throw new Error(`namespaces "${namespace}" not found`);
  return found;
}

/** What the expressions of a policy see of a request. */
export function bindRequest(
  attributes: AdmissionAttributes,
  as: ServedVersion,
  seen: {
    readonly object: unknown;
    readonly oldObject: unknown;
    readonly namespace: unknown;
    readonly params: unknown;
  },
  authorizer: Authorizer,
): PolicyBindings {
  const { group, resource, subresource, namespace, name, context } = attributes;
  const { request } = admissionReview("v1", "", { attributes, as, object: undefined, oldObject: undefined });
  const withoutAuthorizer = {
    object: seen.object ?? null,
    oldObject: seen.oldObject ?? null,
    params: seen.params,
    request,
    namespaceObject: seen.namespace,
  };
  const asked = bindAuthorizer(celAuthorizer(authorizer, context.user), {
    group,
    resource,
    subresource,
    namespace,
    name,
  });
  const full = {
    ...withoutAuthorizer,
    authorizer: asked.authorizer,
    "authorizer.requestResource": asked.requestResource,
  };
  return { full, withoutAuthorizer };
}
