/** `5`, `"5"` is not a percentage and counts as an error, `"25%"` is. Thrown for other text. */
export class IntOrStringError extends Error {
  override readonly name = "IntOrStringError";
}

/** The number a field of that form stands for: itself, or its percentage of `total`, rounded as asked. */
export function scaledValue(value: number | string, total: number, roundsUp: boolean): number {
  if (typeof value === "number") return value;
  const match = /^(-?\d+)%$/.exec(value);
  if (match === null) {
    throw new IntOrStringError(
      value.endsWith("%")
        ? `invalid value for IntOrString: invalid value "${value}": strconv.Atoi: parsing "${value.slice(0, -1)}": invalid syntax`
        : "invalid value for IntOrString: invalid type: string is not a percentage",
    );
  }
  const part = (total * Number(match[1])) / 100;
  return roundsUp ? Math.ceil(part) : Math.floor(part);
}
