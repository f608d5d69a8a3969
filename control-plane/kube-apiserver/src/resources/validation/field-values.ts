import {
  invalidValue,
  isPercent as percentMessages,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { portName, portNumber } from "./names.ts";

const isPercent = (value: string): boolean => percentMessages(value).length === 0;

/** Must be one of the values. `undefined` counts as `""`. */
export function oneOf(
  errors: FieldError[],
  path: string,
  value: string | undefined,
  supported: readonly string[],
): boolean {
  if (supported.includes(value ?? "")) return true;
  errors.push(notSupported(path, value ?? "", supported));
  return false;
}

/** Must be given and be one of the values. */
export function requiredOneOf(
  errors: FieldError[],
  path: string,
  value: string | undefined,
  supported: readonly string[],
  detail = "",
): void {
  if (value === undefined || value === "") errors.push(required(path, detail));
  else oneOf(errors, path, value, supported);
}

/** Must not be negative. `undefined` counts as 0. */
export function nonNegative(errors: FieldError[], path: string, value: number | undefined): void {
  if ((value ?? 0) < 0) errors.push(invalidValue(path, value, "must be greater than or equal to 0"));
}

/** Messages become Invalid errors of the value. */
export function pushInvalid(errors: FieldError[], path: string, value: unknown, messages: readonly string[]): void {
  for (const message of messages) errors.push(invalidValue(path, value, message));
}

type IntOrString = number | string | undefined;

/** A port given by number or by name. */
export function portNumberOrName(errors: FieldError[], path: string, port: IntOrString): void {
  if (typeof port === "string") pushInvalid(errors, path, port, portName(port));
  else pushInvalid(errors, path, port ?? 0, portNumber(port ?? 0));
}

/** A count or a percentage, not negative. */
export function nonNegativeIntOrPercent(errors: FieldError[], path: string, value: IntOrString): void {
  if (typeof value === "string") {
    if (!isPercent(value))
      errors.push(
        invalidValue(
          path,
          value,
          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
      );
  } else nonNegative(errors, path, value);
}

/** The percentage of `25%`, undefined for anything else. */
function percentOf(value: IntOrString): number | undefined {
  return typeof value === "string" && isPercent(value) ? Number.parseInt(value, 10) : undefined;
}

/** A count, or a percentage read as its number; a count written as text counts, too. */
export function intOrPercentNumber(value: IntOrString): number {
  if (typeof value !== "string") return value ?? 0;
  return percentOf(value) ?? (/^[+-]?\d+$/.test(value) ? Number(value) : 0);
}

/** Percentages of at most 100. */
export function notOver100Percent(errors: FieldError[], path: string, value: IntOrString): void {
  const percent = percentOf(value);
  if (percent !== undefined && percent > 100) errors.push(invalidValue(path, value, "must not be greater than 100%"));
}

/** Relative, and nowhere a `..`. */
export function validateLocalDescendingPath(errors: FieldError[], path: string, value: string): void {
  if (value.startsWith("/")) errors.push(invalidValue(path, value, "must be a relative path"));
  if (value.split("/").includes("..")) errors.push(invalidValue(path, value, "must not contain '..'"));
}
