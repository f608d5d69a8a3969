import { forbiddenField, isObject, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../registry/resource-definition.ts";

/** Where kinds keep the spec of a pod. */
const POD_SPECS: Readonly<Record<string, string>> = {
  pods: "spec",
  podtemplates: "template.spec",
  replicationcontrollers: "spec.template.spec",
  deployments: "spec.template.spec",
  replicasets: "spec.template.spec",
  statefulsets: "spec.template.spec",
  daemonsets: "spec.template.spec",
  jobs: "spec.template.spec",
  cronjobs: "spec.jobTemplate.spec.template.spec",
};

function privilegedContainers(object: ApiObject, path: string): FieldError[] {
  let spec: unknown = object;
  for (const member of path.split(".")) spec = isObject(spec) ? spec[member] : undefined;
  if (!isObject(spec)) return [];
  const found: FieldError[] = [];
  for (const list of ["initContainers", "containers", "ephemeralContainers"]) {
    const containers = spec[list];
    if (!Array.isArray(containers)) continue;
    for (const [i, container] of containers.entries()) {
      const context: unknown = isObject(container) ? container["securityContext"] : undefined;
      if (isObject(context) && context["privileged"] === true)
        found.push(forbiddenField(`${path}.${list}[${i}].securityContext.privileged`, "disallowed by cluster policy"));
    }
  }
  return found;
}

/** The same kinds, in a cluster where no container may be privileged. */
export function withoutPrivilege(definitions: readonly ResourceDefinition[]): ResourceDefinition[] {
  return definitions.map((definition) => {
    const path = POD_SPECS[definition.plural];
    if (path === undefined) return definition;
    return {
      ...definition,
      validate: (object, context) => [
        ...(definition.validate?.(object, context) ?? []),
        ...privilegedContainers(object, path),
      ],
    };
  });
}
