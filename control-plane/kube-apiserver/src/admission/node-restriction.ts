import { badRequest, forbidden, isObject } from "@coracle/apimachinery";
import { nodeNameOf } from "../authorization/node.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import { resourceOf, type AdmissionPlugin } from "./plugin.ts";

const PODS = { group: "", version: "v1", plural: "pods" };
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
const RESTRICTED_PREFIX = "node-restriction.kubernetes.io/";

const labelsOf = (object: unknown): Readonly<Record<string, string>> =>
  isObject(object) && isObject(object["metadata"])
    ? ((object["metadata"]["labels"] ?? {}) as Record<string, string>)
    : {};

/** A kubelet writes its own node and the pods bound to it, nothing else. */
export function nodeRestriction(objects: RegistryReader): AdmissionPlugin {
  const refuse = (attributes: AdmissionAttributes, why: string): Error =>
    forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, why);

  async function checkPod(node: string, attributes: AdmissionAttributes): Promise<void> {
    if (attributes.operation === "CREATE") {
      const object = attributes.object!;
      const annotations = (object.metadata["annotations"] ?? {}) as Record<string, string>;
      const spec = object["spec"] as { nodeName?: string; serviceAccountName?: string };
      if (annotations[MIRROR_ANNOTATION] === undefined) {
        throw refuse(
          attributes,
          `pod does not have "${MIRROR_ANNOTATION}" annotation, node ${JSON.stringify(node)} can only create mirror pods`,
        );
      }
      if (spec.nodeName !== node)
        throw refuse(attributes, `node ${JSON.stringify(node)} can only create pods with spec.nodeName set to itself`);
      return;
    }
    const pod = await objects.get(PODS, attributes.namespace, attributes.name);
    const bound = (pod?.["spec"] as { nodeName?: string } | undefined)?.nodeName;
    if (pod === undefined || bound === node) return;
    const verb = attributes.operation === "DELETE" ? "delete" : "update status for";
    throw refuse(attributes, `node ${JSON.stringify(node)} can only ${verb} pods with spec.nodeName set to itself`);
  }

  async function checkEviction(node: string, attributes: AdmissionAttributes): Promise<void> {
    const pod = await objects.get(PODS, attributes.namespace, attributes.name);
    if (pod === undefined || (pod["spec"] as { nodeName?: string }).nodeName === node) return;
    throw refuse(attributes, `node ${JSON.stringify(node)} can only evict pods with spec.nodeName set to itself`);
  }

  function checkNode(node: string, attributes: AdmissionAttributes): void {
    const name = attributes.name === "" ? String(attributes.object?.metadata["name"] as string) : attributes.name;
    if (name !== node)
      throw refuse(attributes, `node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(name)}`);
    if (attributes.operation === "DELETE" || attributes.object === undefined) return;
    const before = labelsOf(attributes.oldObject);
    const after = labelsOf(attributes.object);
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (before[key] === after[key]) continue;
      if (key.startsWith(RESTRICTED_PREFIX) || key.includes(`.${RESTRICTED_PREFIX}`)) {
        throw refuse(attributes, `is not allowed to modify labels: ${key}`);
      }
    }
    if (attributes.operation !== "UPDATE" || attributes.subresource !== "") return;
    const taints = (object: unknown): string =>
      JSON.stringify((isObject(object) && isObject(object["spec"]) ? object["spec"]["taints"] : undefined) ?? []);
    if (taints(attributes.oldObject) !== taints(attributes.object)) {
      throw refuse(attributes, `node ${JSON.stringify(node)} is not allowed to modify taints`);
    }
  }

  function checkOwnName(node: string, attributes: AdmissionAttributes): void {
    if (attributes.resource === "leases" && attributes.namespace !== "kube-node-lease") {
      throw refuse(attributes, `can only access leases in the "kube-node-lease" system namespace`);
    }
    const name = attributes.name === "" ? (attributes.object?.metadata["name"] as string | undefined) : attributes.name;
    if (name !== node) {
      throw refuse(
        attributes,
        `can only access ${attributes.resource === "leases" ? "node lease" : "CSINode"} with the same name as the requesting node`,
      );
    }
  }

  async function checkToken(node: string, attributes: AdmissionAttributes): Promise<void> {
    const spec = attributes.object?.["spec"];
    const ref = isObject(spec) ? spec["boundObjectRef"] : undefined;
    if (!isObject(ref) || ref["kind"] !== "Pod" || typeof ref["name"] !== "string") {
      throw refuse(attributes, "node requested token not bound to a pod");
    }
    if (typeof ref["uid"] !== "string" || ref["uid"] === "")
      throw refuse(attributes, "node requested token with a pod binding without a uid");
    const pod = await objects.get(PODS, attributes.namespace, ref["name"]);
    if (pod === undefined) throw badRequest(`pod ${JSON.stringify(ref["name"])} not found`);
    if (pod.metadata["uid"] !== ref["uid"]) {
      throw refuse(
        attributes,
        `the UID in the bound object reference (${ref["uid"]}) does not match the UID in record (${pod.metadata["uid"] as string}). The object might have been deleted and then recreated`,
      );
    }
    if ((pod["spec"] as { nodeName?: string }).nodeName !== node) {
      throw refuse(attributes, "node requested token bound to a pod scheduled on a different node");
    }
  }

  return {
    name: "NodeRestriction",
    scope: {
      operations: ["CREATE", "UPDATE", "DELETE"],
      resources: [
        "/pods",
        "/pods/status",
        "/pods/eviction",
        "/nodes",
        "/nodes/status",
        "/serviceaccounts/token",
        "coordination.k8s.io/leases",
        "storage.k8s.io/csinodes",
      ],
    },
    validate(attributes) {
      const { user } = attributes.context;
      if (!user.groups.includes("system:nodes")) return undefined;
      const node = nodeNameOf(user);
      if (node === undefined || node === "") throw refuse(attributes, "could not determine node from user");
      switch (resourceOf(attributes)) {
        case "/pods":
        case "/pods/status":
          return checkPod(node, attributes);
        case "/pods/eviction":
          return checkEviction(node, attributes);
        case "/nodes":
        case "/nodes/status":
          return checkNode(node, attributes);
        case "/serviceaccounts/token":
          return checkToken(node, attributes);
        default:
          return checkOwnName(node, attributes);
      }
    },
  };
}
