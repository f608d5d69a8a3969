import type { Clock } from "@coracle/base";
import { MAX_NODE_SCORE, type Plugin } from "../framework/plugin.ts";

/** What a user's plugin may take for an answer, before it counts as failed. */
const LIMITS_MS = { reserve: 10_000, permit: 10_000, preBind: 900_000, bind: 60_000 } as const;

/** The answer, or an error when it takes too long. */
async function inTime<T>(clock: Clock, what: string, limitMs: number, answer: Promise<T> | T): Promise<T> {
  if (!(answer instanceof Promise)) return answer;
  return await new Promise<T>((resolve, reject) => {
    const timer = clock.after(limitMs, () => reject(new Error(`${what}: no answer within ${limitMs / 1000}s`)));
    timer.unref();
    void answer.then(resolve, reject).finally(() => timer[Symbol.dispose]());
  });
}

/** Names the plugin in what it throws. */
function naming<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/**
 * A plugin that is not ours: what it throws names it, what hangs fails in the end, and scores out of range are refused.
 * The pod whose turn it was is tried again.
 */
export function guardPlugin(inner: Plugin, clock: Clock): Plugin {
  const { name } = inner;
  const guarded: { -readonly [K in keyof Plugin]: Plugin[K] } = { name };
  if (inner.events !== undefined) guarded.events = inner.events;
  if (inner.isHelpful) guarded.isHelpful = (pod, change) => inner.isHelpful?.(pod, change) ?? true;
  if (inner.preEnqueue) guarded.preEnqueue = (pod) => inner.preEnqueue?.(pod);
  if (inner.queueSort) guarded.queueSort = (a, b) => inner.queueSort?.(a, b) ?? 0;
  if (inner.preFilter)
    guarded.preFilter = (...args) => naming(`running PreFilter plugin "${name}"`, () => inner.preFilter?.(...args));
  if (inner.filter)
    guarded.filter = (...args) => naming(`running "${name}" filter plugin`, () => inner.filter?.(...args));
  if (inner.postFilter) guarded.postFilter = inner.postFilter.bind(inner);
  if (inner.preScore)
    guarded.preScore = (...args) => naming(`running PreScore plugin "${name}"`, () => inner.preScore?.(...args));
  if (inner.score) {
    guarded.score = (...args) => naming(`plugin "${name}" failed with`, () => inner.score?.(...args) ?? 0);
    guarded.normalize = (state, pod, scores, nodes) => {
      naming(`plugin "${name}" failed with`, () => inner.normalize?.(state, pod, scores, nodes));
      for (const score of scores)
        if (!(score >= 0 && score <= MAX_NODE_SCORE))
          throw new Error(
            `plugin "${name}" returns an invalid score ${score}, it should in the range of [0, ${MAX_NODE_SCORE}] after normalizing`,
          );
    };
  }
  if (inner.reserve)
    guarded.reserve = async (...args) =>
      inTime(clock, `running Reserve plugin "${name}"`, LIMITS_MS.reserve, inner.reserve?.(...args));
  if (inner.unreserve) guarded.unreserve = inner.unreserve.bind(inner);
  if (inner.permit)
    guarded.permit = async (...args) =>
      inTime(clock, `running Permit plugin "${name}"`, LIMITS_MS.permit, inner.permit?.(...args));
  if (inner.needsPreBind) guarded.needsPreBind = inner.needsPreBind.bind(inner);
  if (inner.preBind)
    guarded.preBind = async (...args) =>
      inTime(clock, `running PreBind plugin "${name}"`, LIMITS_MS.preBind, inner.preBind?.(...args));
  if (inner.bind)
    guarded.bind = async (...args) =>
      (await inTime(clock, `running Bind plugin "${name}"`, LIMITS_MS.bind, inner.bind?.(...args))) === true;
  if (inner.postBind) guarded.postBind = inner.postBind.bind(inner);
  return guarded;
}
