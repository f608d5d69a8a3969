import {
  equalAmounts,
  forbidden,
  internalError,
  isConflict,
  isNotFound,
  quotaEvaluatorOf,
  statusError,
  writeAmounts,
  type Draft,
  type JsonObject,
  type QuotaEvaluator,
} from "@coracle/apimachinery";
import type { ResourceQuota } from "@coracle/api/core/v1";
import type { Clock } from "@coracle/base";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { checkQuotas, quotaState, type LimitedResource, type QuotaState } from "./check.ts";

const QUOTAS = { group: "", version: "v1", plural: "resourcequotas" };
/** How often a batch is charged anew when somebody else wrote the quota meanwhile. */
const RETRIES = 3;
/** Beyond the retries: while others are quicker it is they who make progress. */
const MAX_CONFLICTS = 16;

/** What the plugin can be told. */
export interface ResourceQuotaConfiguration {
  readonly limitedResources: readonly LimitedResource[];
}

interface Waiter {
  readonly attributes: AdmissionAttributes;
  readonly evaluator: QuotaEvaluator;
  /** Undefined: not yet decided. */
  outcome: { readonly error?: unknown } | undefined;
}

const ALLOWED = {};

const isNamespaceOfItself = ({ group, resource }: AdmissionAttributes): boolean =>
  group === "" && resource === "namespaces";

/** The refusal as upstream words it: of the resource, and of the name if the client gave one. */
function refusal({ group, resource, name }: AdmissionAttributes, why: string): Error {
  return forbidden({ group, resource }, name, why);
}

/**
 * Nothing is written that would use more than the namespace's quotas allow. What a write uses is charged to
 * `status.used` before it is stored, one batch of waiting writes a namespace at a time, each charge under the quota's
 * resourceVersion: concurrent writes never use more than there is, whoever else writes the quota. What is charged and then not
 * stored after all is found out by the quota controller. A dry run is checked and charges nothing.
 */
export function resourceQuota(
  objects: RegistryReader,
  clock: Clock,
  { limitedResources }: ResourceQuotaConfiguration = { limitedResources: [] },
): AdmissionPlugin {
  const waiting = new Map<string, Waiter[]>();
  /** The last turn of each namespace that somebody works in. */
  const turns = new Map<string, Promise<void>>();

  async function readQuotas(namespace: string): Promise<QuotaState[]> {
    const found = (await objects.list(QUOTAS, namespace)) as unknown as readonly ResourceQuota[];
    return found.map(quotaState);
  }

  /** Stores what changed; the names of those that somebody else has written meanwhile. */
  async function store(before: readonly QuotaState[], after: readonly QuotaState[]): Promise<Map<string, unknown>> {
    const failed = new Map<string, unknown>();
    for (const [i, state] of after.entries()) {
      if (equalAmounts(before[i]!.used, state.used)) continue;
      const { metadata, status } = state.quota;
      const name = metadata.name ?? "";
      const draft = {
        ...state.quota,
        metadata: { ...metadata },
        status: { ...status, used: writeAmounts(state.used) },
      };
      try {
        await objects.updateStatus(QUOTAS, metadata.namespace ?? "", name, draft as unknown as Draft);
      } catch (error) {
        failed.set(name, error);
      }
    }
    return failed;
  }

  /** Decides a batch; those it charges are allowed when the charge is stored. */
  async function chargeBatch(namespace: string, batch: readonly Waiter[]): Promise<void> {
    let undecided = batch;
    let only: ReadonlySet<string> | undefined;
    for (let tries = 0; undecided.length > 0; tries++) {
      const before = (await readQuotas(namespace)).filter(
        ({ quota }) => only === undefined || only.has(quota.metadata.name ?? ""),
      );
      const charged: Waiter[] = [];
      let state: readonly QuotaState[] = before;
      for (const waiter of undecided) {
        // Whether a quota covers what must be covered was found out the first time.
        const verdict = decide(waiter, state, only === undefined ? limitedResources : []);
        if (verdict instanceof Error) waiter.outcome = { error: verdict };
        else if (waiter.attributes.isDryRun || isSame(state, verdict)) waiter.outcome = ALLOWED;
        else {
          state = verdict;
          charged.push(waiter);
        }
      }
      const failed = await store(before, state);
      if (failed.size === 0) {
        for (const waiter of charged) waiter.outcome = ALLOWED;
        return;
      }
      const [error] = failed.values();
      const mayRetry = isConflict(error) ? tries < MAX_CONFLICTS : tries < RETRIES;
      if (!mayRetry) {
        for (const waiter of charged) waiter.outcome = { error };
        return;
      }
      // What was stored stays charged; only the quotas that were not are asked again. One deleted meanwhile asks nothing.
      only = new Set([...failed].filter(([, why]) => !isNotFound(why)).map(([name]) => name));
      undecided = charged;
    }
  }

  function isSame(a: readonly QuotaState[], b: readonly QuotaState[]): boolean {
    return a.every((state, i) => equalAmounts(state.used, b[i]!.used));
  }

  function decide(
    { attributes, evaluator }: Waiter,
    quotas: readonly QuotaState[],
    limits: readonly LimitedResource[],
  ): readonly QuotaState[] | Error {
    const { operation, group, resource, subresource, oldObject } = attributes;
    const object = attributes.object as JsonObject;
    const request = { operation, group, resource, subresource, object, oldObject };
    try {
      const verdict = checkQuotas(quotas, request, evaluator, limits, clock.now());
      if (verdict.type === "charged") return verdict.quotas;
      return verdict.isPlain === true ? statusError("", verdict.why) : refusal(attributes, verdict.why);
    } catch (error) {
      return internalError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  /** Decides for all who wait, unless somebody before has done so for this one, too. */
  async function takeTurn(namespace: string, waiter: Waiter): Promise<void> {
    if (waiter.outcome !== undefined) return;
    const batch = waiting.get(namespace) ?? [];
    waiting.delete(namespace);
    try {
      await chargeBatch(namespace, batch);
    } catch (error) {
      for (const one of batch) one.outcome ??= { error };
    }
  }

  async function evaluate(attributes: AdmissionAttributes, evaluator: QuotaEvaluator): Promise<void> {
    const { namespace } = attributes;
    if (limitedResources.length === 0 && (await objects.list(QUOTAS, namespace)).length === 0) return;
    const waiter: Waiter = { attributes, evaluator, outcome: undefined };
    const queue = waiting.get(namespace);
    if (queue === undefined) waiting.set(namespace, [waiter]);
    else queue.push(waiter);
    const before = turns.get(namespace);
    const turn = (async () => {
      await before;
      await takeTurn(namespace, waiter);
    })();
    turns.set(namespace, turn);
    await turn;
    if (turns.get(namespace) === turn) turns.delete(namespace);
    const { error } = waiter.outcome ?? {};
    if (error !== undefined) throw error;
  }

  return {
    name: "ResourceQuota",
    scope: { operations: ["CREATE", "UPDATE"] },
    validate(attributes) {
      const { namespace, group, resource, operation, subresource, object, oldObject } = attributes;
      if (namespace === "" || object === undefined || isNamespaceOfItself(attributes)) return undefined;
      const evaluator = quotaEvaluatorOf(group, resource);
      if (evaluator?.handles({ operation, subresource, object: object as JsonObject, oldObject }) !== true)
        return undefined;
      return evaluate(attributes, evaluator);
    },
  };
}
