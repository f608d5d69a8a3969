import { Node, type NodeAddress } from "@coracle/api/core/v1";
import { isConflict } from "@coracle/apimachinery";
import { sleep, type Instant } from "@coracle/base";
import { referenceTo } from "@coracle/client";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { CloudControllerManagerFlags } from "../flags.ts";
import type { CloudMetrics } from "../metrics.ts";
import type { InstanceMetadata, Instances, Zones } from "../provider/cloud-provider.ts";
import { initialized, isUninitialized, missingLabels, planAddresses } from "./plan.ts";

/** A kubelet writes its node's status all the time: a refusal for that is no reason to ask the cloud again. */
const WRITE_TRIES = 20;
const WRITE_PAUSE_MS = 50;

/**
 * Tells each new node what its machine is and lets pods onto it, then keeps its addresses as the cloud has them. One timer
 * a node, of `--node-status-update-frequency`.
 */
export function createCloudNodeController(
  deps: ControllerDeps,
  instances: Instances,
  zones: Zones | undefined,
  flags: CloudControllerManagerFlags,
  metrics: CloudMetrics,
): Controller {
  const { client, informers, clock, random, recorder } = deps;
  const nodes = informers.informer(Node).lister;
  /** When the cloud is asked for a node's addresses next. */
  const askAt = new Map<string, Instant>();

  async function metadataOf(node: Node, signal: AbortSignal): Promise<InstanceMetadata | undefined> {
    const { name } = node.metadata;
    try {
      const metadata = await instances.metadata(node, signal);
      if (metadata === undefined || metadata.zone !== undefined || zones === undefined) return metadata;
      return { ...metadata, ...(await zones.zoneOf(node, signal)) };
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(`failed to get instance metadata for node ${name}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async function writeAddresses(
    node: Node,
    wanted: readonly NodeAddress[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { name = "" } = node.metadata;
    // A list of its own, not merged: strategic merge would keep addresses that are gone.
    if (wanted !== undefined)
      await client.patch(Node, { name }, "merge", { status: { addresses: wanted } }, { subresource: "status", signal });
  }

  async function initialize(
    node: Node,
    metadata: InstanceMetadata,
    discard: (label: string) => void,
    signal: AbortSignal,
  ): Promise<Node> {
    const { name = "", uid } = node.metadata;
    for (let latest = node, tries = 1; ; tries++) {
      try {
        return await client.update(Node, initialized(latest, metadata, discard), { signal });
      } catch (error) {
        if (!isConflict(error) || tries === WRITE_TRIES) throw error;
        await sleep(clock, WRITE_PAUSE_MS * (1 + random.next()), signal);
        latest = await client.get(Node, { name }, { signal });
        // Another machine's by now.
        if (latest.metadata.uid !== uid) throw error;
      }
    }
  }

  return defineController<Node>(deps, {
    name: "cloud-node",
    for: Node,
    workers: flags.concurrentNodeSyncs,
    changed: (node, old) =>
      old === undefined ||
      isUninitialized(node) ||
      JSON.stringify(old.metadata.labels) !== JSON.stringify(node.metadata.labels),
    async reconcile(name, { signal, log }) {
      const node = nodes.byKey(name);
      if (node === undefined) {
        askAt.delete(name);
        return done;
      }
      if (!isUninitialized(node)) {
        const labels = missingLabels(node);
        if (Object.keys(labels).length > 0)
          await client.patch(Node, { name }, "strategic", { metadata: { labels } }, { signal });
        const now = clock.now();
        const at = askAt.get(name) ?? now;
        if (at > now) return requeueAfter(at - now);
        askAt.set(name, now + flags.nodeStatusUpdateFrequencyMs);
        const { addresses = [] } = (await instances.metadata(node, signal)) ?? {};
        await writeAddresses(node, planAddresses(node, addresses), signal);
        return requeueAfter(flags.nodeStatusUpdateFrequencyMs);
      }
      const metadata = await metadataOf(node, signal);
      if (metadata === undefined) {
        log.info("the cloud does not say yet what this node is", { node: name });
        return requeueAfter(flags.nodeMonitorPeriodMs);
      }
      const discard = (label: string): void => log.warn("label of the cloud is left out", { node: name, label });
      const written = await initialize(node, metadata, discard, signal);
      const ageSeconds = (): number =>
        (clock.now() - Date.parse(node.metadata.creationTimestamp ?? new Date(clock.now()).toISOString())) / 1000;
      metrics.taintRemovalSeconds.observe(ageSeconds());
      log.info("node is known to the cloud", { node: name });
      recorder.event(referenceTo(Node, node), "Normal", "Synced", "Node synced successfully");
      await writeAddresses(written, planAddresses(written, metadata.addresses ?? []), signal);
      askAt.set(name, clock.now() + flags.nodeStatusUpdateFrequencyMs);
      metrics.initialSyncSeconds.observe(ageSeconds());
      return requeueAfter(flags.nodeStatusUpdateFrequencyMs);
    },
  });
}
