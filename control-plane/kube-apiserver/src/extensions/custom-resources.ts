import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import type { OpenApiResource } from "@coracle/api";
import { isConflict, isNotFound, type Draft } from "@coracle/apimachinery";
import type { RulePort } from "@coracle/apimachinery/structural";
import { TaskScope, type Clock, type Logger } from "@coracle/base";
import { createWorkQueue } from "@coracle/client";
import type { ExtensibleCatalog } from "../discovery/extensible-catalog.ts";
import { followResource, type Mirror } from "../registry/registry-mirror.ts";
import type { WorkQueueMetrics } from "../metrics/work-queue-metrics.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import { hasRules } from "./custom-schemas.ts";
import {
  CLEANUP_FINALIZER,
  compareVersions,
  conditionOf,
  DEFINITIONS,
  definitionOf,
  isTrue,
  setCondition,
} from "./definition.ts";
import { openApiResourcesOf } from "./published-types.ts";
import type { ServedDefinition, ServingDeps } from "./served-definition.ts";
import { planStatus } from "./status-plan.ts";

const WORKERS = 4;
const CLEANUP_LIMIT_MS = 60_000;
const RETRY_MAX_MS = 30_000;

/** What follows the definitions needs. */
export interface CustomResourcesDeps extends ServingDeps {
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly catalog: ExtensibleCatalog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where work on definitions is counted. */
  readonly queue: WorkQueueMetrics;
  /** The evaluator of validation rules, loaded when the first definition has some. */
  readonly loadRules: () => Promise<RulePort | undefined>;
  /** The published types have changed. */
  readonly published?: ((resources: readonly OpenApiResource[]) => void) | undefined;
}

/** The running kinds of all definitions. */
export interface CustomResources extends AsyncDisposable {
  /** Resolves once everything that was established at the start is served. */
  readonly ready: Promise<void>;
}

/**
 * Follows the CustomResourceDefinitions: accepts their names, serves their objects, establishes them, cleans up after
 * those that are deleted, and keeps discovery and OpenAPI in step.
 */
export function openCustomResources(deps: CustomResourcesDeps): CustomResources {
  const controller = new DefinitionController(deps);
  return {
    ready: controller.start(),
    [Symbol.asyncDispose]: () => controller.stop(),
  };
}

class DefinitionController {
  readonly #deps: CustomResourcesDeps;
  readonly #log: Logger;
  readonly #known = new Map<string, CustomResourceDefinition>();
  readonly #served = new Map<string, ServedDefinition>();
  readonly #cleaning = new Set<string>();
  readonly #queue;
  readonly #scope = new TaskScope();
  #mirror: Mirror | undefined;
  #rules: RulePort | undefined;

  constructor(deps: CustomResourcesDeps) {
    this.#deps = deps;
    this.#log = deps.logger.child({ controller: "crd" });
    this.#queue = createWorkQueue<string>({ clock: deps.clock, maxDelayMs: RETRY_MAX_MS });
  }

