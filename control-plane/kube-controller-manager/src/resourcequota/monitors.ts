import type { KubeObject, ResourceType } from "@coracle/api";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { PersistentVolumeClaim, Pod, Service } from "@coracle/api/core/v1";
import { ResourceClaim } from "@coracle/api/resource/v1";
import { Cleanup } from "@coracle/base";
import { createInformer, type Informer, type OwnedInformer } from "@coracle/client";
import type { ControllerDeps } from "@coracle/controller-kit";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";
import { mayReplenish, type CountedKind } from "./plan.ts";

/** Counted by what they say, and followed by other controllers, too. Others are counted by their metadata. */
const WHOLE: Readonly<Record<string, ResourceType<KubeObject>>> = {
  "/pods": Pod as unknown as ResourceType<KubeObject>,
  "/services": Service as unknown as ResourceType<KubeObject>,
  "/persistentvolumeclaims": PersistentVolumeClaim as unknown as ResourceType<KubeObject>,
  "resource.k8s.io/resourceclaims": ResourceClaim as unknown as ResourceType<KubeObject>,
};
const COUNTABLE = ["create", "list", "watch", "delete"];

const idOf = ({ group, resource }: CountedKind): string => `${group}/${resource}`;

interface Monitor {
  readonly kind: CountedKind;
  readonly informer: Informer<KubeObject>;
  readonly handlers: Disposable;
  /** Set when the informer is this monitor's own. */
  readonly owned: OwnedInformer<KubeObject> | undefined;
}

/** Follows the kinds that some quota counts, and no others. */
export class QuotaMonitors implements AsyncDisposable {
  readonly #deps: ControllerDeps;
  readonly #replenished: (kind: CountedKind, namespace: string) => void;
  readonly #servedAnew: () => void;
  readonly #monitors = new Map<string, Monitor>();
  readonly #retired: PromiseLike<void>[] = [];
  #served: Promise<readonly DiscoveredResource[]> | undefined;
  #definitions: OwnedInformer<CustomResourceDefinition> | undefined;

  /** `replenished`: something was given back; `servedAnew`: other kinds are served than before. */
  constructor(
    deps: ControllerDeps,
    replenished: (kind: CountedKind, namespace: string) => void,
    servedAnew: () => void,
  ) {
    this.#deps = deps;
    this.#replenished = replenished;
    this.#servedAnew = servedAnew;
  }

  /** The objects of a kind in a namespace, once all are known; undefined: nobody serves the kind. */
  async objects(kind: CountedKind, namespace: string, signal: AbortSignal): Promise<readonly KubeObject[] | undefined> {
    const monitor = this.#monitors.get(idOf(kind)) ?? (await this.#start(kind, signal));
    if (monitor === undefined) return undefined;
    await monitor.informer.waitForSync(signal);
    return monitor.informer.lister.list(namespace);
  }

  /** Lets go of the kinds that are not counted any more. */
  retain(kinds: readonly CountedKind[]): void {
    const wanted = new Set(kinds.map(idOf));
    for (const [id, monitor] of this.#monitors) if (!wanted.has(id)) this.#retire(id, monitor);
  }

  async #start(kind: CountedKind, signal: AbortSignal): Promise<Monitor | undefined> {
    const whole = WHOLE[idOf(kind)];
    const type = whole ?? (await this.#typeOf(kind, signal));
    // Somebody else may have been quicker while the server was asked.
    const known = this.#monitors.get(idOf(kind));
    if (known !== undefined || type === undefined) return known;
    const { clock, random, informers, client } = this.#deps;
    const owned =
      whole === undefined
        ? createInformer({ client, clock, random }, type, { metadataOnly: true, transform: bare })
        : undefined;
    const informer = owned ?? informers.informer(type);
    const changed = ({ metadata }: KubeObject): void => this.#replenished(kind, metadata.namespace ?? "");
    const handlers = informer.addHandlers({
      updated: (old, current) => mayReplenish(kind, old, current, clock.now()) && changed(current),
      deleted: changed,
    });
    const monitor: Monitor = { kind, informer, handlers, owned };
    this.#monitors.set(idOf(kind), monitor);
    return monitor;
  }

  async #typeOf({ group, resource }: CountedKind, signal: AbortSignal): Promise<DiscoveredResource | undefined> {
    this.#followDefinitions();
    const find = async (): Promise<DiscoveredResource | undefined> => {
      this.#served ??= discoverResources(this.#deps.client, signal).then((found) => found.resources);
      try {
        const types = await this.#served;
        return types.find((type) => type.group === group && type.plural === resource);
      } catch (error) {
        this.#served = undefined;
        throw error;
      }
    };
    let type = await find();
    if (type === undefined) {
      this.#served = undefined;
      type = await find();
    }
    if (type?.namespaced !== true || !COUNTABLE.every((verb) => type.verbs.has(verb))) return undefined;
    return type;
  }

  /** Custom kinds come and go. */
  #followDefinitions(): void {
    if (this.#definitions !== undefined) return;
    const { client, clock, random } = this.#deps;
    this.#definitions = createInformer({ client, clock, random }, CustomResourceDefinition, {
      transform: ({ metadata, spec, status }) => ({
        metadata: { name: metadata.name, uid: metadata.uid, resourceVersion: metadata.resourceVersion },
        spec: { group: spec.group, names: spec.names, scope: spec.scope, versions: [] },
        ...(status?.conditions === undefined ? {} : { status: { conditions: status.conditions } }),
      }),
    });
    const stale = (): void => {
      if (this.#definitions?.synced !== true) return;
      this.#served = undefined;
      this.#servedAnew();
    };
    this.#definitions.addHandlers({
      added: stale,
      updated: stale,
      deleted: ({ spec }) => {
        const id = `${spec.group}/${spec.names.plural}`;
        const monitor = this.#monitors.get(id);
        if (monitor !== undefined) this.#retire(id, monitor);
        stale();
      },
    });
  }

  #retire(id: string, monitor: Monitor): void {
    this.#monitors.delete(id);
    monitor.handlers[Symbol.dispose]();
    if (monitor.owned !== undefined) this.#retired.push(monitor.owned[Symbol.asyncDispose]());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using cleanup = new Cleanup();
    for (const [id, monitor] of this.#monitors) this.#retire(id, monitor);
    if (this.#definitions !== undefined) cleanup.use(this.#definitions);
    await Promise.all(this.#retired);
  }
}

/** To be counted an object needs no more than its name. */
function bare({ metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = metadata;
  return { metadata: { name, namespace, uid, resourceVersion } };
}
