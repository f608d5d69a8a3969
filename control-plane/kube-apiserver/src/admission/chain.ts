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

  /** Each plugin begins when the one before it ended: one look at the clock for each. */
  async function measure({ steps }: Half, attributes: AdmissionAttributes): Promise<void> {
    const now = (): number => metrics?.clock.monotonicMs() ?? 0;
    let startedAt = now();
    const end = ({ series, callsWebhooks }: Step, isRejected: boolean): void => {
      const endedAt = now();
      const tookMs = endedAt - startedAt;
      startedAt = endedAt;
      if (callsWebhooks) attributes.context.noteWait?.(tookMs);
      if (series !== undefined) (isRejected ? series.rejected : series.accepted).observe(tookMs / 1000);
    };
    for (const step of steps) {
      try {
        const pending = step.run(attributes);
        if (pending !== undefined) await pending;
      } catch (error) {
        end(step, true);
        throw error;
      }
      end(step, false);
    }
  }

  async function runHalf(half: Half, work: () => Promise<void>): Promise<void> {
    if (metrics === undefined) return work();
    const startedAt = metrics.clock.monotonicMs();
    let isRejected = true;
    try {
      await work();
      isRejected = false;
    } finally {
      const seconds = (metrics.clock.monotonicMs() - startedAt) / 1000;
      (isRejected ? half.series?.rejected : half.series?.accepted)?.observe(seconds);
    }
  }

  return {
    admit(attributes) {
      const { mutating } = select(attributes);
      const reinvocation: Reinvocation = { isSecond: false, isWanted: false, memory: new Map() };
      const seen = { ...attributes, reinvocation };
      return runHalf(mutating, async () => {
        await measure(mutating, seen);
        if (!reinvocation.isWanted) return;
        reinvocation.isSecond = true;
        await measure(mutating, seen);
      });
    },
    validate(attributes) {
      const { validating } = select(attributes);
      return runHalf(validating, () => measure(validating, attributes));
    },
  };
}
