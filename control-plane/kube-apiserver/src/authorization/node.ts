import type { PolicyRule } from "@coracle/api/rbac/v1";
import type { UserInfo } from "../authentication/user.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import {
  ALLOW,
  fieldTermsOf,
  NO_OPINION,
  type AuthorizationAttributes,
  type Authorizer,
  type Decision,
} from "./authorizer.ts";
import { createNodeGraph, type MentionedKind } from "./node-graph.ts";
import { allows } from "./policy-rule.ts";

const PREFIX = "system:node:";
const NODES_GROUP = "system:nodes";
const LEASES_NAMESPACE = "kube-node-lease";

/** The node that a user is; undefined for anyone else. */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (!user.name.startsWith(PREFIX) || !user.groups.includes(NODES_GROUP)) return undefined;
  return user.name.slice(PREFIX.length);
}

const refuse = (reason: string): Decision => ({ verdict: "noOpinion", reason });
const READS = new Set(["get", "list", "watch"]);
const OWN_VERBS = new Set(["get", "create", "update", "patch", "delete"]);

/** Whether the request is limited to what `field` names this node in. */
function isLimitedToNode(attributes: AuthorizationAttributes, field: string, node: string): boolean {
  return fieldTermsOf(attributes).requirements.some(
    (term) => term.field === field && term.operator === "=" && term.value === node,
  );
}

/** A rule about requests of one kind by one node. */
type NodeRule = (node: string, attributes: AuthorizationAttributes) => Decision | Promise<Decision>;

/**
 * A node may read what the pods bound to it lead to, and write what is its own; for everything else `rules` (those
 * of the role system:node) hold.
 */
