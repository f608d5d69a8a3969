const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number that a quantity stands for; what is none, which the API server would not have let in, counts as 0. */
export function quantityValue(text: string | undefined): number {
  if (text === undefined) return 0;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  if (match === null) return 0;
  const [, digits, exponent, suffix] = match;
  return Number(digits) * (exponent === undefined ? (SUFFIXES[suffix ?? ""] ?? 1) : 10 ** Number(exponent));
}

/** Thousandths, rounded up: processors. */
export const quantityMillis = (text: string | undefined): number => Math.ceil(quantityValue(text) * 1000 - 1e-9) + 0;
/** Whole units, rounded up: bytes. */
export const quantityUnits = (text: string | undefined): number => Math.ceil(quantityValue(text) - 1e-9) + 0;
