import { Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { sleep, type Clock, type Logger, type Random } from "@coracle/base";
import { createInformerFactory, dropManagedFields, type ApiClient } from "@coracle/client";
import { deleteConntrack } from "@coracle/linux";
import { staleFlows } from "./conntrack.ts";
import { serveHealth } from "./health/health-servers.ts";
import { createIptablesBackend } from "./iptables/iptables-backend.ts";
import { createNftablesBackend } from "./nftables/nftables-backend.ts";
import type { RuleBackend, RuleOptions } from "./rule-backend.ts";
import { healthCheckPort, servicePorts, type ServicePort } from "./services/service-port.ts";

export interface KubeProxyOptions extends Partial<RuleOptions> {
  readonly client: ApiClient;
  readonly nodeName: string;
  readonly mode: "iptables" | "nftables";
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Shortest time between two rewrites of the rules; changes in between come together. */
  readonly minSyncMs?: number;
  /** 0: not served. */
  readonly healthzPort?: number;
  readonly healthzAddress?: string;
  /** Called after the first complete set of rules is in the kernel. */
  readonly onReady?: () => void;
}

/** Rules are written again after so long even when nothing changed: somebody else may have flushed them. */
const FULL_SYNC_MS = 3_600_000;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 30_000;

function backendOf(options: KubeProxyOptions): RuleBackend {
  const rules: RuleOptions = {
    clusterCidr: options.clusterCidr,
    masqueradeAll: options.masqueradeAll ?? false,
    masqueradeBit: options.masqueradeBit ?? 14,
    localhostNodePorts: options.localhostNodePorts ?? true,
  };
  return options.mode === "nftables" ? createNftablesBackend(rules) : createIptablesBackend(rules);
}

/**
 * Keeps the node's packet rules equal to the cluster's Services until the signal aborts. The rules stay when it
 * ends: a restart must not interrupt traffic. `removeKubeProxyRules` removes them.
 */
export async function runKubeProxy(options: KubeProxyOptions): Promise<void> {
  const { client, nodeName, clock, random, logger, signal, minSyncMs = 50 } = options;
  const backend = backendOf(options);
  await using health = await serveHealth({
    address: options.healthzAddress ?? "0.0.0.0",
    port: options.healthzPort ?? 10_256,
    clock,
    logger,
  });
  await using factory = createInformerFactory({ client, clock, random, logger });
  const services = factory.informer(Service, { transform: dropManagedFields });
  const slices = factory.informer(EndpointSlice, {
    labelSelector: "!service.kubernetes.io/headless",
    transform: dropManagedFields,
    indexes: {
      service: (slice) => [`${slice.metadata.namespace}/${slice.metadata.labels?.["kubernetes.io/service-name"]}`],
    },
  });

  const changed = new Changes(signal);
  const note = (): void => changed.note();
  for (const informer of [services, slices]) informer.addHandlers({ added: note, updated: note, deleted: note });
  await factory.waitForSync(signal);

  let known = new Map<string, ServicePort>();
  let retryMs = FIRST_RETRY_MS;
  let isReady = false;
  for (;;) {
    const all = services.lister.list();
    const slicesOf = (service: Service): readonly EndpointSlice[] =>
      slices.lister.byIndex("service", `${service.metadata.namespace}/${service.metadata.name}`);
    const ports = all
      .flatMap((service) => servicePorts(service, slicesOf(service), nodeName))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    changed.clear();
    try {
      await backend.sync(ports);
      const current = new Map(ports.map((port) => [`${port.id}/${port.protocol}`, port]));
      for (const args of staleFlows(known, current)) await deleteConntrack(args);
      known = current;
      health.setHealthCheckPorts(all.flatMap((service) => healthCheckPort(service, slicesOf(service), nodeName) ?? []));
      health.synced();
      retryMs = FIRST_RETRY_MS;
      if (!isReady) options.onReady?.();
      isReady = true;
      await changed.wait(clock, FULL_SYNC_MS);
      await sleep(clock, minSyncMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      logger.error("rules could not be written; trying again", { error, retryMs });
      await sleep(clock, retryMs, signal);
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }
}

/** Removes every rule of either mode from this network namespace. */
export async function removeKubeProxyRules(): Promise<void> {
  const rules: RuleOptions = {
    clusterCidr: undefined,
    masqueradeAll: false,
    masqueradeBit: 14,
    localhostNodePorts: false,
  };
  await createIptablesBackend(rules).remove();
  await createNftablesBackend(rules).remove();
}

/** Whether something changed since the last look, and a way to wait for it. */
class Changes {
  readonly #signal: AbortSignal;
  #isNoted = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  note(): void {
    this.#isNoted = true;
    this.#wake?.();
  }

  clear(): void {
    this.#isNoted = false;
  }

  /** Resolves at the next change or after `maxMs`; rejects when the signal aborts. */
  async wait(clock: Clock, maxMs: number): Promise<void> {
    if (this.#isNoted) return;
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#wake = undefined;
        timer[Symbol.dispose]();
        this.#signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(this.#signal.reason as Error));
      const timer = clock.after(maxMs, () => end(resolve));
      this.#wake = () => end(resolve);
      this.#signal.addEventListener("abort", onAbort, { once: true });
      if (this.#signal.aborted) onAbort();
    });
  }
}
