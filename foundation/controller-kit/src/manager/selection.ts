import { UsageError } from "@coracle/base";

/**
 * Reads `--controllers`: former names become today's. `formerNames`: every controller that there is, with the name it had.
 * Throws UsageError for what nobody knows.
 */
export function readSelection(
  selection: readonly string[],
  formerNames: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const today = new Map(
    Object.entries(formerNames).flatMap(([name, former]) => (former === undefined ? [] : [[former, name] as const])),
  );
  return selection.map((item) => {
    if (item === "*") return item;
    const sign = item.startsWith("-") ? "-" : "";
    const asked = item.slice(sign.length);
    const name = today.get(asked) ?? asked;
    if (!Object.hasOwn(formerNames, name))
      throw new UsageError(`${JSON.stringify(asked)} is not in the list of known controllers`);
    return sign + name;
  });
}

/** True when a selection asks for `name`: the first mention counts, `*` for all but those that are off by default. */
export function isSelected(name: string, selection: readonly string[], offByDefault?: ReadonlySet<string>): boolean {
  const mention = selection.find((item) => item === name || item === `-${name}`);
  if (mention !== undefined) return mention === name;
  return selection.includes("*") && offByDefault?.has(name) !== true;
}
