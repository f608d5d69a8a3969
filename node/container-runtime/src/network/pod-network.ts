import type { PortMapping } from "@coracle/api/cri";

/** One pod's place in the network. */
export interface PodNetworkRequest {
  readonly sandboxId: string;
  /** File of the pod's network namespace. */
  readonly netnsPath: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface PodNetworkResult {
  /** The pod's addresses, the primary one first, without prefix length. */
  readonly ips: readonly string[];
}

/** What the runtime needs of a pod network: CNI's two verbs and its readiness. */
export interface PodNetwork {
  add(request: PodNetworkRequest): Promise<PodNetworkResult>;
  /** Gives everything back; also what an interrupted `add` took, also twice, also when the namespace is gone. */
  remove(request: PodNetworkRequest): Promise<void>;
  /** The same for many at once, where that is faster. */
  removeAll?(requests: readonly PodNetworkRequest[]): Promise<void>;
  /** Why pods cannot be connected yet; undefined when they can. */
  notReady(): Promise<string | undefined> | string | undefined;
  /** The node's range of pod addresses became known. */
  setPodCidr?(podCidr: string): Promise<void>;
}
