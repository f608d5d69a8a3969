/** A JSON member as text: strings as they are, numbers printed, everything else `""`. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}
