import type { Node, NodeAddress, NodeCondition } from "@coracle/api/core/v1";
import { timestamp } from "../time/timestamp.ts";
import type { Route } from "../provider/cloud-provider.ts";

/** What is wrong with the routes: those to remove first, and those to make then. */
export interface RoutePlan {
  readonly remove: readonly Route[];
  readonly create: readonly { readonly node: Node; readonly destinationCidr: string }[];
}

const sameAddresses = (a: readonly NodeAddress[], b: readonly NodeAddress[]): boolean =>
  a.length === b.length &&
  a.every((one) => b.some(({ type, address }) => type === one.type && address === one.address));

const podCidrsOf = (node: Node): readonly string[] => node.spec?.podCIDRs ?? [];

/** Whether the route leads where it should. */
function leadsTo(route: Route, node: Node, cidr: string): boolean {
  if (route.isBlackhole === true || route.destinationCidr !== cidr || route.targetNode !== node.metadata.name)
    return false;
  const { targetNodeAddresses } = route;
  return targetNodeAddresses === undefined || sameAddresses(targetNodeAddresses, node.status?.addresses ?? []);
}

function byDestination<T extends { readonly destinationCidr: string }>(all: readonly T[]): ReadonlyMap<string, T[]> {
  const found = new Map<string, T[]>();
  for (const each of all) {
    const same = found.get(each.destinationCidr);
    if (same === undefined) found.set(each.destinationCidr, [each]);
    else same.push(each);
  }
  return found;
}

/** Every range of every node gets one route; routes within the cluster's ranges that no node wants are removed. */
export function planRoutes(
  nodes: readonly Node[],
  routes: readonly Route[],
  isOurs: (cidr: string) => boolean,
): RoutePlan {
  const wanted = nodes.flatMap((node) => podCidrsOf(node).map((destinationCidr) => ({ node, destinationCidr })));
  const wantedBy = byDestination(wanted);
  const routesTo = byDestination(routes);
  const isWanted = (route: Route): boolean =>
    wantedBy.get(route.destinationCidr)?.some(({ node }) => leadsTo(route, node, route.destinationCidr)) === true;
  return {
    remove: routes.filter((route) => isOurs(route.destinationCidr) && !isWanted(route)),
    create: wanted.filter(
      ({ node, destinationCidr }) =>
        routesTo.get(destinationCidr)?.some((route) => leadsTo(route, node, destinationCidr)) !== true,
    ),
  };
}

/** The condition that says whether the node's pods can be reached; undefined: it says so already. */
export function planNetworkCondition(node: Node, isReachable: boolean, now: number): NodeCondition | undefined {
  const status = isReachable ? "False" : "True";
  if (node.status?.conditions?.some((each) => each.type === "NetworkUnavailable" && each.status === status))
    return undefined;
  const at = timestamp(now);
  return {
    type: "NetworkUnavailable",
    status,
    reason: isReachable ? "RouteCreated" : "NoRouteCreated",
    message: isReachable ? "RouteController created a route" : "RouteController failed to create a route",
    lastHeartbeatTime: at,
    lastTransitionTime: at,
  };
}
