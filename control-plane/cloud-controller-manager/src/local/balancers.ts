import { Node, Service, type LoadBalancerIngress, type LoadBalancerStatus } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { isAbort, sleep, TaskScope } from "@coracle/base";
import { cacheKeyOf, type CacheKey, type Informer } from "@coracle/client";
import { holdsAddress } from "../addresses/ranges.ts";
import type { CloudProviderContext, LoadBalancers } from "../provider/cloud-provider.ts";
import { balancedNodes, sameIngress, wantsLoadBalancer } from "../service/plan.ts";
import { heldAddresses, holdAddress, releaseAddress } from "./balancer-addresses.ts";
import type { LocalConfiguration, LocalMachine } from "./configuration.ts";
import { isThere, type Machines } from "./machines.ts";
import {
  chooseAddresses,
  chooseNode,
  isLocalOnly,
  isReady,
  nodePortIngress,
  nodesWithEndpoints,
  statusAddresses,
} from "./placement.ts";

/** A balancer that was made. */
interface Made {
  readonly ingress: readonly LoadBalancerIngress[];
  /** Node that has the address; undefined: there is no address, or nobody has it. */
  readonly holder: string | undefined;
}

const RETRY_MS = 1000;

const sameNodes = (a: EndpointSlice, b: EndpointSlice): boolean =>
  [...nodesWithEndpoints([a])].toSorted().join() === [...nodesWithEndpoints([b])].toSorted().join();

/**
 * Load balancers out of what a machine has: each Service gets an address of the pool, which one node holds on its link and
 * tells the neighbours of; what arrives there is kube-proxy's. The address moves when its node fails, or has no endpoints
 * any more where that matters. Without a pool Services are reached at the nodes' own ports.
 */
export class LocalBalancers implements LoadBalancers, AsyncDisposable {
  readonly #configuration: LocalConfiguration;
  readonly #machines: Machines;
  readonly #context: CloudProviderContext;
  readonly #services: Informer<Service>;
  readonly #nodes: Informer<Node>;
  #slices: Informer<EndpointSlice> | undefined;
  readonly #made = new Map<CacheKey, Made>();
  readonly #scope: TaskScope;
  readonly #handlers: Disposable[] = [];
  /** The end of the last of those who change addresses: one at a time. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Set<CacheKey>();

  constructor(configuration: LocalConfiguration, machines: Machines, context: CloudProviderContext) {
    this.#configuration = configuration;
    this.#machines = machines;
    this.#context = context;
    this.#services = context.informers.informer(Service);
    this.#nodes = context.informers.informer(Node);
    this.#scope = new TaskScope(context.signal);
    const look = (node: Node, old?: Node): void => {
      if (old === undefined || isReady(old) !== isReady(node)) this.#lookAgain([...this.#made.keys()]);
    };
    this.#handlers.push(
      this.#nodes.addHandlers({ updated: (old, node) => look(node, old), deleted: (node) => look(node) }),
    );
    this.#scope.run(async (signal) => this.#sweep(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handler of this.#handlers) handler[Symbol.dispose]();
    await this.#scope[Symbol.asyncDispose]();
    await this.#last.catch(() => undefined);
  }

  async get(_clusterName: string, service: Service): Promise<LoadBalancerStatus | undefined> {
    const made = this.#made.get(cacheKeyOf(service));
    if (made !== undefined) return { ingress: made.ingress };
    // After a restart: what the kernel has is there.
    const addresses = statusAddresses(service, this.#configuration.addressPool);
    if (addresses.length === 0) return undefined;
    for (const machine of this.#machinesThere())
      if ((await heldAddresses(machine.networkNamespace)).some((held) => addresses.includes(held.address)))
        return service.status?.loadBalancer ?? {};
    return undefined;
  }

  async ensure(_clusterName: string, service: Service, nodes: readonly Node[]): Promise<LoadBalancerStatus> {
    return { ingress: await this.#exclusively(() => this.#bring(service, nodes)) };
  }

  async updateNodes(
    _clusterName: string,
    service: Service,
    nodes: readonly Node[],
    signal: AbortSignal,
  ): Promise<void> {
    const ingress = await this.#exclusively(() => this.#bring(service, nodes));
    await this.#report(service, ingress, signal);
  }

  async delete(_clusterName: string, service: Service): Promise<void> {
    const key = cacheKeyOf(service);
    await this.#exclusively(async () => {
      const addresses = new Set((this.#made.get(key)?.ingress ?? []).flatMap(({ ip }) => ip ?? []));
      const taken = this.#taken(key);
      for (const known of statusAddresses(service, this.#configuration.addressPool))
        if (!taken.has(known)) addresses.add(known);
      for (const address of addresses)
        if (holdsAddress(this.#configuration.addressPool, address)) await this.#place(address, undefined);
      this.#made.delete(key);
    });
  }

  #machinesThere(): readonly LocalMachine[] {
    return this.#configuration.machines.filter(isThere);
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  /** Address → Service that has it, but for `key`. */
  #taken(key: CacheKey): Map<string, CacheKey> {
    const { addressPool } = this.#configuration;
    const taken = new Map<string, CacheKey>();
    for (const service of this.#services.lister.list()) {
      const other = cacheKeyOf(service);
      if (other === key || !wantsLoadBalancer(service)) continue;
      for (const address of statusAddresses(service, addressPool)) taken.set(address, other);
    }
    for (const [other, { ingress }] of this.#made)
      if (other !== key) for (const { ip } of ingress) if (ip !== undefined) taken.set(ip, other);
    return taken;
  }

