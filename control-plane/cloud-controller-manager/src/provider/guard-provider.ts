import type { Node, Service } from "@coracle/api/core/v1";
import { linkSignal, onAbort, type Clock, type Timer } from "@coracle/base";
import type { CloudMetrics } from "../metrics.ts";
import { checkBalancer, checkBalancerIfAny, checkBoolean, checkMetadata, checkRoutes, checkZone } from "./answers.ts";
import type { CloudProvider, Instances, LoadBalancers, Routes, Zones } from "./cloud-provider.ts";

/** Balancers and routes: some clouds take minutes. */
const WORK_LIMIT_MS = 600_000;
/** Questions. */
const ANSWER_LIMIT_MS = 60_000;
/** So long what was told to stop is waited for. A lost lease is another's later than that. */
const GRACE_MS = 2000;

interface Call<T> {
  /** As metrics name it. */
  readonly request: string;
  /** What it is about: of one thing nothing is asked while a former request about it goes on. */
  readonly subject: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly work: (signal: AbortSignal) => unknown;
  /** Throws when the answer makes no sense. */
  readonly check: (answer: unknown) => T;
}

const nothing = (): void => undefined;
const nodeSubject = ({ metadata }: Node): string => `node ${metadata.name}`;
const serviceSubject = ({ metadata }: Service): string => `service ${metadata.namespace}/${metadata.name}`;

/**
 * The provider as the controllers may rely on it: every call ends, by its limit or soon after its signal; answers are of
 * the kinds they should be; what is thrown is an Error. A call that was given up and still goes on holds up further ones
 * about the same thing, and nothing else. Throws when it is none.
 */
export function guardProvider(provider: CloudProvider, clock: Clock, metrics: CloudMetrics): CloudProvider {
  if (typeof provider !== "object" || provider === null || typeof provider.name !== "string" || provider.name === "")
    throw new Error("the cloud provider's package makes no provider: an object with a name is needed");
  const calls = new GuardedCalls(provider.name, clock, metrics);
  const { instances, zones, routes, loadBalancers } = provider;
  return {
    name: provider.name,
    hasClusterId: provider.hasClusterId,
    instances: instances && guardInstances(instances, calls),
    zones: zones && guardZones(zones, calls),
    routes: routes && guardRoutes(routes, calls),
    loadBalancers: loadBalancers && guardBalancers(loadBalancers, calls),
    async [Symbol.asyncDispose]() {
      const ended = (async () => await provider[Symbol.asyncDispose]?.())();
      if (await settles(ended, clock, GRACE_MS)) await ended;
    },
  };
}

/** The provider that `make` promises; when the signal aborts before that it is not waited for. */
export async function providerOf(
  make: () => CloudProvider | Promise<CloudProvider>,
  clock: Clock,
  signal: AbortSignal,
): Promise<CloudProvider> {
  const made = (async () => await make())();
  if (!(await settles(made, clock, Number.MAX_SAFE_INTEGER, signal))) signal.throwIfAborted();
  return await made;
}

class GuardedCalls {
  readonly #providerName: string;
  readonly #clock: Clock;
  readonly #metrics: CloudMetrics;
  /** What is gone on with although nobody waits for it any more. */
  readonly #abandoned = new Set<string>();

