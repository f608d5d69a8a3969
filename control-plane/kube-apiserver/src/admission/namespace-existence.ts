import { isAlreadyExists, notFound } from "@coracle/apimachinery";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };

const isOutside = ({ namespace, group, resource }: AdmissionAttributes): boolean =>
  namespace === "" || (group === "" && resource === "namespaces");

/** The namespace that something is created in is made, if it is not there. */
export function namespaceAutoProvision(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "NamespaceAutoProvision",
    scope: { operations: ["CREATE"] },
    async admit(attributes) {
      const { namespace, isDryRun } = attributes;
      if (isDryRun || isOutside(attributes)) return;
      if ((await objects.get(NAMESPACES, "", namespace)) !== undefined) return;
      try {
        await objects.create(NAMESPACES, "", { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
      } catch (error) {
        if (isAlreadyExists(error)) return;
        throw refusalOf(attributes, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/** Nothing is written in a namespace that is not there. */
export function namespaceExists(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "NamespaceExists",
    scope: { operations: ["CREATE", "UPDATE", "DELETE"] },
    async validate(attributes) {
      const { namespace } = attributes;
      if (isOutside(attributes) || (await objects.get(NAMESPACES, "", namespace)) !== undefined) return;
      throw notFound({ group: "", resource: "namespaces" }, namespace);
    },
  };
}