  /** Makes the Service's balancer what it should be now, and answers where it is reached. */
  async #bring(service: Service, nodes: readonly Node[]): Promise<readonly LoadBalancerIngress[]> {
    const key = cacheKeyOf(service);
    const { addressPool } = this.#configuration;
    const withEndpoints = isLocalOnly(service) ? await this.#nodesWithEndpoints(service) : new Set<string>();
    if (addressPool.length === 0) {
      const ingress = nodePortIngress(service, nodes, withEndpoints);
      this.#made.set(key, { ingress, holder: undefined });
      return ingress;
    }
    const former = this.#made.get(key);
    const had = (former?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
    const chosen = chooseAddresses(service, addressPool, this.#taken(key), had);
    for (const address of had) if (!chosen.includes(address)) await this.#place(address, undefined);
    const machines = new Map<string, LocalMachine>();
    for (const node of nodes) {
      const machine = await this.#machines.of(node);
      if (machine !== undefined && isThere(machine)) machines.set(node.metadata.name ?? "", machine);
    }
    const holders = [...this.#made].filter(([other]) => other !== key).map(([, { holder }]) => holder);
    const candidates = nodes
      .filter(({ metadata: { name = "" } }) => machines.has(name))
      .map((node) => ({
        name: node.metadata.name ?? "",
        isReady: isReady(node),
        hasEndpoints: withEndpoints.has(node.metadata.name ?? ""),
        load: holders.filter((holder) => holder === node.metadata.name).length,
      }));
    const current = former?.holder ?? (await this.#holderOf(chosen, machines));
    const holder = chooseNode(candidates, current, isLocalOnly(service));
    for (const address of chosen) await this.#place(address, holder === undefined ? undefined : machines.get(holder));
    const ingress = chosen.map((ip): LoadBalancerIngress => ({ ip, ipMode: "VIP" }));
    this.#made.set(key, { ingress, holder });
    if (holder !== undefined && holder !== former?.holder)
      this.#context.logger.info("load balancer's addresses have a place", {
        service: key,
        addresses: chosen,
        node: holder,
      });
    return ingress;
  }

  async #holderOf(
    addresses: readonly string[],
    machines: ReadonlyMap<string, LocalMachine>,
  ): Promise<string | undefined> {
    for (const [name, { networkNamespace }] of machines)
      if ((await heldAddresses(networkNamespace)).some((held) => addresses.includes(held.address))) return name;
    return undefined;
  }

