import type { ContainerExtendedResourceRequest, Pod } from "@coracle/api/core/v1";
import type { AllocationResult, DeviceClass, ResourceClaim } from "@coracle/api/resource/v1";
import { podRequests } from "../state/pod-resources.ts";
import type { NodeState } from "../state/node-state.ts";
import { bindClaim, type ClaimWriter } from "./bind-claim.ts";
import { extendedRequests, mayBeDevices } from "./extended-resources.ts";

const ANNOTATION = "resource.kubernetes.io/extended-resource-claim";
const MAX_UNSEEN_MS = 120_000;

/** Whether the claim stands for what containers of a pod ask for by names of resources; answers the pod's uid. */
export function ownerOfExtended({ metadata: { annotations, ownerReferences } }: ResourceClaim): string | undefined {
  if (annotations?.[ANNOTATION] !== "true") return undefined;
  return ownerReferences?.find(({ controller }) => controller === true)?.uid;
}

/** What is known of resources that devices stand behind. */
export interface ExtendedView {
  /** The class behind a resource. */
  classOfResource(name: string): DeviceClass | undefined;
  /** The claim that was made for a pod's resources. */
  extendedClaim(podUid: string): ResourceClaim | undefined;
  /** The claim as it is now. */
  claim(namespace: string, name: string): ResourceClaim | undefined;
}

/** The claim for a pod's resources on one node. It has no name before it is written. */
interface NodeClaim {
  readonly claim: ResourceClaim;
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

/** What the claim is given. */
interface Grant {
  readonly allocation: AllocationResult;
  readonly allocatedAt: string | undefined;
  /** Told whether the API server took the claim. */
  readonly onMade: ((status: "success" | "failure") => void) | undefined;
}

/** One claim for all resources of a pod that devices stand behind, where the node does not have them otherwise. */
export class ExtendedClaim {
  readonly #pod: Pod;
  readonly #view: ExtendedView;
  readonly #resources: readonly string[];
  /** Of an attempt before this one. */
  readonly stale: ResourceClaim | undefined;
  readonly #byNode = new Map<string, NodeClaim>();
  /** As the API server has it. */
  written: ResourceClaim | undefined;

  private constructor(pod: Pod, view: ExtendedView, resources: readonly string[]) {
    this.#pod = pod;
    this.#view = view;
    this.#resources = resources;
    this.stale = view.extendedClaim(pod.metadata.uid ?? "");
  }

  /** Undefined: no device stands behind what the pod asks for. */
  static of(pod: Pod, view: ExtendedView): ExtendedClaim | undefined {
    const amounts = [...podRequests(pod)].filter(([, amount]) => amount > 0);
    const resources = amounts.map(([name]) => name).filter(mayBeDevices);
    if (!resources.some((name) => view.classOfResource(name) !== undefined)) return undefined;
    return new ExtendedClaim(pod, view, resources);
  }

  /** Until it is written. */
  get temporaryUid(): string {
    return `extended-resources:${this.#pod.metadata.uid}`;
  }

  /** What to allocate on the node: undefined: nothing, it has all by itself; text: why the pod cannot run there. */
  tryOn({ name, allocatable }: NodeState): ResourceClaim | string | undefined {
    if (this.stale !== undefined) return "cannot schedule extended resource claim";
    const needed: string[] = [];
    for (const resource of this.#resources) {
      const isBacked = this.#view.classOfResource(resource) !== undefined;
      if (isBacked && (allocatable.get(resource) ?? 0) === 0) needed.push(resource);
      else if (!allocatable.has(resource)) return "cannot fit resource";
    }
    if (needed.length === 0) return undefined;
    const { requests, mappings } = extendedRequests(this.#pod, needed, (each) => this.#view.classOfResource(each));
    const { namespace, name: podName = "", uid = "" } = this.#pod.metadata;
    const claim: ResourceClaim = {
      metadata: {
        namespace,
        uid: this.temporaryUid,
        generateName: `${podName}-extended-resources-`,
        annotations: { [ANNOTATION]: "true" },
        ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: podName, uid, controller: true }],
      },
      spec: { devices: { requests } },
    };
    this.#byNode.set(name, { claim, mappings });
    return claim;
  }

  /** The claim for the node that was chosen. */
  on(nodeName: string): ResourceClaim | undefined {
    return this.#byNode.get(nodeName)?.claim;
  }

  /** Makes the claim, gives it its devices and the pod, and tells the pod's node of it. Resolves when it was seen. */
  async write(
    writer: ClaimWriter,
    nodeName: string,
    { allocation, allocatedAt, onMade }: Grant,
  ): Promise<ResourceClaim> {
    const { claim, mappings } = this.#byNode.get(nodeName) ?? {};
    if (claim === undefined) throw new Error(`extended resource claim not found for node ${nodeName}`);
    const { uid: _, ...metadata } = claim.metadata;
    try {
      this.written = await writer.create({ ...claim, metadata });
      onMade?.("success");
    } catch (error) {
      onMade?.("failure");
      throw error;
    }
    this.written = await bindClaim(writer, this.written, this.#pod, allocation, allocatedAt);
    const resourceClaimName = this.written.metadata.name ?? "";
    await writer.noteExtended(this.#pod, { resourceClaimName, requestMappings: mappings ?? [] });
    await this.#seen(writer, this.written);
    return this.written;
  }

  /** Until then its devices are only known to be taken because we remember it. */
  async #seen(writer: ClaimWriter, { metadata }: ResourceClaim): Promise<void> {
    const deadline = writer.nowMs() + MAX_UNSEEN_MS;
    const version = (claim: ResourceClaim | undefined): bigint => BigInt(claim?.metadata.resourceVersion ?? "0");
    const { namespace = "", name = "", resourceVersion = "0" } = metadata;
    while (version(this.#view.claim(namespace, name)) < BigInt(resourceVersion)) {
      const left = deadline - writer.nowMs();
      if (left <= 0) return;
      await writer.changed(left);
    }
  }
}
