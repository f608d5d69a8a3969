import {
  HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerCondition as Condition,
  type HorizontalPodAutoscalerStatus,
  type MetricStatus,
} from "@coracle/api/autoscaling/v2";
import { Pod } from "@coracle/api/core/v1";
import { parseLabelSelector, type Selector } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { withCondition } from "./conditions.ts";
import { evaluateMetric, MetricFailure, type MetricContext, type Proposal } from "./evaluate-metric.ts";
import type { AutoscalerMonitor, ScalingAction, ScalingFault } from "./monitor.ts";
import { createMetricsSource } from "./metrics-source.ts";
import {
  combineProposals,
  isSameStatus,
  planByBounds,
  planScaling,
  statusOf,
  tolerancesOf,
  type AutoscalerRules,
} from "./plan.ts";
import { createRestMapper } from "./rest-mapper.ts";
import { readScale, TargetError, writeScale, type ScaleTarget } from "./scale-target.ts";
import { recordScaling, startHistory, type ScalingHistory } from "./scaling-history.ts";

export interface HorizontalPodAutoscalingOptions extends AutoscalerRules {
  readonly workers: number;
  readonly syncPeriodMs: number;
  readonly cpuInitializationPeriodMs: number;
  readonly initialReadinessDelayMs: number;
}

/** A pass ended early; the autoscaler's status says why. */
class PassError extends Error {
  override readonly name = "PassError";
  readonly isSpecError: boolean;

  constructor(message: string, isSpecError = false) {
    super(message);
    this.isSpecError = isSpecError;
  }
}

/** Which pods the targets of all autoscalers have, to find two that pull at the same ones. */
interface KnownSelector {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Selector;
}

