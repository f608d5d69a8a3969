import type { AdmissionMetrics, AdmissionSeries, AdmissionStep } from "../metrics/admission-metrics.ts";
import type { AdmissionAttributes, AdmissionChain, Reinvocation } from "../registry/registry.ts";
import { resourceOf, type AdmissionPlugin } from "./plugin.ts";

/** One plugin's half, for one operation. */
interface Step {
  readonly run: (attributes: AdmissionAttributes) => Promise<void> | void;
  /** Absent: not counted. */
  readonly series: AdmissionSeries | undefined;
  readonly callsWebhooks: boolean;
}

interface Half {
  readonly steps: readonly Step[];
  readonly series: AdmissionSeries | undefined;
}

interface Selected {
  readonly mutating: Half;
  readonly validating: Half;
}

const WEBHOOKS: ReadonlySet<string> = new Set(["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"]);
/** A rule that is no plugin upstream. */
const UNCOUNTED = "RBACEscalation";

/** Runs the plugins in their order. Which of them a kind of request concerns is found out once. */
export function createAdmissionChain(plugins: readonly AdmissionPlugin[], metrics?: AdmissionMetrics): AdmissionChain {
  const selected = new Map<string, Selected>();

  function halfOf(concerned: readonly AdmissionPlugin[], type: AdmissionStep, operation: string): Half {
    const steps = concerned.flatMap((plugin) => {
      if (plugin[type] === undefined) return [];
      const { name } = plugin;
      const series = name === UNCOUNTED ? undefined : metrics?.controller(name, type, operation);
      return [{ run: plugin[type].bind(plugin), series, callsWebhooks: WEBHOOKS.has(name) }];
    });
    return { steps, series: metrics?.step(type, operation) };
  }

  function select(attributes: AdmissionAttributes): Selected {
    const resource = resourceOf(attributes);
    const { operation } = attributes;
    const key = `${operation} ${resource}`;
    let found = selected.get(key);
    if (found === undefined) {
      const concerned = plugins.filter(
        ({ scope }) =>
          scope.operations.includes(operation) && (scope.resources === undefined || scope.resources.includes(resource)),
      );
      found = {
        mutating: halfOf(concerned, "admit", operation),
        validating: halfOf(concerned, "validate", operation),
      };
      selected.set(key, found);
    }
    return found;
  }

  const now = (): number => metrics?.clock.monotonicMs() ?? 0;

  function note(series: AdmissionSeries | undefined, tookMs: number, isRejected: boolean): void {
    if (series !== undefined) (isRejected ? series.rejected : series.accepted).observe(tookMs / 1000);
  }

  /** A step that began then has ended now: answers when that is. */
  function end(step: Step, attributes: AdmissionAttributes, since: number, isRejected = false): number {
    const endedAt = now();
    if (step.callsWebhooks) attributes.context.noteWait?.(endedAt - since);
    note(step.series, endedAt - since, isRejected);
    return endedAt;
  }

  /** Each plugin begins when the one before it ended: one look at the clock for each. Waits only for those that wait. */
  function runSteps({ steps }: Half, attributes: AdmissionAttributes): void | Promise<void> {
    let startedAt = now();
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      let pending: void | Promise<void>;
      try {
        pending = step.run(attributes);
      } catch (error) {
        end(step, attributes, startedAt, true);
        throw error;
      }
      if (pending !== undefined) return runRest(steps.slice(i), attributes, pending, startedAt);
      startedAt = end(step, attributes, startedAt);
    }
    return undefined;
  }

  /** The same where the first of the steps is under way. */
  async function runRest(
    steps: readonly Step[],
    attributes: AdmissionAttributes,
    first: Promise<void>,
    since: number,
  ): Promise<void> {
    let startedAt = since;
    for (const [i, step] of steps.entries()) {
      try {
        const pending = i === 0 ? first : step.run(attributes);
        if (pending !== undefined) await pending;
      } catch (error) {
        end(step, attributes, startedAt, true);
        throw error;
      }
      startedAt = end(step, attributes, startedAt);
    }
  }

  /** Those who wish so see what plugins after them have made of the object. */
  function runTwice(half: Half, attributes: AdmissionAttributes): void | Promise<void> {
    const { reinvocation } = attributes;
    const again = (): void | Promise<void> => {
      if (reinvocation?.isWanted !== true) return undefined;
      reinvocation.isSecond = true;
      return runSteps(half, attributes);
    };
    const pending = runSteps(half, attributes);
    return pending === undefined ? again() : pending.then(again);
  }

  function runHalf(half: Half, attributes: AdmissionAttributes, run: typeof runSteps): void | Promise<void> {
    const { series } = half;
    const startedAt = now();
    const refuse = (error: unknown): never => {
      note(series, now() - startedAt, true);
      throw error;
    };
    let pending: void | Promise<void>;
    try {
      pending = run(half, attributes);
    } catch (error) {
      return refuse(error);
    }
    if (pending !== undefined) return pending.then(() => note(series, now() - startedAt, false), refuse);
    note(series, now() - startedAt, false);
    return undefined;
  }

  return {
    admit(attributes) {
      const reinvocation: Reinvocation = { isSecond: false, isWanted: false, memory: undefined };
      return runHalf(select(attributes).mutating, { ...attributes, reinvocation }, runTwice);
    },
    validate: (attributes) => runHalf(select(attributes).validating, attributes, runSteps),
  };
}
