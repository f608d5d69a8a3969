/** Replaces `$(NAME)` by the variable's value; `$$` is one dollar; names that are not there stay as they are. */
export function expandVariables(text: string, lookup: (name: string) => string | undefined): string {
  return text.replaceAll(/\$(\$|\(([^)]*)\))/g, (whole, token: string, name: string | undefined) =>
    token === "$" ? "$" : (lookup(name ?? "") ?? whole),
  );
}
