import { isObject, type Draft } from "@coracle/apimachinery";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const NODES = { group: "", version: "v1", plural: "nodes" };
const COPIED = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/** A pod learns by its labels in which zone and region its node is. */
export function podTopologyLabels(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "PodTopologyLabels",
    scope: { operations: ["CREATE"], resources: ["/pods", "/pods/binding"] },
    admit(attributes) {
      const { object } = attributes;
      if (object === undefined) return undefined;
      let name = podSpecOf(attributes)?.nodeName;
      if (attributes.subresource === "binding") {
        const target = isObject(object["target"]) ? object["target"] : {};
        name = target["kind"] === "Node" ? (target["name"] as string | undefined) : undefined;
      }
      if (name === undefined || name === "") return undefined;
      const node = objects.find(NODES, "", name);
      if (node instanceof Promise) return node.then((found) => copyLabels(found, object));
      copyLabels(node, object);
      return undefined;
    },
  };
}

function copyLabels(node: ApiObject | undefined, { metadata }: ApiDraft): void {
  const labels = node?.metadata["labels"] as Readonly<Record<string, string>> | undefined;
  for (const key of COPIED) {
    const value = labels?.[key];
    if (value !== undefined) metadata["labels"] = { ...(metadata["labels"] as Draft | undefined), [key]: value };
  }
}
