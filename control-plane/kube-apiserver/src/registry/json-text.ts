/** A JSON member as text: strings as they are, numbers printed, everything else `""`. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** A JSON member as a list of texts; absent: empty. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}
