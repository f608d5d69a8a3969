const WORDS: ReadonlyMap<string, boolean | null | undefined> = new Map<string, boolean | null | undefined>([
  ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map((word) => [word, true] as const),
  ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map((word) => [word, false] as const),
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, null] as const),
  // JSON has no such numbers.
  ...[".nan", ".NaN", ".NAN"].map((word) => [word, undefined] as const),
  ...["inf", "Inf", "INF"].flatMap((word) => ["", "+", "-"].map((sign) => [`${sign}.${word}`, undefined] as const)),
]);

const LONGEST_WORD = 5;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const INTEGER = /^([-+]?)(0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/;
const MOST_DIGITS = 64;
const LEAST = -(2n ** 63n);
const MOST = 2n ** 64n - 1n;

/** A number that fits 64 bits; undefined for any other text. */
function integerOf(text: string): number | undefined {
  const found = INTEGER.exec(text);
  if (found === null) return undefined;
  const [, sign, , hex, binary, octal, decimal] = found;
  const digits = hex ?? binary ?? octal ?? decimal ?? "";
  if (digits.length > MOST_DIGITS) return undefined;
  const prefix = hex !== undefined ? "0x" : binary !== undefined ? "0b" : octal !== undefined ? "0o" : "";
  const size = BigInt(prefix + digits);
  const value = sign === "-" ? -size : size;
  return value < LEAST || value > MOST ? undefined : Number(value);
}

/**
 * What a plain scalar of YAML means to Kubernetes' clients: words of YAML 1.1, integers of any base with underscores,
 * floats; everything else is text. Undefined: a number that JSON cannot hold.
 */
export function resolvePlainScalar(text: string): string | number | boolean | null | undefined {
  if (text.length <= LONGEST_WORD && WORDS.has(text)) return WORDS.get(text);
  const first = text.charCodeAt(0);
  const isDigitOrSign = (first >= 0x30 && first <= 0x39) || first === 0x2b || first === 0x2d;
  if (!isDigitOrSign && first !== 0x2e) return text;
  const digits = isDigitOrSign && text.includes("_") ? text.replaceAll("_", "") : text;
  const integer = isDigitOrSign ? integerOf(digits) : undefined;
  if (integer !== undefined) return integer;
  if (!FLOAT.test(digits)) return text;
  const float = Number(digits);
  return Number.isFinite(float) ? float : text;
}
