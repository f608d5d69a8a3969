import { isObject, type Draft } from "@coracle/apimachinery";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const NODES = { group: "", version: "v1", plural: "nodes" };
const COPIED = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/** A pod learns by its labels in which zone and region its node is. */
export function podTopologyLabels(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "PodTopologyLabels",
    scope: { operations: ["CREATE"], resources: ["/pods", "/pods/binding"] },
    async admit(attributes) {
      const { object } = attributes;
      if (object === undefined) return;
      let name = podSpecOf(attributes)?.nodeName;
      if (attributes.subresource === "binding") {
        const target = isObject(object["target"]) ? object["target"] : {};
        name = target["kind"] === "Node" ? (target["name"] as string | undefined) : undefined;
      }
      if (name === undefined || name === "") return;
      const labels = (await objects.get(NODES, "", name))?.metadata["labels"] as
        | Readonly<Record<string, string>>
        | undefined;
      const copied = COPIED.flatMap((key) => (labels?.[key] === undefined ? [] : [[key, labels[key]] as const]));
      if (copied.length === 0) return;
      object.metadata["labels"] = {
        ...(object.metadata["labels"] as Draft | undefined),
        ...Object.fromEntries(copied),
      };
    },
  };
}
