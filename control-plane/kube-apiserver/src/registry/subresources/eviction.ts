import type { LabelSelector } from "@coracle/api/meta/v1";
import {
  badRequest,
  compileLabelSelector,
  conflict,
  forbidden,
  internalError,
  isObject,
  notFound,
  StatusError,
  tooManyRequests,
  type Draft,
  type Labels,
} from "@coracle/apimachinery";
import type { ObjectStorage, StoredObject } from "../../storage/object-storage.ts";
import { decodeAs, draftOf, settleNamespace } from "../decode.ts";
import { deleteObject } from "../delete-verb.ts";
import { textOf } from "../json-text.ts";
import { formatTime } from "../object-meta.ts";
import type { AdmissionChain, Answer, DeleteQuery, RequestContext, WriteQuery } from "../registry.ts";
import { admit, resourceOf, type ResourceCore } from "../resource-core.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";
import { createdStatus, withCondition } from "./binding.ts";

const EVICTION = { group: "policy", version: "v1", kind: "Eviction" } as const;
const BUDGETS = { group: "policy", resource: "poddisruptionbudgets" } as const;
const VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget.";
const MAX_TRIES = 20;
const MAX_DISRUPTED_PODS = 2_000;

/** What `pods/eviction` works with. */
export interface EvictionDeps {
  readonly pods: ResourceCore;
  readonly budgets: ObjectStorage;
}

const NO_ADMISSION: AdmissionChain = { admit: () => Promise.resolve(), validate: () => Promise.resolve() };

/** Deletes a pod when its disruption budget allows it. */
export async function evictPod(
  deps: EvictionDeps,
  context: RequestContext,
  namespace: string,
  name: string,
  body: Draft,
  query: WriteQuery,
): Promise<Answer> {
  const { pods } = deps;
  const eviction = decodeAs(pods.schema, EVICTION, body, query.fieldValidation, context) as ApiDraft;
  if (!isObject(eviction.metadata)) eviction.metadata = {};
  settleNamespace(pods, eviction, namespace);
  if (textOf(eviction.metadata.name) !== name) throw badRequest("name in URL does not match name in Eviction object");
  const call = {
    operation: "CREATE",
    subresource: "eviction",
    namespace,
    name,
    object: eviction,
    oldObject: undefined,
    options: undefined,
    isDryRun: query.dryRun,
    kind: "Eviction",
    context,
  } as const;
  await admit(pods, "admit", call);
  await admit(pods, "validate", call);
  const options = (isObject(eviction.deleteOptions) ? eviction.deleteOptions : {}) as DeleteQuery["options"];
  const isDryRun = query.dryRun || (options.dryRun ?? []).includes("All");
  const pod = pods.storage.get(namespace, name);
  if (pod === undefined) throw notFound(resourceOf(pods), name);
  if (!needsNoBudget(pod.object)) await takeFromBudget(deps, namespace, pod.object, isDryRun);
  if (!isDryRun) await markDisrupted(pods, namespace, name, options);
  // The eviction has been admitted: the deletion is its consequence, not another request.
  const admitted = { ...pods, admission: NO_ADMISSION };
  await deleteObject(admitted, context, namespace, name, {
    options: isDryRun ? { ...options, dryRun: ["All"] } : options,
  });
  return createdStatus();
}

/** Pods that serve nobody are evicted without asking. */
function needsNoBudget(pod: ApiObject): boolean {
  const phase = textOf((pod.status as Draft | undefined)?.phase);
  return (
    phase === "Succeeded" || phase === "Failed" || phase === "Pending" || pod.metadata.deletionTimestamp !== undefined
  );
}

const isReady = (pod: ApiObject): boolean =>
  ((pod.status as Draft | undefined)?.conditions as Draft[] | undefined)?.some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  ) ?? false;