  /** Gives the address to one machine, or none, and takes it from all others. */
  async #place(address: string, machine: LocalMachine | undefined): Promise<void> {
    for (const other of this.#machinesThere())
      if (other !== machine) await releaseAddress(other.networkNamespace, address);
    if (machine === undefined) return;
    const holder = { netns: machine.networkNamespace, link: this.#configuration.interface };
    await holdAddress(holder, address, this.#context.clock);
  }

  /** Writes where the Service is reached now, when that changed after its balancer was made. */
  async #report(service: Service, ingress: readonly LoadBalancerIngress[], signal: AbortSignal): Promise<void> {
    if (sameIngress(ingress, service.status?.loadBalancer?.ingress ?? [])) return;
    const { namespace, name = "" } = service.metadata;
    const status = { loadBalancer: { ingress: ingress.length === 0 ? null : ingress } };
    await this.#context.client.patch(
      Service,
      { namespace, name },
      "strategic",
      { status },
      { subresource: "status", signal },
    );
  }

  /** Brings these balancers up to date soon, again and again until it works. */
  #lookAgain(keys: readonly CacheKey[]): void {
    for (const key of keys) {
      if (this.#waiting.has(key) || this.#context.signal.aborted) continue;
      this.#waiting.add(key);
      this.#scope.run(async (signal) => {
        while (this.#waiting.delete(key) && !signal.aborted) {
          try {
            await this.#exclusively(async () => {
              const service = this.#services.lister.byKey(key);
              // It may have gone while others had their turn.
              if (service === undefined || !this.#made.has(key) || signal.aborted) return;
              const ingress = await this.#bring(service, balancedNodes(this.#nodes.lister.list()));
              await this.#report(service, ingress, signal);
            });
          } catch (error) {
            if (isAbort(error, signal)) return;
            this.#context.logger.warn("load balancer could not follow its nodes; trying again", {
              service: key,
              error,
            });
            this.#waiting.add(key);
            await sleep(this.#context.clock, RETRY_MS, signal).catch(() => undefined);
          }
        }
      });
    }
  }

  /** Endpoints are followed from the first Service on for which it matters where they are. */
  async #nodesWithEndpoints(service: Service): Promise<ReadonlySet<string>> {
    const keyOf = (slice: EndpointSlice): CacheKey =>
      `${slice.metadata.namespace}/${slice.metadata.labels?.["kubernetes.io/service-name"]}`;
    if (this.#slices === undefined) {
      this.#slices = this.#context.informers.informer(EndpointSlice, {
        indexes: { service: (slice) => [keyOf(slice)] },
      });
      const look = (slice: EndpointSlice): void => {
        const key = keyOf(slice);
        const known = this.#services.lister.byKey(key);
        if (known !== undefined && isLocalOnly(known) && this.#made.has(key)) this.#lookAgain([key]);
      };
      this.#handlers.push(
        this.#slices.addHandlers({
          added: (slice) => look(slice),
          updated(old, slice) {
            if (!sameNodes(old, slice)) look(slice);
          },
          deleted: look,
        }),
      );
    }
    await this.#slices.waitForSync(this.#context.signal);
    return nodesWithEndpoints(this.#slices.lister.byIndex("service", cacheKeyOf(service)));
  }

  /** Addresses of the pool that no Service has any more: somebody removed it while nobody looked. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { addressPool } = this.#configuration;
    if (addressPool.length === 0) return;
    try {
      await this.#services.waitForSync(signal);
      await this.#exclusively(async () => {
        const taken = this.#taken("");
        for (const { networkNamespace } of this.#machinesThere())
          for (const { address } of await heldAddresses(networkNamespace))
            if (holdsAddress(addressPool, address) && !taken.has(address))
              await releaseAddress(networkNamespace, address);
      });
    } catch (error) {
      if (!signal.aborted) this.#context.logger.warn("addresses of former load balancers may be left", { error });
    }
  }
}
