import { Deployment, ReplicaSet, type DeploymentCondition } from "@coracle/api/apps/v1";
import { cloneJson, equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { referenceTo } from "@coracle/client";
import {
  controllerReference,
  isControlledBy,
  isNamespaceTerminating,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { safeHash } from "../templates/hash.ts";
import { fenceposts, newSetSize, surplusHistory, type Scaling } from "./plan.ts";
import {
  annotationsForNewSet,
  DESIRED_REPLICAS,
  findNewReplicaSet,
  HASH_LABEL,
  MAX_REPLICAS,
  nextRevision,
  replicasOf,
  REVISION,
  revisionOf,
} from "./replica-sets.ts";
import {
  countStatus,
  hasProgressDeadline,
  isComplete,
  sameDeploymentStatus,
  setCondition,
  withProgress,
} from "./status.ts";

/** One pass over one Deployment: what was read, what was written so far, and the steps that passes are made of. */
export class Rollout {
  deployment: Deployment;
  sets: ReplicaSet[];
  newSet: ReplicaSet | undefined;
  conditions: readonly DeploymentCondition[];
  collisionCount: number | undefined;
  readonly #deps: ControllerDeps;
  readonly #signal: AbortSignal;

  constructor(deps: ControllerDeps, deployment: Deployment, sets: readonly ReplicaSet[], signal: AbortSignal) {
    this.deployment = deployment;
    this.sets = [...sets];
    this.newSet = findNewReplicaSet(deployment, sets);
    this.conditions = deployment.status?.conditions ?? [];
    this.collisionCount = deployment.status?.collisionCount;
    this.#deps = deps;
    this.#signal = signal;
  }

  get oldSets(): readonly ReplicaSet[] {
    return this.sets.filter((set) => set !== this.newSet);
  }

  condition(status: string, reason: string, message: string): void {
    const condition = { type: "Progressing", status, reason, message };
    this.conditions = setCondition(this.conditions, condition, this.#deps.clock.now());
  }

  /** Gives the new set its revision; makes it when it is missing and `create` says so. */
  async syncRevision(create: boolean): Promise<void> {
    const { deployment } = this;
    const revision = nextRevision(this.oldSets);
    if (this.newSet === undefined) {
      if (create) await this.#createNewSet(revision);
    } else {
      const set = this.newSet;
      const annotations = annotationsForNewSet(deployment, set, revision);
      const { minReadySeconds } = deployment.spec;
      const isSame =
        equalJson(annotations, set.metadata.annotations ?? {}) &&
        (set.spec.minReadySeconds ?? 0) === (minReadySeconds ?? 0);
      if (!isSame)
        await this.#updateSet(set, {
          ...set,
          metadata: { ...set.metadata, annotations },
          spec: { ...set.spec, minReadySeconds },
        });
      const known = this.conditions.some((each) => each.type === "Progressing");
      if (!known && hasProgressDeadline(deployment))
        this.condition("True", "FoundNewReplicaSet", `Found new replica set "${set.metadata.name}"`);
    }
    if (this.newSet !== undefined) await this.#showRevision(this.newSet.metadata.annotations?.[REVISION]);
  }

  async #showRevision(revision: string | undefined): Promise<void> {
    const { metadata } = this.deployment;
    if (revision === undefined || metadata.annotations?.[REVISION] === revision) return;
    const annotations = { ...metadata.annotations, [REVISION]: revision };
    // As a status: a revision told is no new wish, the generation stays.
    this.deployment = await this.#deps.client.update(
      Deployment,
      { ...this.deployment, metadata: { ...metadata, annotations } },
      { subresource: "status", signal: this.#signal },
    );
  }

  async #createNewSet(revision: bigint): Promise<void> {
    const { deployment } = this;
    const { client, recorder } = this.#deps;
    const { name: deploymentName = "", namespace } = deployment.metadata;
    const template = cloneJson(deployment.spec.template);
    const hash = safeHash(template, this.collisionCount);
    const name = `${deploymentName}-${hash}`;
    const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
    const selector = deployment.spec.selector;
    const replicas = newSetSize(deployment, undefined, this.oldSets);
    const wanted: ReplicaSet = {
      metadata: {
        name,
        namespace,
        labels,
        annotations: { ...annotationsForNewSet(deployment, undefined, revision), ...this.#sizes() },
        ownerReferences: [controllerReference(Deployment, deployment)],
      },
      spec: {
        replicas,
        minReadySeconds: deployment.spec.minReadySeconds,
        selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
        template: { ...template, metadata: { ...template.metadata, labels } },
      },
    };
    try {
      this.newSet = await client.create(ReplicaSet, wanted, { signal: this.#signal });
    } catch (error) {
      if (!isAlreadyExists(error)) return await this.#creationFailed(name, error);
      const present = await client.get(ReplicaSet, { namespace, name }, { signal: this.#signal });
      const isOurs = isControlledBy(present, deployment) && findNewReplicaSet(deployment, [present]) !== undefined;
      if (!isOurs) {
        // Another template has this hash: the next pass hashes with a higher count.
        this.collisionCount = (this.collisionCount ?? 0) + 1;
        await this.writeStatus();
        throw error;
      }
      this.newSet = present;
      this.sets.push(present);
      return;
    }
    this.sets.push(this.newSet);
    if (replicas > 0)
      recorder.event(
        referenceTo(Deployment, deployment),
        "Normal",
        "ScalingReplicaSet",
        `Scaled up replica set ${name} from 0 to ${replicas}`,
      );
    if (hasProgressDeadline(deployment))
      this.condition("True", "NewReplicaSetCreated", `Created new replica set "${name}"`);
  }

  async #creationFailed(name: string, error: unknown): Promise<never> {
    const message = `Failed to create new replica set "${name}": ${(error as Error).message}`;
    if (!isNamespaceTerminating(error)) {
      this.condition("False", "ReplicaSetCreateError", message);
      await this.writeStatus();
      const { deployment } = this;
      this.#deps.recorder.event(referenceTo(Deployment, deployment), "Warning", "ReplicaSetCreateError", message);
    }
    throw error;
  }

  /** Carries the sizes out, and tells each set what the whole is to be. True when a set got another size. */
  async scale(scalings: readonly Scaling[]): Promise<boolean> {
    let scaled = false;
    for (const { set, replicas } of scalings) {
      const before = replicasOf(set);
      const annotations = { ...set.metadata.annotations, ...this.#sizes() };
      if (before === replicas && equalJson(annotations, set.metadata.annotations ?? {})) continue;
      await this.#updateSet(set, {
        ...set,
        metadata: { ...set.metadata, annotations },
        spec: { ...set.spec, replicas },
      });
      if (before === replicas) continue;
      scaled = true;
      const direction = replicas > before ? "up" : "down";
      this.#deps.recorder.event(
        referenceTo(Deployment, this.deployment),
        "Normal",
        "ScalingReplicaSet",
        `Scaled ${direction} replica set ${set.metadata.name} from ${before} to ${replicas}`,
      );
    }
    return scaled;
  }

  #sizes(): Readonly<Record<string, string>> {
    const wanted = replicasOf(this.deployment);
    return {
      [DESIRED_REPLICAS]: String(wanted),
      [MAX_REPLICAS]: String(wanted + fenceposts(this.deployment).maxSurge),
    };
  }

  async #updateSet(set: ReplicaSet, wanted: ReplicaSet): Promise<void> {
    const stored = await this.#deps.client.update(ReplicaSet, wanted, { signal: this.#signal });
    this.sets[this.sets.indexOf(set)] = stored;
    if (this.newSet === set) this.newSet = stored;
  }

  /** Deletes old sets beyond the history limit, once the rollout is complete. */
  async cleanUp(): Promise<void> {
    if (!isComplete(this.deployment, this.deployment.status)) return;
    for (const set of surplusHistory(this.deployment, this.oldSets, revisionOf)) {
      const { namespace, name = "" } = set.metadata;
      try {
        await this.#deps.client.delete(ReplicaSet, { namespace, name }, { signal: this.#signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  /** Reports counts alone (while deleting or paused), or with `progress` how the rollout goes. */
  async writeStatus(options: { readonly progress?: boolean } = {}): Promise<void> {
    const now = this.#deps.clock.now();
    const { deployment, newSet, sets } = this;
    let status = countStatus(deployment, newSet, sets, this.collisionCount, this.conditions, now);
    if (options.progress === true) status = withProgress(deployment, status, newSet, sets, now);
    this.conditions = status.conditions ?? [];
    if (sameDeploymentStatus(deployment.status, status)) return;
    this.deployment = await this.#deps.client.update(
      Deployment,
      { ...deployment, status },
      { subresource: "status", signal: this.#signal },
    );
  }
}
