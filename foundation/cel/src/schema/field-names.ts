const RESERVED = new Set([
  "true",
  "false",
  "null",
  "in",
  "as",
  "break",
  "const",
  "continue",
  "else",
  "for",
  "function",
  "if",
  "import",
  "let",
  "loop",
  "package",
  "namespace",
  "return",
  "var",
  "void",
  "while",
]);
const ESCAPES: Readonly<Record<string, string>> = {
  __: "__underscores__",
  ".": "__dot__",
  "-": "__dash__",
  "/": "__slash__",
};
const UNESCAPES: Readonly<Record<string, string>> = { underscores: "__", dot: ".", dash: "-", slash: "/" };

/** The identifier that stands for a field in expressions, or undefined when no identifier can. */
export function escapeField(name: string): string | undefined {
  if (name === "" || /^[0-9]/.test(name)) return undefined;
  if (RESERVED.has(name)) return `__${name}__`;
  if (!/^[a-zA-Z0-9\-./_]+$/.test(name)) return undefined;
  return name.replaceAll(/__|[-./]/g, (found) => ESCAPES[found]!);
}

/** The field that an identifier stands for, or undefined when it stands for none. */
export function unescapeField(name: string): string | undefined {
  if (!name.includes("__")) return name;
  if (name.startsWith("__") && name.endsWith("__") && RESERVED.has(name.slice(2, -2))) return name.slice(2, -2);
  let valid = true;
  const plain = name.replaceAll(/__(?:(underscores|dot|dash|slash)__)?/g, (_found, word: string | undefined) => {
    if (word === undefined) {
      valid = false;
      return "";
    }
    return UNESCAPES[word]!;
  });
  return valid ? plain : undefined;
}
