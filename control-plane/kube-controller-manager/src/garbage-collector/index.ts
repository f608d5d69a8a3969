import { apiVersionOf, type KubeObject } from "@coracle/api";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { isNotFound, isConflict, isStatusError } from "@coracle/apimachinery";
import { aborted, Cleanup, isAbort, onAbort, sleep, TaskScope, type Logger } from "@coracle/base";
import { createInformer, createWorkQueue, type Informer, type WorkQueue } from "@coracle/client";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import {
  graphNode,
  isOrphaning,
  isWaitingForDependents,
  ORPHAN,
  OwnerGraph,
  type Answer,
  type GraphNode,
  type Verdict,
} from "./graph.ts";

/** Kinds that own nothing and are owned by nobody, and come in numbers. */
const IGNORED: ReadonlySet<string> = new Set(["/events", "events.k8s.io/events"]);
/** Kinds whose changes may mean that other kinds are served now. */
const SERVED_BY: ReadonlySet<string> = new Set([
  "apiextensions.k8s.io/customresourcedefinitions",
  "apiregistration.k8s.io/apiservices",
]);
const RESYNC_MS = 1000;

const idOf = (type: DiscoveredResource): string => `${type.group}/${type.plural}`;
const isMonitorable = (type: DiscoveredResource): boolean =>
  ["list", "watch", "delete"].every((verb) => type.verbs.has(verb)) && !IGNORED.has(idOf(type));

/**
 * Deletes what has owners and none of them exists any more, holds back what is deleted in the foreground until its
 * dependents are gone, and lets dependents go where that was asked for. Watches the metadata of everything.
 */
export function createGarbageCollector(
  deps: ControllerDeps,
  workers = 20,
  metrics?: Pick<ControllerMetrics, "resourcesNotSynced">,
): Controller {
  return {
    name: "garbage-collector",
    async run(signal) {
      const log = deps.logger.child({ controller: "garbage-collector" });
      await using scope = new TaskScope(signal);
      await using monitors = new Monitors(deps, log, () => metrics?.resourcesNotSynced());
      const { graph } = monitors;
      const makeQueue = (name: string): WorkQueue<string> =>
        createWorkQueue({ clock: deps.clock, maxDelayMs: 30_000, observer: deps.queueMetrics?.of(name) });
      const toDelete = makeQueue("garbage-collector");
      const toOrphan = makeQueue("garbage-collector-orphans");
      const look = (uid: string): void => {
        const node = graph.get(uid);
        (node !== undefined && isOrphaning(node) ? toOrphan : toDelete).add(uid);
      };
      /** One object is the business of one queue at a time. */
      const workOn = async (queue: WorkQueue<string>, uid: string): Promise<void> => {
        const node = graph.get(uid);
        try {
          if (node !== undefined && isOrphaning(node) !== (queue === toOrphan)) look(uid);
          else await collect(deps, monitors, uid, look, scope.signal);
          queue.forget(uid);
        } catch (error) {
          if (isAbort(error, scope.signal)) return;
          const expected = isConflict(error) || isStatusError(error, "ServiceUnavailable");
          log[expected ? "debug" : "warn"]("object not collected", { uid, error: (error as Error).message });
          queue.addRateLimited(uid);
        }
      };
      monitors.look = (uids) => {
        for (const uid of uids) look(uid);
      };
      scope.run(async (running) => monitors.follow(running));
      await monitors.ready(scope.signal);
      for (const queue of [toDelete, toOrphan])
        scope.run(async (running) => queue.run(workers, async (uid) => workOn(queue, uid), running));
      await scope.join();
    },
  };
}