  constructor(providerName: string, clock: Clock, metrics: CloudMetrics) {
    this.#providerName = providerName;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  async make<T>(call: Call<T>): Promise<T> {
    const { request, subject } = call;
    if (this.#abandoned.has(subject))
      throw new Error(`the cloud provider still works on a former request for ${subject}`);
    const startedAt = this.#clock.monotonicMs();
    try {
      const answer = call.check(await this.#limited(call));
      this.#metrics.observeCall(this.#providerName, request, (this.#clock.monotonicMs() - startedAt) / 1000);
      return answer;
    } catch (error) {
      this.#metrics.countFailedCall(this.#providerName, request);
      throw error instanceof Error ? error : new Error(String(error), { cause: error });
    }
  }

  async #limited<T>({ request, subject, limitMs, signal, work }: Call<T>): Promise<unknown> {
    signal.throwIfAborted();
    using link = linkSignal(signal);
    // A provider may also throw at once, or answer without a promise.
    const answer = (async () => await work(link.signal))();
    if (await settles(answer, this.#clock, limitMs, signal)) return await answer;
    link.abort(new Error(`the cloud provider did not answer ${request} for ${subject} within ${limitMs / 1000}s`));
    if (!(await settles(answer, this.#clock, GRACE_MS))) {
      this.#abandoned.add(subject);
      const forget = (): void => void this.#abandoned.delete(subject);
      void answer.then(forget, forget);
    }
    throw link.signal.reason;
  }
}

/** Whether `work` settles before the time is up and, when there is a signal, before that aborts. */
async function settles(work: Promise<unknown>, clock: Clock, limitMs: number, signal?: AbortSignal): Promise<boolean> {
  let timer: Timer | undefined;
  let link: Disposable | undefined;
  try {
    return await new Promise<boolean>((resolve) => {
      const settled = (): void => resolve(true);
      work.then(settled, settled);
      timer = clock.after(limitMs, () => resolve(false));
      if (signal !== undefined) link = onAbort(signal, () => resolve(false));
    });
  } finally {
    timer?.[Symbol.dispose]();
    link?.[Symbol.dispose]();
  }
}

function guardInstances(instances: Instances, calls: GuardedCalls): Instances {
  const ask = <T>(
    request: string,
    node: Node,
    signal: AbortSignal,
    work: Call<T>["work"],
    check: Call<T>["check"],
  ): Promise<T> => calls.make({ request, subject: nodeSubject(node), limitMs: ANSWER_LIMIT_MS, signal, work, check });
  return {
    exists: (node, signal) =>
      ask("instance_exists", node, signal, (link) => instances.exists(node, link), checkBoolean),
    isShutDown: (node, signal) =>
      ask("instance_shutdown", node, signal, (link) => instances.isShutDown(node, link), checkBoolean),
    metadata: (node, signal) =>
      ask("instance_metadata", node, signal, (link) => instances.metadata(node, link), checkMetadata),
  };
}

function guardZones(zones: Zones, calls: GuardedCalls): Zones {
  return {
    zoneOf: (node, signal) =>
      calls.make({
        request: "get_zone",
        subject: nodeSubject(node),
        limitMs: ANSWER_LIMIT_MS,
        signal,
        work: (link) => zones.zoneOf(node, link),
        check: checkZone,
      }),
  };
}

function guardRoutes(routes: Routes, calls: GuardedCalls): Routes {
  const work = { limitMs: WORK_LIMIT_MS, check: nothing };
  return {
    list: (clusterName, signal) =>
      calls.make({
        request: "list_routes",
        subject: "the cluster's routes",
        limitMs: ANSWER_LIMIT_MS,
        signal,
        work: (link) => routes.list(clusterName, link),
        check: checkRoutes,
      }),
    create: (clusterName, nameHint, route, signal) =>
      calls.make({
        ...work,
        request: "create_route",
        subject: `route ${route.destinationCidr}`,
        signal,
        work: (link) => routes.create(clusterName, nameHint, route, link),
      }),
    delete: (clusterName, route, signal) =>
      calls.make({
        ...work,
        request: "delete_route",
        subject: `route ${route.destinationCidr}`,
        signal,
        work: (link) => routes.delete(clusterName, route, link),
      }),
  };
}

function guardBalancers(balancers: LoadBalancers, calls: GuardedCalls): LoadBalancers {
  const about = (service: Service, signal: AbortSignal) => ({
    subject: serviceSubject(service),
    limitMs: WORK_LIMIT_MS,
    signal,
  });
  return {
    get: (clusterName, service, signal) =>
      calls.make({
        ...about(service, signal),
        request: "get_load_balancer",
        limitMs: ANSWER_LIMIT_MS,
        work: (link) => balancers.get(clusterName, service, link),
        check: checkBalancerIfAny,
      }),
    ensure: (clusterName, service, nodes, signal) =>
      calls.make({
        ...about(service, signal),
        request: "ensure_load_balancer",
        work: (link) => balancers.ensure(clusterName, service, nodes, link),
        check: checkBalancer,
      }),
    updateNodes: (clusterName, service, nodes, signal) =>
      calls.make({
        ...about(service, signal),
        request: "update_load_balancer",
        work: (link) => balancers.updateNodes(clusterName, service, nodes, link),
        check: nothing,
      }),
    delete: (clusterName, service, signal) =>
      calls.make({
        ...about(service, signal),
        request: "ensure_load_balancer_deleted",
        work: (link) => balancers.delete(clusterName, service, link),
        check: nothing,
      }),
  };
}
