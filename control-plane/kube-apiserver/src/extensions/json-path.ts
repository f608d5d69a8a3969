/** One part of a path: a member, an item, all of them, or those that a filter lets through. */
type Step =
  | { readonly type: "member"; readonly name: string }
  | { readonly type: "item"; readonly index: number }
  | { readonly type: "slice"; readonly from: number | undefined; readonly to: number | undefined }
  | { readonly type: "all" }
  | { readonly type: "descend"; readonly name: string }
  | { readonly type: "filter"; readonly path: readonly Step[]; readonly operator: string; readonly value: unknown };

/** A compiled path: the values that it finds. */
export type JsonPath = (value: unknown) => readonly unknown[];

/** Compiles a path as printer columns and selectable fields have it: `.spec.list[?(@.name=="x")].value`. */
export function compileJsonPath(text: string): JsonPath {
  const steps = parse(text);
  return (value) => follow(steps, [value]);
}

const TOKEN =
  /^(?:\.\.((?:\\.|[^.[\]\\])+)|\.?\[\?\(\s*@?((?:\\.|[^=!<>)\\])*?)\s*(?:(==|!=|>=|<=|>|<)\s*((?:"[^"]*"|'[^']*'|[^)])*?))?\s*\)\]|\.?\[(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|(-?\d+)|(-?\d*):(-?\d*)|\*)\]|\.(\*)|\.((?:\\.|[^.[\]\\])+)|\.$)/;

function parse(text: string): readonly Step[] {
  const steps: Step[] = [];
  let rest = text.startsWith("$") || text.startsWith("@") ? text.slice(1) : text;
  if (rest !== "" && !rest.startsWith(".") && !rest.startsWith("[")) rest = `.${rest}`;
  while (rest !== "") {
    const match = TOKEN.exec(rest);
    if (match === null) throw new Error(`unrecognized path ${JSON.stringify(text)}`);
    rest = rest.slice(match[0].length);
    const [, descend, path, operator, value, single, double, index, from, to, , name] = match;
    if (descend !== undefined) steps.push({ type: "descend", name: unescape(descend) });
    else if (path !== undefined)
      steps.push({ type: "filter", path: parse(path), operator: operator ?? "", value: literal(value ?? "") });
    else if (single !== undefined || double !== undefined)
      steps.push({ type: "member", name: unescape(single ?? double ?? "") });
    else if (index !== undefined) steps.push({ type: "item", index: Number(index) });
    else if (from !== undefined || to !== undefined) steps.push({ type: "slice", from: bound(from), to: bound(to) });
    else if (name !== undefined) steps.push({ type: "member", name: unescape(name) });
    else if (match[0] !== ".") steps.push({ type: "all" });
  }
  return steps;
}

const unescape = (text: string): string => text.replace(/\\(.)/g, "$1");
const bound = (text: string | undefined): number | undefined =>
  text === undefined || text === "" ? undefined : Number(text);

function literal(text: string): unknown {
  const quoted = /^(["'])(.*)\1$/s.exec(text);
  if (quoted !== null) return quoted[2];
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What is below a value. */
const membersOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : isMap(value) ? Object.values(value) : [];

function follow(steps: readonly Step[], start: readonly unknown[]): readonly unknown[] {
  let values = start;
  for (const step of steps) {
    if (values.length === 0) return values;
    values = values.flatMap((value) => take(step, value));
  }
  return values;
}

function take(step: Step, value: unknown): readonly unknown[] {
  switch (step.type) {
    case "member":
      return isMap(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case "item": {
      if (!Array.isArray(value)) return [];
      const found: unknown = value.at(step.index);
      return found === undefined ? [] : [found];
    }
    case "slice":
      return Array.isArray(value) ? (value as unknown[]).slice(step.from, step.to) : [];
    case "all":
      return membersOf(value);
    case "descend": {
      const own = isMap(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
      return [...own, ...membersOf(value).flatMap((member) => take(step, member))];
    }
    case "filter":
      return Array.isArray(value) ? (value as unknown[]).filter((item) => isMatch(step, item)) : [];
  }
}

function isMatch({ path, operator, value }: Extract<Step, { type: "filter" }>, item: unknown): boolean {
  const [found] = follow(path, [item]);
  if (operator === "") return found !== undefined;
  if (found === undefined) return false;
  switch (operator) {
    case "==":
      return found === value;
    case "!=":
      return found !== value;
  }
  if (typeof found !== typeof value || (typeof found !== "number" && typeof found !== "string")) return false;
  const other = value as typeof found;
  switch (operator) {
    case ">":
      return found > other;
    case "<":
      return found < other;
    case ">=":
      return found >= other;
    default:
      return found <= other;
  }
}