/** Sets the replicas of whatever has a scale subresource by what metrics say, every `syncPeriodMs`. */
export function createHorizontalPodAutoscalingController(
  deps: ControllerDeps,
  options: HorizontalPodAutoscalingOptions,
  monitor: AutoscalerMonitor,
): Controller {
  const { client, clock, informers, recorder } = deps;
  const autoscalers = informers.informer(HorizontalPodAutoscaler).lister;
  const pods = informers.informer(Pod).lister;
  const mapper = createRestMapper(client, clock);
  const source = createMetricsSource(client, mapper);
  const histories = new Map<string, ScalingHistory>();
  const selectors = new Map<string, KnownSelector>();

  /** One pass over one autoscaler: what it learnt, until its status is written. */
  class Pass {
    readonly hpa: HorizontalPodAutoscaler;
    readonly key: string;
    readonly signal: AbortSignal;
    conditions: readonly Condition[];
    action: ScalingAction = "none";

    constructor(hpa: HorizontalPodAutoscaler, signal: AbortSignal) {
      this.hpa = hpa;
      this.key = cacheKeyOf(hpa);
      this.signal = signal;
      this.conditions = hpa.status?.conditions ?? [];
    }

    say(type: "Normal" | "Warning", reason: string, message: string): void {
      recorder.event(referenceTo(HorizontalPodAutoscaler, this.hpa), type, reason, message);
    }

    set(type: "AbleToScale" | "ScalingActive", isTrue: boolean, reason: string, message: string): void {
      this.conditions = withCondition(this.conditions, type, isTrue, { reason, message }, clock.now());
    }

    /** Writes the status if it says something new. */
    async write(
      currentReplicas: number,
      desiredReplicas: number,
      metrics: readonly MetricStatus[],
      isRescaled: boolean,
    ): Promise<void> {
      const { status: old } = this.hpa;
      const { conditions } = this;
      const seen = { currentReplicas, desiredReplicas, metrics, conditions, isRescaled };
      await this.#put(statusOf(old, seen, clock.now()));
    }

    /** As `write` where nothing is known but that it did not work. */
    async writeConditions(): Promise<void> {
      const { status } = this.hpa;
      await this.#put({ desiredReplicas: 0, ...status, conditions: this.conditions });
    }

    async #put(status: HorizontalPodAutoscalerStatus): Promise<void> {
      if (isSameStatus(this.hpa.status, status)) return;
      try {
        await client.update(
          HorizontalPodAutoscaler,
          { ...this.hpa, status },
          { subresource: "status", signal: this.signal },
        );
      } catch (error) {
        if (this.signal.aborted) throw error;
        const message = error instanceof Error ? error.message : String(error);
        this.say("Warning", "FailedUpdateStatus", message);
        throw new PassError(`failed to update status for ${this.hpa.metadata.name}: ${message}`);
      }
    }

    async target(): Promise<ScaleTarget> {
      const { namespace = "" } = this.hpa.metadata;
      const { scaleTargetRef } = this.hpa.spec;
      try {
        const target = await readScale(client, mapper, namespace, scaleTargetRef, this.signal);
        this.set(
          "AbleToScale",
          true,
          "SucceededGetScale",
          "the HPA controller was able to get the target's current scale",
        );
        return target;
      } catch (error) {
        if (!(error instanceof TargetError)) throw error;
        const { message } = error;
        this.say("Warning", "FailedGetScale", message);
        const said = `the HPA controller was unable to get the target's current scale: ${message}`;
        this.set("AbleToScale", false, "FailedGetScale", said);
        await this.writeConditions();
        throw new PassError(
          `failed to query scale subresource for ${scaleTargetRef.kind}/${namespace}/${scaleTargetRef.name}: ${message}`,
          error.isSpecError,
        );
      }
    }

    /** The pods of the target; undefined when they cannot be told, which the conditions say. */
    podsOf(text: string): { readonly pods: readonly Pod[] } | { readonly error: string } {
      const { namespace = "", name = "" } = this.hpa.metadata;
      const fail = (event: string, reason: string, message: string, said = message): { readonly error: string } => {
        this.say("Warning", event, message);
        this.set("ScalingActive", false, reason, said);
        return { error: message };
      };
      if (text === "")
        return fail(
          "SelectorRequired",
          "InvalidSelector",
          "selector is required",
          "the HPA target's scale is missing a selector",
        );
      let selector: Selector;
      try {
        selector = parseLabelSelector(text);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const message = `couldn't convert selector into a corresponding internal selector object: ${why}`;
        return fail("InvalidSelector", "InvalidSelector", message);
      }
      selectors.set(this.key, { namespace, name, selector });
      const selected = pods.list(namespace).filter((pod) => selector.matches(pod.metadata.labels ?? {}));
      const rivals = [...selectors.values()].filter(
        (each) =>
          each.namespace === namespace && selected.some((pod) => each.selector.matches(pod.metadata.labels ?? {})),
      );
      if (rivals.length <= 1) return { pods: selected };
      const names = rivals.map((each) => `${each.namespace}/${each.name}`).join(" ");
      const message = `pods by selector ${text} are controlled by multiple HPAs: [${names}]`;
      return fail("AmbiguousSelector", "AmbiguousSelector", message);
    }

    /** Asks all metrics, one after another. */
    async proposals(context: MetricContext): Promise<readonly (Proposal | MetricFailure)[]> {
      const outcomes: (Proposal | MetricFailure)[] = [];
      for (const spec of this.hpa.spec.metrics ?? []) {
        const began = clock.monotonicMs();
        let outcome: Proposal | MetricFailure;
        try {
          outcome = await evaluateMetric(spec, context);
        } catch (error) {
          if (!(error instanceof MetricFailure)) throw error;
          outcome = error;
          this.say("Warning", error.reason, error.detail);
        }
        outcomes.push(outcome);
        const present = this.hpa.status?.currentReplicas ?? 0;
        monitor.metricComputed(spec.type, outcome, present, clock.monotonicMs() - began);
      }
      return outcomes;
    }

    /** What shall be; undefined when the metrics do not tell. Rejects with PassError when nothing can be done. */
    async decide({ scale }: ScaleTarget, current: number): Promise<Decision> {
      const bounds = planByBounds(this.hpa, current);
      if (bounds.action === "disabled") {
        const message = "scaling is disabled since the replica count of the target is zero";
        this.set("ScalingActive", false, "ScalingDisabled", message);
        return { replicas: current, isRescale: false, reason: "", metrics: [], error: undefined };
      }
      if (bounds.action === "rescale") return { ...bounds, isRescale: true, metrics: [], error: undefined };

      const { status = { replicas: 0 } } = scale;
      const found = this.podsOf(status.selector ?? "");
      if ("error" in found) return await this.giveUp(current, [], found.error);
      const outcomes = await this.proposals({
        hpa: this.hpa,
        target: {
          pods: found.pods,
          replicas: current,
          tolerances: tolerancesOf(this.hpa, options),
          rules: { ...options, now: clock.now() },
        },
        statusReplicas: status.replicas,
        selector: status.selector ?? "",
        source,
        signal: this.signal,
      });
      const verdict = combineProposals(outcomes, current);
      if (!verdict.isUsable) {
        const { reason, detail } = verdict.failure;
        this.set("ScalingActive", false, reason, `the HPA was unable to compute the replica count: ${detail}`);
        return await this.giveUp(current, verdict.statuses, verdict.error);
      }
      const message = `the HPA was able to successfully calculate a replica count from ${verdict.metric}`;
      this.set("ScalingActive", true, "ValidMetricFound", message);
      const history = histories.get(this.key) ?? startHistory(current, clock.now());
      const plan = planScaling(this.hpa, current, verdict, this.conditions, history, options, clock.now());
      this.conditions = plan.conditions;
      histories.set(this.key, plan.history);
      const { replicas, reason } = plan;
      return { replicas, isRescale: replicas !== current, reason, metrics: verdict.statuses, error: verdict.error };
    }

    async giveUp(current: number, metrics: readonly MetricStatus[], error: string): Promise<never> {
      const { kind, name } = this.hpa.spec.scaleTargetRef;
      await this.write(current, this.hpa.status?.desiredReplicas ?? 0, metrics, false);
      this.say("Warning", "FailedComputeMetricsReplicas", error);
      throw new PassError(
        `failed to compute desired number of replicas based on listed metrics for ${kind}/${this.hpa.metadata.namespace}/${name}: ${error}`,
      );
    }

    async run(): Promise<void> {
      const { spec, status } = this.hpa;
      const target = await this.target();
      const current = target.scale.spec?.replicas ?? 0;
      if (!histories.has(this.key)) histories.set(this.key, startHistory(current, clock.now()));
      const { replicas, isRescale, reason, metrics, error } = await this.decide(target, current);
      if (isRescale) {
        try {
          await writeScale({ client, clock }, target, replicas, this.signal);
        } catch (failure) {
          if (this.signal.aborted) throw failure;
          const why = failure instanceof Error ? failure.message : String(failure);
          this.say("Warning", "FailedRescale", `New size: ${replicas}; reason: ${reason}; error: ${why}`);
          const said = `the HPA controller was unable to update the target scale: ${why}`;
          this.set("AbleToScale", false, "FailedUpdateScale", said);
          await this.write(current, status?.desiredReplicas ?? 0, metrics, false);
          throw new PassError(`failed to rescale ${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}: ${why}`);
        }
        const said = `the HPA controller was able to update the target scale to ${replicas}`;
        this.set("AbleToScale", true, "SucceededRescale", said);
        this.say("Normal", "SuccessfulRescale", `New size: ${replicas}; reason: ${reason}`);
        this.action = replicas > current ? "scale_up" : "scale_down";
        const history = histories.get(this.key) ?? startHistory(current, clock.now());
        histories.set(this.key, recordScaling(history, current, replicas, spec.behavior, clock.now()));
      }
      monitor.desired(this.hpa, replicas);
      await this.write(current, replicas, metrics, isRescale);
      if (error !== undefined) throw new PassError(error);
    }
  }

  return defineController<HorizontalPodAutoscaler>(deps, {
    name: "horizontalpodautoscaler",
    for: HorizontalPodAutoscaler,
    changed: () => false,
    watches: [
      // Looked at once a period, however often it changes.
      mapped(HorizontalPodAutoscaler, (hpa, _old, { enqueueAfter }) => {
        enqueueAfter(cacheKeyOf(hpa), options.syncPeriodMs);
        return [];
      }),
      mapped(Pod, () => []), // in the cache before anything is counted
    ],
    workers: options.workers,
    started: () => monitor.watch(autoscalers),
    async reconcile(key, { signal, log }) {
      const hpa = autoscalers.byKey(key);
      if (hpa === undefined) {
        histories.delete(key);
        selectors.delete(key);
        monitor.forget(key);
        return done;
      }
      const began = clock.monotonicMs();
      const pass = new Pass(hpa, signal);
      let fault: ScalingFault = "none";
      try {
        await pass.run();
      } catch (error) {
        if (signal.aborted) throw error;
        fault = error instanceof PassError && error.isSpecError ? "spec" : "internal";
        log.debug("autoscaling failed", { key, error: error instanceof PassError ? error.message : error });
      }
      monitor.reconciled(pass.action, fault, clock.monotonicMs() - began);
      return requeueAfter(options.syncPeriodMs);
    },
  });
}

interface Decision {
  readonly replicas: number;
  readonly isRescale: boolean;
  readonly reason: string;
  readonly metrics: readonly MetricStatus[];
  /** Some metrics failed, and it is scaled by the others. */
  readonly error: string | undefined;
}
