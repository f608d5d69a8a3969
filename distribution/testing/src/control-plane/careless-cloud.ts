import type { Service } from "@coracle/api/core/v1";
import { sleep, type Clock, type Random } from "@coracle/base";
import type { CloudProvider, Route } from "@coracle/cloud-controller-manager";

interface Balancer {
  readonly id: string;
  readonly service: string;
  readonly address: string;
}

/** A process's way to the cloud. */
export interface CloudLink {
  readonly provider: CloudProvider;
  /** The process is no more: what it asked for may still happen, and it hears of nothing. */
  cut(): void;
}

/**
 * A cloud that makes whatever it is asked to make, also twice: whoever asks has to look first. Requests take their time, and
 * do what they do in the middle of it. It remembers what should never have been asked.
 */
export class CarelessCloud {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #mostMs: number;
  readonly balancers: Balancer[] = [];
  readonly routes: Route[] = [];
  /** What was made although it was there. */
  readonly madeTwice: string[] = [];
  /** Balancers made so far. */
  made = 0;
  /** By a Service's name: its balancer is made when that says so, whoever still waits for it. */
  readonly jams = new Map<string, Promise<void>>();

  constructor(clock: Clock, random: Random, mostMs: number) {
    this.#clock = clock;
    this.#random = random;
    this.#mostMs = mostMs;
  }

  connect(): CloudLink {
    let isCut = false;
    const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
    /** A request heeds no signal: who sent it cannot take it back. */
    const request = async <T>(work: () => T): Promise<T> => {
      if (isCut) return await never();
      const half = (this.#random.next() * this.#mostMs) / 2;
      await sleep(this.#clock, half);
      const answer = work();
      await sleep(this.#clock, half);
      return isCut ? await never() : answer;
    };
    const of = ({ metadata }: Service): string => `${metadata.namespace}/${metadata.name} ${metadata.uid}`;
    const find = (service: Service) => request(() => this.balancers.find((each) => each.service === of(service)));
    const ingressOf = ({ address }: Balancer) => ({ ingress: [{ ip: address }] });
    const provider: CloudProvider = {
      name: "careless",
      instances: {
        exists: () => request(() => true),
        isShutDown: () => request(() => false),
        metadata: ({ metadata: { name } }) => request(() => ({ providerId: `careless://${name}` })),
      },
      routes: {
        list: () => request(() => [...this.routes]),
        create: (_cluster, nameHint, route) => request(() => this.#makeRoute({ ...route, name: nameHint })),
        delete: (_cluster, { name, destinationCidr }) =>
          request(() => remove(this.routes, (each) => each.name === name && each.destinationCidr === destinationCidr)),
      },
      loadBalancers: {
        async get(_cluster, service) {
          const found = await find(service);
          return found && ingressOf(found);
        },
        ensure: async (_cluster, service, _nodes, signal) => {
          const found = await find(service);
          // This much care any provider takes.
          signal.throwIfAborted();
          await this.jams.get(service.metadata.name ?? "");
          return ingressOf(found ?? (await request(() => this.#makeBalancer(of(service)))));
        },
        updateNodes: async () => request(() => undefined),
        delete: async (_cluster, service) => {
          const found = await find(service);
          if (found !== undefined) await request(() => remove(this.balancers, ({ id }) => id === found.id));
        },
      },
    };
    return { provider, cut: () => void (isCut = true) };
  }

  #makeBalancer(service: string): Balancer {
    if (this.balancers.some((each) => each.service === service)) this.madeTwice.push(service);
    const id = String(++this.made);
    const balancer = { id, service, address: `203.0.${this.made >> 8}.${this.made & 255}` };
    this.balancers.push(balancer);
    return balancer;
  }

  #makeRoute(route: Route): void {
    const isThere = this.routes.some(({ destinationCidr }) => destinationCidr === route.destinationCidr);
    if (isThere) this.madeTwice.push(route.destinationCidr);
    this.routes.push(route);
  }
}

function remove<T>(from: T[], isIt: (item: T) => boolean): void {
  const at = from.findIndex(isIt);
  if (at !== -1) from.splice(at, 1);
}
