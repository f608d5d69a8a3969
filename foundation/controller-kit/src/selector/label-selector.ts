import type { LabelSelector } from "@coracle/api/meta/v1";

export type Labels = Readonly<Record<string, string>> | undefined;
export type LabelMatcher = (labels: Labels) => boolean;

const compiled = new WeakMap<LabelSelector, LabelMatcher>();

/**
 * A selector as a function; an absent one matches nothing, an empty one everything. Compiled once per selector
 * object, so the selector must not change afterwards.
 */
export function labelMatcher(selector: LabelSelector | undefined): LabelMatcher {
  if (selector === undefined) return () => false;
  const known = compiled.get(selector);
  if (known !== undefined) return known;
  const matcher = compile(selector);
  compiled.set(selector, matcher);
  return matcher;
}

/** True for a selector that selects everything. */
export function isEmptySelector(selector: LabelSelector | undefined): boolean {
  return (
    selector === undefined ||
    (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0)
  );
}

/** A map of labels as a function: all must be there, with these values. */
export function labelsMatcher(wanted: Readonly<Record<string, string>>): LabelMatcher {
  const entries = Object.entries(wanted);
  const [[key, value] = []] = entries;
  if (key !== undefined && entries.length === 1) return (labels) => labels?.[key] === value;
  return (labels) => entries.every(([key, value]) => labels?.[key] === value);
}

function compile(selector: LabelSelector): LabelMatcher {
  const tests: LabelMatcher[] = [];
  const matchLabels = Object.entries(selector.matchLabels ?? {});
  if (matchLabels.length > 0) tests.push((labels) => matchLabels.every(([key, value]) => labels?.[key] === value));
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const set = new Set(values);
    switch (operator) {
      case "In":
        tests.push((labels) => labels?.[key] !== undefined && set.has(labels[key]));
        break;
      case "NotIn":
        tests.push((labels) => labels?.[key] === undefined || !set.has(labels[key]));
        break;
      case "Exists":
        tests.push((labels) => labels?.[key] !== undefined);
        break;
      case "DoesNotExist":
        tests.push((labels) => labels?.[key] === undefined);
        break;
      default:
        tests.push(() => false);
    }
  }
  return (labels) => tests.every((test) => test(labels));
}