async function collect(
  deps: ControllerDeps,
  monitors: Monitors,
  uid: string,
  look: (uid: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { graph } = monitors;
  const node = graph.get(uid);
  if (node === undefined) return;
  tellOutOfReach(deps, node, graph.outOfReach(node));
  if (isOrphaning(node)) return await orphanDependents(deps, graph, node, signal);
  let verdict: Verdict = graph.decide(uid);
  if (verdict.action === "ask") {
    const answers = new Map<OwnerReference, Answer>();
    for (const owner of verdict.owners) {
      const type = monitors.typeOf(owner.apiVersion, owner.kind);
      if (type === undefined) throw new Error(`no resource is served for ${owner.apiVersion} ${owner.kind}`);
      // That is wrong, and stays so: nobody can tell whether such an owner is there.
      if (type.namespaced && node.namespace === undefined) return;
      const answer = await ask(deps, type, node, owner, signal);
      if (answer === undefined) graph.markAbsent(owner, node, type.namespaced);
      else if (graph.get(owner.uid) === undefined) return; // it will be seen, and what it owns looked at again
      else answers.set(owner, answer);
    }
    verdict = graph.decide(uid, answers);
  }
  switch (verdict.action) {
    case "none":
    case "ask":
      return;
    case "collectDependents":
      for (const dependent of verdict.uids) look(dependent);
      return;
    case "removeFinalizer":
      return await removeFinalizer(deps, node, verdict.finalizer, signal);
    case "unblock": {
      // Its change is seen, and it is looked at again.
      const ownerReferences = node.owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
      return await patchMetadata(deps, node, { ownerReferences }, signal);
    }
    case "removeOwners":
      return await removeOwners(deps, node, new Set(verdict.uids), signal);
    case "delete":
      return await ignoreGone(
        deps.client.delete(node.type, node, {
          propagationPolicy: verdict.policy,
          // If it changed meanwhile it may have found another owner.
          preconditions: { uid: node.uid, resourceVersion: node.resourceVersion },
          signal,
        }),
      );
  }
}

/** People are told of owners that exist, but in a namespace from where they can own nothing here. */
function tellOutOfReach({ recorder }: ControllerDeps, node: GraphNode, owners: readonly OwnerReference[]): void {
  const { type, namespace = "", name, uid } = node;
  const reference = { kind: type.kind, apiVersion: apiVersionOf(type), namespace, name, uid };
  for (const owner of owners) {
    const identity = `[${owner.apiVersion}/${owner.kind}, namespace: ${namespace}, name: ${owner.name}, uid: ${owner.uid}]`;
    const message = `ownerRef ${identity} does not exist in namespace ${JSON.stringify(namespace)}`;
    recorder.event(reference, "Warning", "OwnerRefInvalidNamespace", message);
  }
}

/** What the server has where the reference leads; undefined: nothing, or something else. */
async function ask(
  deps: ControllerDeps,
  type: DiscoveredResource,
  dependent: GraphNode,
  { name, uid }: OwnerReference,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  try {
    const namespace = type.namespaced ? dependent.namespace : undefined;
    const owner = await deps.client.get(type, { namespace, name }, { metadataOnly: true, signal });
    if (owner.metadata.uid !== uid) return undefined;
    return isWaitingForDependents(graphNode(type, owner)) ? "waiting" : "solid";
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function orphanDependents(
  deps: ControllerDeps,
  graph: OwnerGraph,
  node: GraphNode,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    graph.dependentsOf(node.uid).map(async (each) => removeOwners(deps, each, new Set([node.uid]), signal)),
  );
  await removeFinalizer(deps, node, ORPHAN, signal);
}

/** A merge patch works on custom resources too; the resourceVersion guards the lists, which it replaces. */
async function patchMetadata(
  deps: ControllerDeps,
  node: GraphNode,
  metadata: Record<string, unknown>,
  signal: AbortSignal,
): Promise<void> {
  const body = { metadata: { ...metadata, uid: node.uid, resourceVersion: node.resourceVersion } };
  await ignoreGone(deps.client.patch(node.type, node, "merge", body, { metadataOnly: true, signal }));
}

async function removeOwners(
  deps: ControllerDeps,
  node: GraphNode,
  uids: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const left = node.owners.filter((owner) => !uids.has(owner.uid));
  await patchMetadata(deps, node, { ownerReferences: left.length === 0 ? null : left }, signal);
}

async function removeFinalizer(
  deps: ControllerDeps,
  node: GraphNode,
  finalizer: string,
  signal: AbortSignal,
): Promise<void> {
  const left = node.finalizers.filter((each) => each !== finalizer);
  await patchMetadata(deps, node, { finalizers: left.length === 0 ? null : left }, signal);
}

async function ignoreGone(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

interface Monitor extends AsyncDisposable {
  readonly informer: Informer<KubeObject>;
}

/** One watch per served resource, kept in step with what is served; feeds the graph. */
class Monitors implements AsyncDisposable {
  readonly graph = new OwnerGraph();
  look: (uids: readonly string[]) => void = () => {};
  readonly #deps: ControllerDeps;
  readonly #log: Logger;
  /** Called when what is served could not be found out. */
  readonly #failed: () => void;
  readonly #monitors = new Map<string, Monitor>();
  readonly #kinds = new Map<string, DiscoveredResource>();
  readonly #retired: PromiseLike<void>[] = [];
  #wake: (() => void) | undefined;
  #isStale = false;
  #firstDone: (() => void) | undefined;
  readonly #first = new Promise<void>((resolve) => (this.#firstDone = resolve));

  constructor(deps: ControllerDeps, log: Logger, failed: () => void) {
    this.#deps = deps;
    this.#log = log;
    this.#failed = failed;
  }

  /** What a reference means; undefined: nothing that is served, and nobody can tell whether it is there. */
  typeOf(apiVersion: string, kind: string): DiscoveredResource | undefined {
    const [version = "", group = ""] = apiVersion.split("/").toReversed();
    const type = this.#kinds.get(`${group}/${kind}`);
    return type?.versions.has(version) === true ? type : undefined;
  }

  /** Resolves when everything served at first was listed. */
  async ready(signal: AbortSignal): Promise<void> {
    const stopped = aborted(signal);
    await Promise.race([this.#first, stopped]);
    for (const { informer } of this.#monitors.values())
      await Promise.race([informer.waitForSync(signal).catch(() => {}), stopped]);
  }

  /** Discovers, and again whenever a definition of resources changed. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    using _end = onAbort(signal, () => this.#wake?.());
    while (!signal.aborted) {
      this.#isStale = false;
      try {
        const { resources, failures } = await discoverResources(this.#deps.client, signal);
        this.#apply(resources, new Set(failures.map((each) => each.split("/")[0] ?? "")));
        this.#firstDone?.();
      } catch (error) {
        if (isAbort(error, signal)) throw error;
        this.#log.debug("discovery failed", { error: (error as Error).message });
        this.#failed();
        this.#isStale = true;
      }
      if (!this.#isStale && !signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
      await sleep(clock, RESYNC_MS, signal); // definitions come in groups, and are served a moment later
    }
  }

  /** `unknown`: groups that could not be asked; what they serve is not gone for that. */
  #apply(resources: readonly DiscoveredResource[], unknown: ReadonlySet<string>): void {
    const monitored = resources.filter(isMonitorable);
    const served = new Set(monitored.map(idOf));
    this.#kinds.clear();
    for (const type of resources) {
      const id = `${type.group}/${type.kind}`;
      if (!type.plural.includes("/") && !this.#kinds.has(id)) this.#kinds.set(id, type);
    }
    for (const type of monitored)
      if (!this.#monitors.has(idOf(type))) this.#monitors.set(idOf(type), this.#watch(type));
    for (const [id, monitor] of this.#monitors) {
      if (served.has(id) || unknown.has(id.split("/")[0] ?? "")) continue;
      this.#monitors.delete(id);
      for (const uid of this.graph.ofType((type) => idOf(type) === id)) this.look(this.graph.remove(uid));
      this.#retired.push(monitor[Symbol.asyncDispose]());
    }
  }

  /** By whole objects where somebody reads these anyway, else by their metadata. */
  #watch(type: DiscoveredResource): Monitor {
    const { client, clock, random, informers } = this.#deps;
    const shared = informers.existing<KubeObject>(type);
    const own =
      shared === undefined
        ? createInformer({ client, clock, random }, type, { metadataOnly: true, transform: slim })
        : undefined;
    const informer = own ?? (shared as Informer<KubeObject>);
    const definesResources = SERVED_BY.has(idOf(type));
    const changed = (): void => {
      if (!definesResources || !informer.synced) return;
      this.#isStale = true;
      this.#wake?.();
    };
    const put = (object: KubeObject): void => {
      this.look(this.graph.upsert(graphNode(type, object)));
      changed();
    };
    const handlers = informer.addHandlers({
      added: put,
      updated: (_, object) => put(object),
      deleted: (object) => {
        this.look(this.graph.remove(object.metadata.uid ?? ""));
        changed();
      },
    });
    return {
      informer,
      async [Symbol.asyncDispose]() {
        handlers[Symbol.dispose]();
        await own?.[Symbol.asyncDispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using cleanup = new Cleanup();
    for (const monitor of this.#monitors.values()) cleanup.use(monitor);
    this.#monitors.clear();
    await Promise.all(this.#retired);
  }
}

/** The graph holds what matters; the cache behind it keeps as little as it can. */
function slim({ metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata;
  return { metadata: { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } };
}
