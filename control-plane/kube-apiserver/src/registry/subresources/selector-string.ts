import { isObject } from "@coracle/apimachinery";

interface Expression {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

/** A selector in its string form, terms sorted by key: of a LabelSelector, or of a plain map as in ReplicationController. */
export function selectorText(selector: unknown): string {
  if (!isObject(selector)) return "";
  const { matchLabels, matchExpressions } = selector;
  const labels = isObject(matchLabels) ? matchLabels : Array.isArray(matchExpressions) ? {} : selector;
  const terms: (readonly [string, string])[] = Object.entries(labels).map(([key, value]) => [
    key,
    `${key}=${value as string}`,
  ]);
  for (const expression of (matchExpressions as Expression[] | undefined) ?? []) {
    terms.push([expression.key, expressionText(expression)]);
  }
  return terms
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
    .map(([, text]) => text)
    .join(",");
}

function expressionText({ key, operator, values = [] }: Expression): string {
  const list = `(${[...values].sort().join(",")})`;
  switch (operator) {
    case "In":
      return `${key} in ${list}`;
    case "NotIn":
      return `${key} notin ${list}`;
    case "Exists":
      return key;
    default:
      return `!${key}`;
  }
}

/** Whether a LabelSelector takes objects with these labels; absent selectors take none, empty ones all. */
export function selectorMatches(selector: unknown, labels: unknown): boolean {
  if (!isObject(selector)) return false;
  const has = isObject(labels) ? labels : {};
  const wanted = isObject(selector.matchLabels) ? selector.matchLabels : {};
  if (Object.entries(wanted).some(([key, value]) => has[key] !== value)) return false;
  const expressions = (selector.matchExpressions as Expression[] | undefined) ?? [];
  return expressions.every(({ key, operator, values = [] }) => {
    const value = has[key];
    if (operator === "Exists") return value !== undefined;
    if (operator === "DoesNotExist") return value === undefined;
    if (operator === "In") return value !== undefined && values.includes(value as string);
    return value === undefined || !values.includes(value as string);
  });
}
