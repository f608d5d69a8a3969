/** One command of a page, and what the page says that it prints. */
export interface PageCommand {
  readonly line: number;
  readonly command: string;
  /** Lines; `...` stands for anything, alone in a line also for any number of lines. */
  readonly output: readonly string[];
}

/** The commands of all ```console blocks: lines that begin with `$ `, each followed by its output. */
export function consoleCommands(markdown: string): PageCommand[] {
  const commands: PageCommand[] = [];
  let inBlock = false;
  for (const [index, line] of markdown.split("\n").entries()) {
    if (line.startsWith("```")) inBlock = !inBlock && line.trim() === "```console";
    else if (inBlock && line.startsWith("$ ")) commands.push({ line: index + 1, command: line.slice(2), output: [] });
    else if (inBlock) (commands.at(-1)?.output as string[] | undefined)?.push(line);
  }
  // Empty lines before the end of a block or the next command are for the eye.
  return commands.map(({ output, ...rest }) => ({ ...rest, output: withoutTrailingBlanks(output) }));
}

function withoutTrailingBlanks(lines: readonly string[]): string[] {
  let end = lines.length;
  while (end > 0 && lines[end - 1]?.trim() === "") end--;
  return lines.slice(0, end);
}

/** Whether a program printed what the page says. A page that says nothing accepts anything. Runs of blanks are one. */
export function isAsWritten(output: readonly string[], printed: string): boolean {
  if (output.length === 0) return true;
  const pattern = output
    .map((line) => (line.trim() === "..." ? "(?:.*\n)*?" : `[^\\S\n]*${lineCore(line)}\\s*?\n`))
    .join("");
  return new RegExp(`^${pattern}$`).test(`${printed.replace(/\s+$/, "")}\n`);
}

function lineCore(line: string): string {
  return line
    .trim()
    .split("...")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replace(/\s+/g, "\\s+"))
    .join(".*");
}
