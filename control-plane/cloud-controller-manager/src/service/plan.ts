import type { LoadBalancerIngress, Node, Service } from "@coracle/api/core/v1";

/** Holds a Service until its balancer is gone. */
export const FINALIZER = "service.kubernetes.io/load-balancer-cleanup";

/** A class of its own means that somebody else serves it. */
export const wantsLoadBalancer = (service: Service): boolean =>
  service.spec?.type === "LoadBalancer" && service.spec.loadBalancerClass === undefined;

export const hasFinalizer = ({ metadata }: Service): boolean => metadata.finalizers?.includes(FINALIZER) === true;

/** Whether a balancer that was made must go. */
export const needsCleanup = (service: Service): boolean =>
  hasFinalizer(service) && (service.metadata.deletionTimestamp !== undefined || service.spec?.type !== "LoadBalancer");

/** All of a Service that a balancer is made from. */
function balanced({ metadata, spec }: Service): unknown {
  return [
    metadata.uid,
    metadata.annotations ?? {},
    spec?.loadBalancerSourceRanges ?? [],
    (spec?.ports ?? []).map((port) => [
      port.name ?? "",
      port.protocol ?? "TCP",
      port.port,
      port.nodePort ?? 0,
      port.targetPort,
      port.appProtocol,
    ]),
    spec?.sessionAffinity,
    spec?.sessionAffinityConfig,
    spec?.loadBalancerIP ?? "",
    spec?.externalIPs ?? [],
    spec?.externalTrafficPolicy,
    spec?.healthCheckNodePort ?? 0,
    (spec?.ipFamilies ?? []).length,
  ];
}

/** Whether a change of the Service matters to its balancer. */
export function needsUpdate(old: Service, service: Service): boolean {
  if (!wantsLoadBalancer(old) && !wantsLoadBalancer(service)) return false;
  if (wantsLoadBalancer(old) !== wantsLoadBalancer(service)) return true;
  return JSON.stringify(balanced(old)) !== JSON.stringify(balanced(service));
}

const TRUE = /^(1|t|T|true|TRUE|True)$/;
const FALSE = /^(0|f|F|false|FALSE|False)$/;

/** Whether the node's label lets balancers lead to it. What is no truth value counts as excluded. */
export function isIncluded(node: Node): boolean {
  const label = node.metadata.labels?.["node.kubernetes.io/exclude-from-external-load-balancers"];
  return label === undefined || (FALSE.test(label) && !TRUE.test(label));
}

/** Nodes that balancers may lead to: not excluded, not on their way out. Whether they are ready, their health says. */
export function balancedNodes(nodes: readonly Node[]): readonly Node[] {
  return nodes.filter(
    (node) =>
      node.metadata.deletionTimestamp === undefined &&
      isIncluded(node) &&
      !(node.spec?.taints ?? []).some(({ key }) => key === "ToBeDeletedByClusterAutoscaler"),
  );
}

/** Whether balancers must hear of a node's change. */
export const nodeMatters = (old: Node | undefined, node: Node): boolean =>
  old === undefined || isIncluded(old) !== isIncluded(node) || old.spec?.providerID !== node.spec?.providerID;

/** What a balancer was last brought to. */
export interface Balanced {
  readonly service: Service;
  /** The set of nodes, as `nodesText` writes it. */
  readonly nodes: string;
}

/** A set of nodes in a form that is equal when they are. */
export const nodesText = (nodes: readonly Node[]): string =>
  nodes
    .map(({ metadata, spec }) => `${metadata.name}=${spec?.providerID ?? ""}`)
    .toSorted()
    .join(" ");

export type ServicePlan = "nothing" | "delete" | "ensure" | "update-nodes";

/** What is to be done about a Service; `last` is undefined when its balancer's state is not known. */
export function planService(service: Service, last: Balanced | undefined, nodes: readonly Node[]): ServicePlan {
  if (needsCleanup(service)) return "delete";
  if (!wantsLoadBalancer(service)) return last === undefined ? "nothing" : "delete";
  if (last === undefined || needsUpdate(last.service, service)) return "ensure";
  return last.nodes === nodesText(nodes) ? "nothing" : "update-nodes";
}

/** Whether two lists of addresses say the same, defaults filled in. */
export function sameIngress(a: readonly LoadBalancerIngress[], b: readonly LoadBalancerIngress[]): boolean {
  const text = (list: readonly LoadBalancerIngress[]): string =>
    JSON.stringify(
      list.map(({ ip, hostname, ipMode, ports = [] }) => [
        ip ?? "",
        hostname ?? "",
        ip === undefined ? "" : (ipMode ?? "VIP"),
        ports.map(({ port, protocol, error }) => [port, protocol, error ?? ""]),
      ]),
    );
  return text(a) === text(b);
}

const MOST_NAMES = 20;

/** Node names for people: the first of many. */
export function nodeNames(nodes: readonly Node[]): string {
  const names = nodes.map(({ metadata }) => metadata.name ?? "");
  const shown = names.slice(0, MOST_NAMES).toSorted();
  return `[${[...shown, ...(names.length > MOST_NAMES ? [`<${names.length - MOST_NAMES} more>`] : [])].join(" ")}]`;
}
