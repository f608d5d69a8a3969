import type { LoadBalancerStatus, Node, NodeAddress, Service } from "@coracle/api/core/v1";
import type { Clock, Logger } from "@coracle/base";
import type { ApiClient, InformerFactory } from "@coracle/client";

/** What a cloud says of the machine behind a node. */
export interface InstanceMetadata {
  /** `NAME://ID`; becomes the node's `spec.providerID` and never changes again. */
  readonly providerId?: string | undefined;
  readonly instanceType?: string | undefined;
  readonly addresses?: readonly NodeAddress[] | undefined;
  readonly zone?: string | undefined;
  readonly region?: string | undefined;
  /** Labels for the node; those of Kubernetes' own domains, and those that the node has already, are left out. */
  readonly additionalLabels?: Readonly<Record<string, string>> | undefined;
}

/** The machines that nodes are. Nodes are read-only; `spec.providerID` comes first, the name second. */
export interface Instances {
  /** False: the machine is gone for good, and its node is deleted. A machine that is off exists. */
  exists(node: Node, signal: AbortSignal): Promise<boolean>;
  isShutDown(node: Node, signal: AbortSignal): Promise<boolean>;
  /** Undefined: nothing can be said yet, and the node waits. */
  metadata(node: Node, signal: AbortSignal): Promise<InstanceMetadata | undefined>;
}

/** Where machines are, for providers whose `Instances` do not say it. */
export interface Zones {
  zoneOf(
    node: Node,
    signal: AbortSignal,
  ): Promise<{ readonly zone?: string | undefined; readonly region?: string | undefined }>;
}

/** A way to the pods of one node. */
export interface Route {
  /** The provider's own name for it. */
  readonly name: string;
  /** Name of the node. */
  readonly targetNode: string;
  /** Given by providers that want a route made anew when the node's addresses change. */
  readonly targetNodeAddresses?: readonly NodeAddress[] | undefined;
  readonly destinationCidr: string;
  /** Leads nowhere: removed when it is in the cluster's range. */
  readonly isBlackhole?: boolean | undefined;
}

/** Ways between nodes for pods' packets. */
export interface Routes {
  /** All routes of this cluster that the provider made. */
  list(clusterName: string, signal: AbortSignal): Promise<readonly Route[]>;
  /** `nameHint` is the node's uid. Making one that is there is no error. */
  create(clusterName: string, nameHint: string, route: Omit<Route, "name">, signal: AbortSignal): Promise<void>;
  /** `route` is as `list` gave it. Deleting one that is gone is no error. */
  delete(clusterName: string, route: Route, signal: AbortSignal): Promise<void>;
}

/** What leads clients from outside to a Service. Services and nodes are read-only. */
export interface LoadBalancers {
  /** The status of the Service's balancer; undefined: it has none. */
  get(clusterName: string, service: Service, signal: AbortSignal): Promise<LoadBalancerStatus | undefined>;
  /** Makes the balancer, or brings it to what the Service says; again is no error. */
  ensure(
    clusterName: string,
    service: Service,
    nodes: readonly Node[],
    signal: AbortSignal,
  ): Promise<LoadBalancerStatus>;
  /** The nodes are others now, the Service is as it was. */
  updateNodes(clusterName: string, service: Service, nodes: readonly Node[], signal: AbortSignal): Promise<void>;
  /** Removes all that was made; nothing there is no error. */
  delete(clusterName: string, service: Service, signal: AbortSignal): Promise<void>;
}

/** A cloud. What it does not offer is absent, and the controllers that need it do not run. */
export interface CloudProvider extends Partial<AsyncDisposable> {
  /** Before the `://` of its provider ids. */
  readonly name: string;
  readonly instances?: Instances | undefined;
  readonly zones?: Zones | undefined;
  readonly routes?: Routes | undefined;
  readonly loadBalancers?: LoadBalancers | undefined;
  /** Whether the provider knows which cluster its objects belong to; absent: yes. */
  readonly hasClusterId?: boolean | undefined;
}

/** What a provider is made with. All ends when `signal` aborts. */
export interface CloudProviderContext {
  /** The content of `--cloud-config`; undefined: there is no such file. */
  readonly config: string | undefined;
  readonly client: ApiClient;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The default export of a provider's package. */
export type CloudProviderFactory = (context: CloudProviderContext) => CloudProvider | Promise<CloudProvider>;

/**
 * True of an error by which a provider says that somebody else does this: an Error with the code
 * `IMPLEMENTED_ELSEWHERE`. Recognised by its code, so that a provider needs nothing of ours.
 */
export function isImplementedElsewhere(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "IMPLEMENTED_ELSEWHERE";
}

/** After how long to try again, by an error with the member `retryAfterMs`; undefined: with growing delays. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { retryAfterMs } = error as { readonly retryAfterMs?: unknown };
  return typeof retryAfterMs === "number" && retryAfterMs >= 0 ? retryAfterMs : undefined;
}
