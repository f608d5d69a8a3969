import { forbidden } from "@coracle/apimachinery";
import type { RuntimeClass } from "@coracle/api/node/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const CLASSES = { group: "node.k8s.io", version: "v1", plural: "runtimeclasses" };

/** A pod carries the overhead and the node constraints of its runtime class. */
export function runtimeClass(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "RuntimeClass",
    scope: { operations: ["CREATE"], resources: ["/pods"] },
    async admit(attributes) {
      const spec = podSpecOf(attributes);
      const name = spec?.runtimeClassName;
      const refuse = (why: string): Error => forbidden({ group: "", resource: "pods" }, attributes.name, why);
      if (spec === undefined) return;
      if (!name) {
        if (spec.overhead !== undefined && Object.keys(spec.overhead).length > 0) {
          throw refuse("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
        }
        return;
      }
      const found = (await objects.get(CLASSES, "", name)) as unknown as RuntimeClass | undefined;
      if (found === undefined) throw refuse(`pod rejected: RuntimeClass "${name}" not found`);
      const fixed = found.overhead?.podFixed;
      if (fixed !== undefined) spec.overhead = { ...(fixed as Record<string, string>) };
      for (const [key, value] of Object.entries(found.scheduling?.nodeSelector ?? {})) {
        const own = spec.nodeSelector?.[key];
        if (own !== undefined && own !== value) {
          throw refuse(
            `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
          );
        }
        spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
      }
      for (const toleration of found.scheduling?.tolerations ?? []) {
        const same = JSON.stringify(toleration);
        if ((spec.tolerations ?? []).some((one) => JSON.stringify(one) === same)) continue;
        spec.tolerations = [...(spec.tolerations ?? []), { ...toleration }];
      }
    },
  };
}