  async start(): Promise<void> {
    this.#mirror = followResource(this.#deps.registry, DEFINITIONS, {
      upsert: (object) => this.#changed(definitionOf(object)),
      removed: (object) => this.#removed(definitionOf(object)),
      reset: () => this.#known.clear(),
    });
    await this.#mirror.synced;
    for (const crd of this.#known.values()) if (isTrue(crd, "Established")) await this.#serve(crd);
    this.#publish();
    this.#scope.run((signal) =>
      this.#queue.run(WORKERS, (name) => this.#deps.queue.work(name, () => this.#work(name, signal)), signal),
    );
  }

  async stop(): Promise<void> {
    this.#mirror?.[Symbol.dispose]();
    await this.#scope[Symbol.asyncDispose]();
    for (const served of this.#served.values()) served.close();
    this.#served.clear();
  }

  #add(name: string): void {
    this.#deps.queue.added(name);
    this.#queue.add(name);
  }

  #retry(name: string): void {
    this.#deps.queue.retried();
    this.#queue.addRateLimited(name);
  }

  /** Called as the change is seen: what is served already follows at once. */
  #changed(crd: CustomResourceDefinition): void {
    const name = crd.metadata.name ?? "";
    this.#known.set(name, crd);
    const served = this.#served.get(name);
    if (served !== undefined && served.uid === crd.metadata.uid && this.#canCompile(crd)) {
      this.#update(served, crd);
      this.#publish();
    }
    this.#add(name);
  }

  #removed(crd: CustomResourceDefinition): void {
    const name = crd.metadata.name ?? "";
    this.#known.delete(name);
    this.#unserve(name);
    this.#publish();
    // Its names are free again.
    this.#requeueGroup(crd);
  }

  #unserve(name: string): void {
    this.#served.get(name)?.close();
    this.#served.delete(name);
  }

  #canCompile(crd: CustomResourceDefinition): boolean {
    return this.#rules !== undefined || !crd.spec.versions.some(hasRules);
  }

  #update(served: ServedDefinition, crd: CustomResourceDefinition): void {
    try {
      served.update(crd, this.#rules);
    } catch (error) {
      this.#log.error("a definition cannot be served as it is now", { name: crd.metadata.name, error });
    }
  }

  /** Serves a definition whose names are accepted. */
  async #serve(crd: CustomResourceDefinition): Promise<void> {
    const name = crd.metadata.name ?? "";
    if (!this.#canCompile(crd)) this.#rules = await this.#deps.loadRules();
    const served = this.#served.get(name);
    if (served !== undefined && served.uid !== crd.metadata.uid) this.#unserve(name);
    else if (served !== undefined) return this.#update(served, crd);
    try {
      // The schema engine is loaded with the first definition: most servers start without any.
      const { ServedDefinition: Served } = await import("./served-definition.ts");
      const opened = await Served.open(crd, this.#deps, this.#rules);
      const current = this.#known.get(name);
      if (current?.metadata.uid !== crd.metadata.uid) return opened.close();
      this.#served.set(name, opened);
      if (current !== crd && current !== undefined) this.#update(opened, current);
    } catch (error) {
      this.#log.error("a definition cannot be served", { name, error });
    }
  }

  #publish(): void {
    const served = [...this.#served.values()].filter(({ crd }) => isTrue(crd, "Established"));
    this.#deps.catalog.setCustom(
      served.flatMap((one) => one.catalogResources()),
      compareVersions,
    );
    this.#deps.published?.(served.flatMap(({ crd }) => openApiResourcesOf(crd)));
  }

  async #work(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#sync(name, signal);
      this.#queue.forget(name);
    } catch (error) {
      if (signal.aborted) return;
      if (!isConflict(error) && !isNotFound(error)) {
        this.#log.warn("a definition's status could not be written", { name, error });
      }
      this.#retry(name);
    }
  }

  async #sync(name: string, signal: AbortSignal): Promise<void> {
    const crd = this.#known.get(name);
    if (crd === undefined) return;
    const { deletionTimestamp, finalizers = [] } = crd.metadata;
    if (deletionTimestamp !== undefined && finalizers.includes(CLEANUP_FINALIZER)) {
      if (!this.#cleaning.has(name)) {
        this.#cleaning.add(name);
        this.#scope.run(() => this.#cleanUp(name, signal));
      }
      return;
    }
    if (isTrue(crd, "NamesAccepted") || isTrue(crd, "Established")) {
      const before = this.#served.get(name);
      if (before?.crd !== crd) {
        await this.#serve(crd);
        this.#publish();
      }
    }
    const facts = { now: this.#deps.clock.now(), hasGoodWebhook: hasGoodBundle(crd) };
    const plan = planStatus(crd, [...this.#known.values()], facts);
    if (plan === undefined) return;
    await this.#writeStatus(crd, plan.status);
    // A name that was given up may be what another one waits for.
    if (plan.step === "names") this.#requeueGroup(crd);
  }

  #requeueGroup(crd: CustomResourceDefinition): void {
    for (const [name, other] of this.#known) {
      if (other.spec.group === crd.spec.group && name !== crd.metadata.name) this.#add(name);
    }
  }

  async #writeStatus(
    crd: CustomResourceDefinition,
    status: CustomResourceDefinition["status"],
    finalizers = crd.metadata.finalizers,
  ): Promise<CustomResourceDefinition> {
    const { managedFields: _managedFields, ...metadata } = crd.metadata;
    const draft = structuredClone({ ...crd, metadata: { ...metadata, finalizers }, status }) as unknown as Draft;
    if (crd.metadata.managedFields !== undefined) {
      (draft.metadata as Draft).managedFields = crd.metadata.managedFields;
    }
    return definitionOf(await this.#deps.objects.updateStatus(DEFINITIONS, "", crd.metadata.name ?? "", draft));
  }

  async #cleanUp(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#finalize(name, signal);
    } catch (error) {
      if (!signal.aborted && !isConflict(error) && !isNotFound(error)) {
        this.#log.warn("a definition's objects could not be deleted", { name, error });
      }
      this.#retry(name);
    } finally {
      this.#cleaning.delete(name);
    }
  }

  async #finalize(name: string, signal: AbortSignal): Promise<void> {
    const found = this.#known.get(name);
    if (found === undefined) return;
    const terminating = (status: "True" | "False", reason: string, message: string) => ({
      type: "Terminating",
      status,
      reason,
      message,
    });
    const say = (crd: CustomResourceDefinition, condition: ReturnType<typeof terminating>) => ({
      ...(crd.status as NonNullable<CustomResourceDefinition["status"]>),
      conditions: setCondition(crd.status?.conditions, condition, this.#deps.clock.now()),
    });
    const begun = terminating("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
    const isBegun = conditionOf(found, "Terminating")?.reason === begun.reason;
    const crd = isBegun ? found : await this.#writeStatus(found, say(found, begun));
    let done: ReturnType<typeof terminating>;
    if (this.#isBuiltIn(crd)) {
      done = terminating("False", "OverlappingBuiltInResource", "instances overlap with built-in resources in storage");
    } else if (isTrue(crd, "Established")) {
      const failed = await this.#deleteObjects(crd, signal);
      if (failed !== undefined) {
        await this.#writeStatus(crd, say(crd, terminating("True", failed.reason, failed.message)));
        throw new Error(failed.message);
      }
      done = terminating("False", "InstanceDeletionCompleted", "removed all instances");
    } else done = terminating("False", "NeverEstablished", "resource was never established");
    const left = crd.metadata.finalizers?.filter((one) => one !== CLEANUP_FINALIZER);
    await this.#writeStatus(crd, say(crd, done), left);
  }

  #isBuiltIn(crd: CustomResourceDefinition): boolean {
    const { group, names } = crd.spec;
    return crd.spec.versions.some(({ name }) => this.#deps.catalog.find(group, name, names.plural)?.isCustom === false);
  }

  /** Undefined: nothing is left. */
  async #deleteObjects(
    crd: CustomResourceDefinition,
    signal: AbortSignal,
  ): Promise<{ readonly reason: string; readonly message: string } | undefined> {
    const name = crd.metadata.name ?? "";
    if (!this.#served.has(name)) await this.#serve(crd);
    const served = this.#served.get(name);
    if (served === undefined) {
      return { reason: "InstanceDeletionFailed", message: "could not list instances: the resource is not served" };
    }
    try {
      await served.deleteAll();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { reason: "InstanceDeletionFailed", message: `could not issue all deletes: ${why}` };
    }
    if (served.count === 0) return undefined;
    await new Promise<void>((resolve) => {
      const watch = served.whenEmpty(end);
      const timer = this.#deps.clock.after(CLEANUP_LIMIT_MS, end);
      signal.addEventListener("abort", end, { once: true });
      function end(): void {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", end);
        watch[Symbol.dispose]();
        resolve();
      }
    });
    if (served.count === 0) return undefined;
    return {
      reason: "InstanceDeletionCheck",
      message: "could not confirm zero CustomResources remaining: timed out waiting for the condition",
    };
  }
}

/** A conversion webhook's authorities can be read, or there are none. */
function hasGoodBundle(crd: CustomResourceDefinition): boolean {
  const bundle = crd.spec.conversion?.webhook?.clientConfig?.caBundle;
  if (bundle === undefined || bundle === "") return true;
  return Buffer.from(bundle, "base64").toString("latin1").includes("-----BEGIN CERTIFICATE-----");
}
