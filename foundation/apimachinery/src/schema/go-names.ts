import { parseTable } from "@coracle/api";

interface GoNames {
  readonly types: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly embedded: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

let table: GoNames | undefined;

/** How upstream calls the type of a member, where that is not its form: `[]v1.PersistentVolumeAccessMode`. */
export function goTypeOf(owner: string, member: string): string | undefined {
  return names().types[owner]?.[member];
}

/** The structures between a type and a member of it, which only messages show: `RuleWithOperations.Rule`. */
export function goPathTo(owner: string, member: string): string | undefined {
  return names().embedded[owner]?.[member];
}

// Read with the first message that needs it: most servers never do.
const names = (): GoNames => (table ??= parseTable("go-names") as GoNames);
