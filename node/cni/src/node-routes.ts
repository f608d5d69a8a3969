import { Node } from "@coracle/api/core/v1";
import { aborted, sleep, type Clock, type Logger } from "@coracle/base";
import { createInformerFactory, dropManagedFields, type ApiClient } from "@coracle/client";
import { ipBatch } from "@coracle/linux";

export interface NodeRoutesOptions {
  /** Needs list and watch on nodes. */
  readonly client: ApiClient;
  /** The node whose routes these are: its own pods need none. Absent: not on a node. */
  readonly nodeName?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Destination → gateway of every other node's pods. Pure. */
export function planNodeRoutes(nodes: readonly Node[], nodeName: string | undefined): Map<string, string> {
  const routes = new Map<string, string>();
  for (const node of nodes) {
    if (node.metadata.name === nodeName) continue;
    const address = node.status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    const podCidr = node.spec.podCIDR;
    if (address !== undefined && podCidr !== undefined && podCidr !== "") routes.set(podCidr, address);
  }
  return routes;
}

/** The lines of ip(8) that lead from the routes that are there to those that should be. */
export function routeChanges(current: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): string[] {
  const lines: string[] = [];
  for (const [cidr] of current) if (!wanted.has(cidr)) lines.push(`route del ${cidr}`);
  for (const [cidr, gateway] of wanted) {
    if (current.get(cidr) !== gateway) lines.push(`route replace ${cidr} via ${gateway}`);
  }
  return lines;
}

const RETRY_MS = 1000;

/**
 * Leads packets for other nodes' pods to their nodes, which must be neighbours on one link. Runs until the signal
 * aborts; routes stay, as the network namespace they are in does.
 */
export async function runNodeRoutes(options: NodeRoutesOptions): Promise<void> {
  const { client, nodeName, clock, logger, signal } = options;
  await using factory = createInformerFactory({ client, clock, logger });
  const nodes = factory.informer(Node, { transform: dropManagedFields });
  let current = new Map<string, string>();
  let running: Promise<void> | undefined;
  let isStale = true;
  const apply = async (): Promise<void> => {
    while (isStale && !signal.aborted) {
      isStale = false;
      const wanted = planNodeRoutes(nodes.lister.list(), nodeName);
      try {
        await ipBatch(routeChanges(current, wanted));
        current = wanted;
      } catch (error) {
        logger.error("routes to other nodes could not be set; trying again", { error });
        isStale = true;
        await sleep(clock, RETRY_MS, signal).catch(() => {});
      }
    }
    running = undefined;
  };
  const changed = (): void => {
    isStale = true;
    running ??= apply();
  };
  nodes.addHandlers({ added: changed, updated: changed, deleted: changed });
  await aborted(signal);
  await running;
}
