import { forbidden, notFound, StatusError } from "@coracle/apimachinery";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { AdmissionPlugin } from "./plugin.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };
const IMMORTAL = new Set(["default", "kube-system", "kube-public"]);
/** May be asked for in a namespace that is gone or going. */
const ACCESS_REVIEWS = { group: "authorization.k8s.io", resource: "localsubjectaccessreviews" };

/** Nothing is created in a namespace that does not exist or is being deleted; three namespaces stay. */
export function namespaceLifecycle(objects: RegistryReader): AdmissionPlugin {
  function check(attributes: AdmissionAttributes, found: ApiObject | undefined): void {
    const { namespace } = attributes;
    if (found === undefined) throw notFound({ group: "", resource: "namespaces" }, namespace);
    const status = found["status"] as { phase?: string } | undefined;
    if (found.metadata["deletionTimestamp"] === undefined && status?.phase !== "Terminating") return;
    const error = forbidden(
      { group: attributes.group, resource: attributes.resource },
      attributes.name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
    const cause = {
      reason: "NamespaceTerminating",
      message: `namespace ${namespace} is being terminated`,
      field: "metadata.namespace",
    };
    throw new StatusError({ ...error.status, details: { ...error.status.details, causes: [cause] } });
  }

  return {
    name: "NamespaceLifecycle",
    scope: { operations: ["CREATE", "UPDATE", "DELETE"] },
    admit(attributes) {
      const isNamespace = attributes.group === "" && attributes.resource === "namespaces";
      if (attributes.operation === "DELETE" && isNamespace && IMMORTAL.has(attributes.name)) {
        throw forbidden({ group: "", resource: "namespaces" }, attributes.name, "this namespace may not be deleted");
      }
      if (attributes.operation !== "CREATE" || isNamespace || attributes.namespace === "") return undefined;
      if (attributes.resource === ACCESS_REVIEWS.resource && attributes.group === ACCESS_REVIEWS.group)
        return undefined;
      const found = objects.find(NAMESPACES, "", attributes.namespace);
      if (found instanceof Promise) return found.then((namespace) => check(attributes, namespace));
      check(attributes, found);
      return undefined;
    },
  };
}