export function createNodeAuthorizer(objects: RegistryReader, rules: readonly PolicyRule[]): Authorizer {
  const graph = createNodeGraph(objects);

  async function related(node: string, name: string, isRelated: () => Promise<boolean>): Promise<Decision> {
    if (name === "") return refuse("No Object name found");
    if (await isRelated()) return ALLOW;
    return refuse(`no relationship found between node '${node}' and this object`);
  }

  const mentioned = (node: string, kind: MentionedKind, { namespace, name }: AuthorizationAttributes) =>
    related(node, name, () => graph.isMentioned(node, kind, namespace, name));

  function getting(attributes: AuthorizationAttributes, then: () => Promise<Decision>): Decision | Promise<Decision> {
    if (attributes.verb !== "get") return refuse("can only get individual resources of this type");
    if (attributes.subresource !== "") return refuse("cannot get subresource");
    return then();
  }

  function readingNamespaced(node: string, kind: MentionedKind, attributes: AuthorizationAttributes) {
    if (!READS.has(attributes.verb)) return refuse("can only read resources of this type");
    if (attributes.subresource !== "") return refuse("cannot read subresource");
    if (attributes.namespace === "") return refuse("can only read namespaced object of this type");
    return mentioned(node, kind, attributes);
  }

  const claims: NodeRule = (node, attributes) => {
    if (attributes.subresource !== "status") {
      return getting(attributes, () => mentioned(node, "persistentvolumeclaims", attributes));
    }
    if (attributes.verb !== "update" && attributes.verb !== "patch")
      return refuse("can only get/update/patch this type");
    return mentioned(node, "persistentvolumeclaims", attributes);
  };

  const accounts: NodeRule = (node, attributes) => {
    const { verb, subresource, name } = attributes;
    if (verb === "get" && subresource === "") return readingNamespaced(node, "serviceaccounts", attributes);
    if (verb !== "create" || name === "") return refuse("can only create tokens for individual service accounts");
    if (subresource !== "token") return refuse("can only create token subresource of serviceaccount");
    return mentioned(node, "serviceaccounts", attributes);
  };

  const leases: NodeRule = (node, { verb, namespace, name }) => {
    if (!OWN_VERBS.has(verb)) return refuse("can only get, create, update, patch, or delete a node lease");
    if (namespace !== LEASES_NAMESPACE) {
      return refuse(`can only access leases in the "${LEASES_NAMESPACE}" system namespace`);
    }
    // The name of a new object is in its body: admission looks at that.
    if (verb === "create" || name === node) return ALLOW;
    return refuse("can only access node lease with the same name as the requesting node");
  };

  const csiNodes: NodeRule = (node, { verb, subresource, name }) => {
    if (!OWN_VERBS.has(verb)) return refuse("can only get, create, update, patch, or delete a CSINode");
    if (subresource !== "") return refuse("cannot authorize CSINode subresources");
    if (verb === "create" || name === node) return ALLOW;
    return refuse("can only access CSINode with the same name as the requesting node");
  };

  const slices: NodeRule = (node, attributes) => {
    const { verb, subresource, name } = attributes;
    if (subresource !== "") return refuse("cannot authorize ResourceSlice subresources");
    switch (verb) {
      case "create":
        return ALLOW;
      case "get":
      case "update":
      case "patch":
      case "delete":
        return related(node, name, () => graph.isSliceOfNode(node, name));
      case "watch":
      case "list":
      case "deletecollection":
        if (isLimitedToNode(attributes, "spec.nodeName", node)) return ALLOW;
        return refuse("can only list/watch/deletecollection resourceslices with nodeName field selector");
      default:
        return refuse(
          "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
        );
    }
  };

  const nodes: NodeRule = (node, { verb, subresource, name }) => {
    const isWrite = verb === "update" || verb === "patch";
    if (subresource === "status") return isWrite ? ALLOW : NO_OPINION;
    if (subresource !== "") return NO_OPINION;
    // Which node is written, admission sees.
    if (isWrite || verb === "create") return ALLOW;
    if (!READS.has(verb)) return NO_OPINION;
    if (name === node) return ALLOW;
    if (name === "") return refuse(`node '${node}' cannot read all nodes, only its own Node object`);
    return refuse(`node '${node}' cannot read '${name}', only its own Node object`);
  };

  const pods: NodeRule = (node, attributes) => {
    const { verb, subresource, namespace, name } = attributes;
    const own = (): Promise<Decision> => related(node, name, () => graph.isPodOnNode(node, namespace, name));
    if (subresource === "status") return verb === "update" || verb === "patch" ? ALLOW : NO_OPINION;
    if (subresource === "eviction") return verb === "create" ? ALLOW : NO_OPINION;
    if (subresource !== "") return NO_OPINION;
    switch (verb) {
      case "get":
        return getting(attributes, own);
      case "list":
      case "watch":
        if (isLimitedToNode(attributes, "spec.nodeName", node)) return ALLOW;
        if (name !== "") return own();
        return refuse("can only list/watch pods with spec.nodeName field selector");
      case "create":
      case "delete":
        // Mirror pods, as admission makes sure.
        return ALLOW;
      default:
        return NO_OPINION;
    }
  };

  const byKind = new Map<string, NodeRule>([
    ["/secrets", (node, attributes) => readingNamespaced(node, "secrets", attributes)],
    ["/configmaps", (node, attributes) => readingNamespaced(node, "configmaps", attributes)],
    ["/persistentvolumeclaims", claims],
    [
      "/persistentvolumes",
      (node, attributes) =>
        getting(attributes, () => related(node, attributes.name, () => graph.isVolumeOnNode(node, attributes.name))),
    ],
    [
      "storage.k8s.io/volumeattachments",
      (node, attributes) =>
        getting(attributes, () =>
          related(node, attributes.name, () => graph.isAttachmentOfNode(node, attributes.name)),
        ),
    ],
    [
      "resource.k8s.io/resourceclaims",
      (node, attributes) => getting(attributes, () => mentioned(node, "resourceclaims", attributes)),
    ],
    ["resource.k8s.io/resourceslices", slices],
    ["/serviceaccounts", accounts],
    ["/pods", pods],
    ["/nodes", nodes],
    ["coordination.k8s.io/leases", leases],
    ["storage.k8s.io/csinodes", csiNodes],
    ["certificates.k8s.io/podcertificaterequests", () => NO_OPINION],
  ]);

  return {
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return NO_OPINION;
      if (node === "") return refuse(`unknown node for user ${JSON.stringify(attributes.user.name)}`);
      const rule = attributes.isResource ? byKind.get(`${attributes.group}/${attributes.resource}`) : undefined;
      if (rule !== undefined) return rule(node, attributes);
      return rules.some((each) => allows(each, attributes)) ? ALLOW : NO_OPINION;
    },
    rulesFor(user) {
      if (nodeNameOf(user) === undefined) return { rules: [], isIncomplete: false, errors: [] };
      return { rules: [], isIncomplete: true, errors: ["node authorizer does not support user rule resolution"] };
    },
  };
}
