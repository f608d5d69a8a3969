import { equalJson, type Json } from "@coracle/apimachinery";

/** A toleration as it stands in a pod that is being written. */
export type TolerationDraft = Record<string, unknown>;

const textOf = (toleration: TolerationDraft, field: string): string => (toleration[field] ?? "") as string;
const same = (a: TolerationDraft, b: TolerationDraft): boolean => equalJson(a as Json, b as Json);

/** Whether `wide` tolerates everything that `narrow` does, as upstream decides it. */
export function coversToleration(wide: TolerationDraft, narrow: TolerationDraft): boolean {
  if (same(wide, narrow)) return true;
  const isExists = textOf(wide, "operator") === "Exists";
  if (textOf(narrow, "key") !== textOf(wide, "key") && (textOf(wide, "key") !== "" || !isExists)) return false;
  if (textOf(narrow, "effect") !== textOf(wide, "effect") && textOf(wide, "effect") !== "") return false;
  const bound = wide["tolerationSeconds"] as number | undefined;
  if (textOf(wide, "effect") === "NoExecute" && bound !== undefined) {
    const seconds = narrow["tolerationSeconds"] as number | undefined;
    if (seconds === undefined || seconds > bound) return false;
  }
  if (isExists) return true;
  const operator = textOf(wide, "operator");
  if (operator !== "" && operator !== "Equal") return false;
  return textOf(narrow, "operator") === "Equal" && textOf(narrow, "value") === textOf(wide, "value");
}

/** Both lists without what another toleration covers. */
export function mergeTolerations(
  first: readonly TolerationDraft[],
  second: readonly TolerationDraft[],
): TolerationDraft[] {
  const all = [...first, ...second];
  const merged: TolerationDraft[] = [];
  for (const [i, toleration] of all.entries()) {
    if (merged.some((kept) => coversToleration(kept, toleration))) continue;
    if (all.slice(i + 1).some((later) => !same(later, toleration) && coversToleration(later, toleration))) continue;
    merged.push(toleration);
  }
  return merged;
}

/** Whether each toleration is covered by one of the list; an empty list allows all. */
export const areAllowed = (tolerations: readonly TolerationDraft[], list: readonly TolerationDraft[]): boolean =>
  list.length === 0 || tolerations.every((one) => list.some((allowed) => coversToleration(allowed, one)));