async function takeFromBudget(deps: EvictionDeps, namespace: string, pod: ApiObject, isDryRun: boolean): Promise<void> {
  const name = textOf(pod.metadata.name);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const { items } = await deps.budgets.list({ namespace });
    const found = items.filter((item) => selects(item.object, pod.metadata.labels as Labels | undefined));
    const [budget] = found;
    if (budget === undefined) return;
    if (found.length > 1) {
      throw internalError(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
      );
    }
    if (!isReady(pod) && unhealthyMayGo(budget.object)) return;
    const draft = decrement(deps.pods, budget, name);
    if (isDryRun || (await deps.budgets.replace(budget, draft)) !== undefined) return;
  }
  throw tooManyRequests(VIOLATES, 10);
}

function selects(budget: ApiObject, labels: Labels | undefined): boolean {
  const selector = (budget.spec as Draft | undefined)?.selector as LabelSelector | undefined;
  return compileLabelSelector(selector).matches(labels);
}

function unhealthyMayGo(budget: ApiObject): boolean {
  const spec = (budget.spec ?? {}) as Draft;
  const { currentHealthy = 0, desiredHealthy = 0 } = (budget.status ?? {}) as Record<string, number>;
  return spec.unhealthyPodEvictionPolicy === "AlwaysAllow" || (currentHealthy >= desiredHealthy && desiredHealthy > 0);
}

function refusal(message: string, retryAfterSeconds: number): Error {
  const { status } = tooManyRequests(VIOLATES, retryAfterSeconds);
  const causes = [{ reason: "DisruptionBudget", message }];
  return new StatusError({ ...status, details: { ...status.details, causes } });
}

/** The budget with one disruption less. */
function decrement(core: ResourceCore, budget: StoredObject, pod: string): ApiDraft {
  const { name } = budget;
  const status = { ...(budget.object.status as Draft | undefined) };
  const allowed = (status.disruptionsAllowed as number | undefined) ?? 0;
  const generation = (budget.object.metadata.generation as number | undefined) ?? 0;
  if (((status.observedGeneration as number | undefined) ?? 0) < generation) {
    throw refusal(`The disruption budget ${name} is still being processed by the server.`, 10);
  }
  if (allowed < 0) throw forbidden(BUDGETS, name, "pdb disruptions allowed is negative");
  const disrupted = (status.disruptedPods as Draft | undefined) ?? {};
  if (Object.keys(disrupted).length > MAX_DISRUPTED_PODS) {
    throw forbidden(BUDGETS, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  }
  if (allowed === 0) {
    const { desiredHealthy = 0, currentHealthy = 0 } = status as Record<string, number>;
    throw refusal(
      `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
      0,
    );
  }
  const now = formatTime(core.clock.now());
  status.disruptionsAllowed = allowed - 1;
  if (allowed === 1) {
    status.conditions = withCondition(status.conditions, {
      type: "DisruptionAllowed",
      status: "False",
      reason: "InsufficientPods",
      message: "",
      observedGeneration: status.observedGeneration,
      lastTransitionTime: now,
    });
  }
  status.disruptedPods = { ...disrupted, [pod]: now };
  return { ...budget.object, metadata: { ...budget.object.metadata }, status } as ApiDraft;
}

/** Tells on the pod why it goes. */
async function markDisrupted(
  pods: ResourceCore,
  namespace: string,
  name: string,
  options: DeleteQuery["options"],
): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const previous = pods.storage.get(namespace, name);
    if (previous === undefined) throw notFound(resourceOf(pods), name);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== previous.object.metadata.uid) throw conflict(resourceOf(pods), name);
    // A precondition on the version is the delete's to check; the mark would break it.
    if (resourceVersion !== undefined || previous.object.metadata.deletionTimestamp !== undefined) return;
    const draft = draftOf(pods, previous.object);
    const status = { ...(draft.status as Draft | undefined) };
    status.conditions = withCondition(status.conditions, {
      type: "DisruptionTarget",
      status: "True",
      reason: "EvictionByEvictionAPI",
      message: "Eviction API: evicting",
      lastProbeTime: null,
      lastTransitionTime: formatTime(pods.clock.now()),
    });
    draft.status = status;
    if ((await pods.storage.replace(previous, draft)) !== undefined) return;
  }
}
