import { equalJson, forbidden, notFound, type Json } from "@coracle/apimachinery";
import type { Node, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { ResourceSlice } from "@coracle/api/resource/v1";
import type { Authorizer } from "../../authorization/authorizer.ts";
import { nodeNameOf } from "../../authorization/node.ts";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import { firstReference } from "../pod-references.ts";
import { type AdmissionPlugin } from "../plugin.ts";
import { refusalOf } from "../refusal.ts";
import { forbiddenLabels } from "./node-labels.ts";
import { checkNodeToken } from "./node-tokens.ts";

const PODS = { group: "", version: "v1", plural: "pods" };
const NODES = { group: "", version: "v1", plural: "nodes" };
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
const KUBELET_SIGNERS = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

const same = (a: unknown, b: unknown): boolean => equalJson((a ?? null) as Json, (b ?? null) as Json);
const quote = (text: string): string => JSON.stringify(text);
const listOf = (value: unknown): unknown => (Array.isArray(value) && value.length > 0 ? value : null);

/** A kubelet writes its own node and what belongs to the pods bound to it, nothing else. */
export function nodeRestriction(objects: RegistryReader, authorizer: Authorizer): AdmissionPlugin {
  async function podNamed({ namespace }: AdmissionAttributes, name: string): Promise<Pod> {
    const pod = (await objects.get(PODS, namespace, name)) as unknown as Pod | undefined;
    if (pod === undefined) throw notFound({ group: "", resource: "pods" }, name);
    return pod;
  }

  async function checkPod(node: string, attributes: AdmissionAttributes): Promise<void> {
    switch (attributes.operation) {
      case "CREATE":
        return checkMirrorPod(node, attributes);
      case "DELETE": {
        const pod = await podNamed(attributes, attributes.name);
        if (pod.spec?.nodeName === node) return;
        throw refusalOf(attributes, `node ${quote(node)} can only delete pods with spec.nodeName set to itself`);
      }
      default:
        throw refusalOf(
          attributes,
          `unexpected operation ${quote(attributes.operation)}, node ${quote(node)} can only create and delete mirror pods`,
        );
    }
  }

  async function checkMirrorPod(node: string, attributes: AdmissionAttributes): Promise<void> {
    const { metadata, spec } = attributes.object as unknown as Pod;
    const refuse = (why: string): Error => refusalOf(attributes, why);
    if (metadata.annotations?.[MIRROR_ANNOTATION] === undefined) {
      throw refuse(
        `pod does not have "${MIRROR_ANNOTATION}" annotation, node ${quote(node)} can only create mirror pods`,
      );
    }
    if (spec?.nodeName !== node) {
      throw refuse(`node ${quote(node)} can only create pods with spec.nodeName set to itself`);
    }
    const [owner, ...others] = metadata.ownerReferences ?? [];
    if (others.length > 0) {
      throw refuse(`node ${quote(node)} can only create pods with a single owner reference set to itself`);
    }
    if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node) {
      throw refuse(`node ${quote(node)} can only create pods with an owner reference set to itself`);
    }
    if (owner.controller !== true) {
      throw refuse(`node ${quote(node)} can only create pods with a controller owner reference set to itself`);
    }
    if (owner.blockOwnerDeletion === true) {
      throw refuse(`node ${quote(node)} must not set blockOwnerDeletion on an owner reference`);
    }
    const own = (await objects.get(NODES, "", node)) as unknown as Node | undefined;
    if (own === undefined) throw notFound({ group: "", resource: "nodes" }, node);
    if (owner.uid !== own.metadata.uid) {
      throw refuse(`node ${node} UID mismatch: expected ${owner.uid} got ${own.metadata.uid}`);
    }
    const reference = firstReference(spec);
    if (reference !== undefined) throw refuse(`node ${quote(node)} can not create pods that reference ${reference}`);
  }

  function checkPodStatus(node: string, attributes: AdmissionAttributes): void {
    const { operation } = attributes;
    const refuse = (why: string): Error => refusalOf(attributes, why);
    if (operation !== "UPDATE") throw refuse(`unexpected operation ${quote(operation)}`);
    const pod = attributes.object as unknown as Pod;
    const old = attributes.oldObject as unknown as Pod;
    if (old.spec?.nodeName !== node) {
      throw refuse(`node ${quote(node)} can only update pod status for pods with spec.nodeName set to itself`);
    }
    if (!same(pod.metadata.labels ?? {}, old.metadata.labels ?? {})) {
      throw refuse(`node ${quote(node)} cannot update labels through pod status`);
    }
    if (!same(listOf(pod.status?.resourceClaimStatuses), listOf(old.status?.resourceClaimStatuses))) {
      throw refuse(`node ${quote(node)} cannot update resource claim statues`);
    }
    if (!same(pod.status?.extendedResourceClaimStatus, old.status?.extendedResourceClaimStatus)) {
      throw refuse(`node ${quote(node)} cannot update extended resource claim status`);
    }
  }

  async function checkEviction(node: string, attributes: AdmissionAttributes): Promise<void> {
    const pod = await podNamed(attributes, attributes.name);
    if (pod.spec?.nodeName === node) return;
    throw refusalOf(attributes, `node ${node} can only evict pods with spec.nodeName set to itself`);
  }

  function checkNode(node: string, attributes: AdmissionAttributes): void {
    const { operation, name, object, oldObject } = attributes;
    const requested = name === "" && operation === "CREATE" ? ((object?.metadata["name"] ?? "") as string) : name;
    const refuse = (why: string): Error => refusalOf(attributes, why);
    if (requested !== node) throw refuse(`node ${quote(node)} is not allowed to modify node ${quote(requested)}`);
    const now = object as unknown as Node | undefined;
    if (now === undefined) return;
    const old = operation === "UPDATE" ? (oldObject as unknown as Node | undefined) : undefined;
    const bad = forbiddenLabels(now.metadata.labels, old?.metadata.labels).join(", ");
    if (operation === "CREATE") {
      if ((now.spec?.configSource ?? undefined) !== undefined) {
        throw refuse(`node ${quote(node)} is not allowed to create pods with a non-nil configSource`);
      }
      if (bad !== "") throw refuse(`node ${quote(node)} is not allowed to set the following labels: ${bad}`);
      return;
    }
    if ((now.spec?.configSource ?? undefined) !== undefined && !same(now.spec?.configSource, old?.spec?.configSource)) {
      throw refuse(`node ${quote(node)} is not allowed to update configSource to a new non-nil configSource`);
    }
    if (!same(listOf(now.spec?.taints), listOf(old?.spec?.taints))) {
      throw refuse(`node ${quote(node)} is not allowed to modify taints`);
    }
    if (!same(listOf(now.metadata.ownerReferences), listOf(old?.metadata.ownerReferences))) {
      throw refuse(`node ${quote(node)} is not allowed to modify ownerReferences`);
    }
    if (bad !== "") throw refuse(`is not allowed to modify labels: ${bad}`);
  }

  function checkClaim(node: string, attributes: AdmissionAttributes): void {
    const { operation, subresource } = attributes;
    if (subresource !== "status") throw refusalOf(attributes, "may only update PVC status");
    if (operation !== "UPDATE") throw refusalOf(attributes, `unexpected operation ${quote(operation)}`);
    const lasting = (claim: PersistentVolumeClaim): unknown => {
      const { resourceVersion: _version, managedFields: _fields, ...metadata } = claim.metadata;
      const { capacity: _capacity, conditions: _conditions, ...rest } = claim.status ?? {};
      const { allocatedResources: _resources, allocatedResourceStatuses: _statuses, ...status } = rest;
      return { ...claim, metadata, status };
    };
    const [now, old] = [attributes.object, attributes.oldObject].map((one) =>
      lasting(one as unknown as PersistentVolumeClaim),
    );
    if (same(now, old)) return;
    throw refusalOf(
      attributes,
      `node ${quote(node)} is not allowed to update fields other than status.quantity and status.conditions: they differ`,
    );
  }

  /** Objects that carry their node's name. */
  function checkOwnName(node: string, attributes: AdmissionAttributes, what: string): void {
    const { operation, name, object } = attributes;
    const requested = operation === "CREATE" ? object?.metadata["name"] : name;
    if (requested !== node) {
      throw refusalOf(attributes, `can only access ${what} with the same name as the requesting node`);
    }
  }

  function checkSlice(node: string, attributes: AdmissionAttributes): void {
    const { operation } = attributes;
    if (operation !== "CREATE" && operation !== "DELETE") return;
    const slice = (operation === "CREATE" ? attributes.object : attributes.oldObject) as unknown as ResourceSlice;
    if (slice.spec?.nodeName === node) return;
    const verb = operation.toLowerCase();
    throw refusalOf(attributes, `can only ${verb} ResourceSlice with the same NodeName as the requesting node`);
  }

  async function checkSigningRequest(node: string, attributes: AdmissionAttributes): Promise<void> {
    if (attributes.operation !== "CREATE") return;
    const { signerName, request } = attributes.object!["spec"] as { signerName: string; request: string };
    if (!KUBELET_SIGNERS.includes(signerName)) return;
    const { parseSigningRequest } = await import("@coracle/pki");
    let commonName: string;
    try {
      ({ commonName } = parseSigningRequest(Buffer.from(request, "base64").toString("utf8")));
    } catch (error) {
      throw refusalOf(attributes, `unable to parse csr: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (commonName === `system:node:${node}`) return;
    throw refusalOf(attributes, `can only create a node CSR with CN=system:node:${node}`);
  }

  function checkPodSubresource(node: string, attributes: AdmissionAttributes): Promise<void> | void {
    switch (attributes.subresource) {
      case "":
        return checkPod(node, attributes);
      case "status":
        return checkPodStatus(node, attributes);
      case "eviction":
        return checkEviction(node, attributes);
      default:
        throw refusalOf(
          attributes,
          `unexpected pod subresource ${quote(attributes.subresource)}, only 'status' and 'eviction' are allowed`,
        );
    }
  }

  return {
    name: "NodeRestriction",
    scope: { operations: ["CREATE", "UPDATE", "DELETE"] },
    admit(attributes) {
      const { user } = attributes.context;
      if (!user.groups.includes("system:nodes")) return undefined;
      const node = nodeNameOf(user);
      if (node === undefined || node === "") {
        if (!user.name.startsWith("system:node:")) return undefined;
        throw forbidden(
          { group: attributes.group, resource: attributes.resource },
          attributes.name,
          `could not determine node from user ${quote(user.name)}`,
        );
      }
      switch (`${attributes.group}/${attributes.resource}`) {
        case "/pods":
          return checkPodSubresource(node, attributes);
        case "/nodes":
          return checkNode(node, attributes);
        case "/persistentvolumeclaims":
          return checkClaim(node, attributes);
        case "/serviceaccounts":
          return checkNodeToken({ objects, authorizer }, node, attributes);
        case "coordination.k8s.io/leases":
          if (attributes.namespace !== "kube-node-lease") {
            throw refusalOf(attributes, `can only access leases in the "kube-node-lease" system namespace`);
          }
          return checkOwnName(node, attributes, "node lease");
        case "storage.k8s.io/csinodes":
          return checkOwnName(node, attributes, "CSINode");
        case "resource.k8s.io/resourceslices":
          return checkSlice(node, attributes);
        case "certificates.k8s.io/certificatesigningrequests":
          return checkSigningRequest(node, attributes);
        case "certificates.k8s.io/podcertificaterequests":
          throw refusalOf(attributes, "PodCertificateRequest feature gate is disabled");
        default:
          return undefined;
      }
    },
  };
}
