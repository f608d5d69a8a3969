import { RE2JS, RE2JSSyntaxException } from "re2js";

type Matcher = (text: string) => boolean;

const MOST = 1_000;
const matchers = new Map<string, Matcher>();

/** Why a pattern is no regular expression of RE2; undefined for one that is. */
export function patternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return `error parsing regexp: ${error.message.replace(/^error parsing regexp: /, "")}`;
  }
}

/**
 * Whether a text has a match of the pattern, in time linear in the text: no pattern can hold the process. Compiled once,
 * the most recently met are kept. Throws for patterns that `patternProblem` names.
 */
export function compilePattern(pattern: string): Matcher {
  const known = matchers.get(pattern);
  if (known !== undefined) return known;
  const compiled = RE2JS.compile(pattern);
  const matcher: Matcher = simpleMatcher(pattern) ?? ((text) => compiled.matcher(text).find());
  if (matchers.size >= MOST) matchers.delete(matchers.keys().next().value as string);
  matchers.set(pattern, matcher);
  return matcher;
}

/**
 * The engine's own expressions are many times faster, and as safe where nothing repeats what repeats and nothing is
 * optional beside a repetition of the same: one class, once or repeated, between anchors.
 */
function simpleMatcher(pattern: string): Matcher | undefined {
  if (!/^\^(?:\[[A-Za-z0-9_.:/+-]+\]|[A-Za-z0-9_/:@-])+(?:[*+]|\{\d{1,3}(?:,\d{0,3})?\})?\$$/.test(pattern))
    return undefined;
  try {
    const native = new RegExp(pattern, "u");
    return (text) => native.test(text);
  } catch {
    // Not written as the engine wants it: the slower one takes it.
    return undefined;
  }
}
