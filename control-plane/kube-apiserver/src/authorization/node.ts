import type { PolicyRule } from "@coracle/api/rbac/v1";
import type { PodSpec } from "@coracle/api/core/v1";
import type { UserInfo } from "../authentication/user.ts";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import { ALLOW, type AuthorizationAttributes, type Authorizer, type Decision } from "./authorizer.ts";
import { allows } from "./policy-rule.ts";

const PREFIX = "system:node:";
const NODES_GROUP = "system:nodes";

/** The node that a user is; undefined for anyone else. */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (!user.name.startsWith(PREFIX) || !user.groups.includes(NODES_GROUP)) return undefined;
  return user.name.slice(PREFIX.length);
}

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const PODS = core("pods");
const CLAIMS = core("persistentvolumeclaims");
const VOLUMES = core("persistentvolumes");
const ATTACHMENTS: ResourceRef = { group: "storage.k8s.io", version: "v1", plural: "volumeattachments" };

const refuse = (reason: string): Decision => ({ verdict: "noOpinion", reason });
const NO_RELATION = "no relationship found between node '%s' and this object";
const READS = new Set(["get", "list", "watch"]);

/** Names of the secrets, config maps and claims that a pod's spec mentions. */
export function referencedBy(pod: ApiObject, kind: "secrets" | "configmaps" | "persistentvolumeclaims"): Set<string> {
  const spec = pod["spec"] as unknown as PodSpec;
  const names = new Set<string>();
  const add = (name: string | undefined): void => void (name !== undefined && name !== "" && names.add(name));
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
  if (kind === "secrets") {
    for (const pull of spec.imagePullSecrets ?? []) add(pull.name);
    for (const container of containers) {
      for (const from of container.envFrom ?? []) add(from.secretRef?.name);
      for (const env of container.env ?? []) add(env.valueFrom?.secretKeyRef?.name);
    }
  } else if (kind === "configmaps") {
    for (const container of containers) {
      for (const from of container.envFrom ?? []) add(from.configMapRef?.name);
      for (const env of container.env ?? []) add(env.valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const volume of spec.volumes ?? []) {
    if (kind === "secrets") {
      add(volume.secret?.secretName);
      add(volume.csi?.nodePublishSecretRef?.name);
      add(volume.azureFile?.secretName);
      for (const ref of [
        volume.cephfs,
        volume.rbd,
        volume.iscsi,
        volume.scaleIO,
        volume.flexVolume,
        volume.storageos,
      ]) {
        add(ref?.secretRef?.name);
      }
      for (const source of volume.projected?.sources ?? []) add(source.secret?.name);
    } else if (kind === "configmaps") {
      add(volume.configMap?.name);
      for (const source of volume.projected?.sources ?? []) add(source.configMap?.name);
    } else {
      add(volume.persistentVolumeClaim?.claimName);
      if (volume.ephemeral !== undefined) add(`${pod.metadata["name"] as string}-${volume.name}`);
    }
  }
  return names;
}

/** What `selector` demands of `path`, when it is a plain equality. */
function demanded(selector: string | undefined, path: string): string | undefined {
  for (const term of (selector ?? "").split(",")) {
    const match = /^([^=!]+)==?([^=].*)$/.exec(term.trim());
    if (match?.[1] === path) return match[2];
  }
  return undefined;
}

/**
 * A node may read what the pods bound to it mention, and write what is its own; otherwise `rules` (those of the
 * role system:node) hold. Pods are looked up by their node in the watch cache: no graph is kept.
 */
export function createNodeAuthorizer(objects: RegistryReader, rules: readonly PolicyRule[]): Authorizer {
  const podsOn = (node: string): Promise<readonly ApiObject[]> =>
    objects.list(PODS, undefined, { fieldSelector: `spec.nodeName=${node}` });
  const staticRules = (attributes: AuthorizationAttributes): Decision =>
    rules.some((rule) => allows(rule, attributes)) ? ALLOW : refuse("");

  async function mentioned(
    node: string,
    kind: "secrets" | "configmaps" | "persistentvolumeclaims",
    namespace: string,
    name: string,
  ): Promise<boolean> {
    const pods = await podsOn(node);
    if (pods.some((pod) => pod.metadata["namespace"] === namespace && referencedBy(pod, kind).has(name))) return true;
    if (kind !== "secrets") return false;
    return (await volumesOf(pods)).some((volume) =>
      JSON.stringify(volume["spec"]).includes(`"name":${JSON.stringify(name)}`),
    );
  }

  async function volumesOf(pods: readonly ApiObject[]): Promise<ApiObject[]> {
    const out: ApiObject[] = [];
    for (const pod of pods) {
      for (const claimName of referencedBy(pod, "persistentvolumeclaims")) {
        const claim = await objects.get(CLAIMS, pod.metadata["namespace"] as string, claimName);
        const volumeName = (claim?.["spec"] as { volumeName?: string } | undefined)?.volumeName;
        const volume = volumeName === undefined ? undefined : await objects.get(VOLUMES, "", volumeName);
        if (volume !== undefined) out.push(volume);
      }
    }
    return out;
  }

  async function byRelation(
    node: string,
    attributes: AuthorizationAttributes,
    verbs: ReadonlySet<string>,
  ): Promise<Decision> {
    const { resource, namespace, name } = attributes;
    if (!verbs.has(attributes.verb)) {
      return refuse(
        verbs.size === 1 ? "can only get individual resources of this type" : "can only read resources of this type",
      );
    }
    if (attributes.subresource !== "") return refuse("cannot read subresource");
    if (name === "") return refuse("can only read namespaced object of this type");
    let isRelated: boolean;
    if (resource === "persistentvolumes") {
      isRelated = (await volumesOf(await podsOn(node))).some((volume) => volume.metadata["name"] === name);
    } else if (resource === "volumeattachments") {
      const attachment = await objects.get(ATTACHMENTS, "", name);
      isRelated = (attachment?.["spec"] as { nodeName?: string } | undefined)?.nodeName === node;
    } else if (resource === "resourceclaims") {
      isRelated = (await podsOn(node)).some((pod) => pod.metadata["namespace"] === namespace && usesClaim(pod, name));
    } else {
      isRelated = await mentioned(node, resource as "secrets", namespace, name);
    }
    return isRelated ? ALLOW : refuse(NO_RELATION.replace("%s", node));
  }

  async function forToken(node: string, attributes: AuthorizationAttributes): Promise<Decision> {
    if (attributes.verb !== "create" || attributes.subresource !== "token" || attributes.name === "") {
      return refuse("can only create tokens for individual service accounts");
    }
    const isRelated = (await podsOn(node)).some((pod) => {
      const spec = pod["spec"] as unknown as PodSpec;
      return pod.metadata["namespace"] === attributes.namespace && spec.serviceAccountName === attributes.name;
    });
    return isRelated ? ALLOW : refuse(NO_RELATION.replace("%s", node));
  }

  async function forPod(node: string, attributes: AuthorizationAttributes): Promise<Decision> {
    const { verb, subresource } = attributes;
    if (subresource === "status" || subresource === "eviction" || !READS.has(verb)) return staticRules(attributes);
    if (verb !== "get" && demanded(attributes.fieldSelector, "spec.nodeName") === node) return ALLOW;
    if (attributes.name === "") return refuse("can only list/watch pods with spec.nodeName field selector");
    const pod = await objects.get(PODS, attributes.namespace, attributes.name);
    const isOwn = (pod?.["spec"] as { nodeName?: string } | undefined)?.nodeName === node;
    return isOwn ? ALLOW : refuse(NO_RELATION.replace("%s", node));
  }

  function ownByName(node: string, attributes: AuthorizationAttributes, what: string): Decision {
    const { verb, name } = attributes;
    if (!["get", "create", "update", "patch", "delete"].includes(verb)) {
      return refuse(`can only get, create, update, patch, or delete a ${what}`);
    }
    if (attributes.subresource !== "") return refuse(`cannot authorize ${what} subresources`);
    // The name of a new object is in its body: admission looks at that.
    if (verb !== "create" && name !== node)
      return refuse(`can only access ${what} with the same name as the requesting node`);
    return ALLOW;
  }

  return {
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return refuse("");
      if (!attributes.isResource) return staticRules(attributes);
      switch (`${attributes.group}/${attributes.resource}`) {
        case "/secrets":
        case "/configmaps":
          return byRelation(node, attributes, READS);
        case "/persistentvolumeclaims":
          if (attributes.subresource === "status") return staticRules(attributes);
          return byRelation(node, attributes, new Set(["get"]));
        case "/persistentvolumes":
        case "resource.k8s.io/resourceclaims":
        case "storage.k8s.io/volumeattachments":
          return byRelation(node, attributes, new Set(["get"]));
        case "/serviceaccounts":
          return attributes.subresource === "" ? staticRules(attributes) : forToken(node, attributes);
        case "/pods":
          return forPod(node, attributes);
        case "/nodes":
          if (attributes.subresource === "" && READS.has(attributes.verb) && attributes.name !== node) {
            return refuse(`node '${node}' cannot read '${attributes.name}', only its own Node object`);
          }
          return staticRules(attributes);
        case "coordination.k8s.io/leases":
          if (attributes.namespace !== "kube-node-lease")
            return refuse('can only access leases in the "kube-node-lease" system namespace');
          return ownByName(node, attributes, "node lease");
        case "storage.k8s.io/csinodes":
          return ownByName(node, attributes, "CSINode");
        default:
          return staticRules(attributes);
      }
    },
  };
}

function usesClaim(pod: ApiObject, name: string): boolean {
  const status = pod["status"] as { resourceClaimStatuses?: readonly { resourceClaimName?: string }[] } | undefined;
  const spec = pod["spec"] as unknown as PodSpec;
  return (
    (spec.resourceClaims ?? []).some((claim) => claim.resourceClaimName === name) ||
    (status?.resourceClaimStatuses ?? []).some((claim) => claim.resourceClaimName === name)
  );
}
