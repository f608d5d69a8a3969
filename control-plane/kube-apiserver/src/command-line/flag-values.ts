import { UsageError } from "@coracle/base";
import { isIP } from "node:net";
import { FLAG_KINDS, type FlagKind } from "./flag-kinds.ts";

/** What was given, by flag, in the order given. */
export type FlagValues = Map<string, string[]>;

/** Letters that stand for flags. */
const SHORTHANDS: Readonly<Record<string, string>> = { v: "v" };

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** As upstream reads one; undefined: neither. */
export function readBoolean(text: string): boolean | undefined {
  return TRUE.has(text) ? true : FALSE.has(text) ? false : undefined;
}

const UNITS = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)/;

function durationProblem(text: string): string | undefined {
  const told = JSON.stringify(text);
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return undefined;
  if (rest === "") return `time: invalid duration ${told}`;
  while (rest !== "") {
    const number = /^(?:\d+(?:\.\d*)?|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) return `time: invalid duration ${told}`;
    const unit = /^[^\d.]*/.exec(rest.slice(number.length))![0];
    if (unit === "") return `time: missing unit in duration ${told}`;
    if (!UNITS.test(`${number}${unit}`) || !/^(?:ns|us|µs|μs|ms|s|m|h)$/.test(unit))
      return `time: unknown unit ${JSON.stringify(unit)} in duration ${told}`;
    rest = rest.slice(number.length + unit.length);
  }
  return undefined;
}

const MAX_INT = 2n ** 63n - 1n;

function intProblem(text: string, reader: "ParseInt" | "ParseUint", most: bigint): string | undefined {
  const sign = reader === "ParseInt" ? "[+-]?" : "";
  if (!new RegExp(`^${sign}(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9]\\d*)$`).test(text) || text === "")
    return `strconv.${reader}: parsing ${JSON.stringify(text)}: invalid syntax`;
  const digits = text.replace(/^[+-]/, "").replace(/^0(?=[0-7])/, "0o");
  return BigInt(digits) > most ? `strconv.${reader}: parsing ${JSON.stringify(text)}: value out of range` : undefined;
}

const floatProblem = (text: string): string | undefined =>
  text.trim() === "" || Number.isNaN(Number(text))
    ? `strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`
    : undefined;

/** What is wrong with a value, in upstream's words. */
const PROBLEMS: Readonly<Record<FlagKind, (text: string) => string | undefined>> = {
  bool: (text) =>
    readBoolean(text) === undefined ? `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax` : undefined,
  int: (text) => intProblem(text, "ParseInt", MAX_INT),
  level: (text) => intProblem(text, "ParseUint", 2n ** 31n - 1n),
  float32: floatProblem,
  float64: floatProblem,
  duration: durationProblem,
  ip: (text) => (text === "" || isIP(text) !== 0 ? undefined : `failed to parse IP: ${JSON.stringify(text)}`),
  version: (text) =>
    readBoolean(text) !== undefined || text === "raw" || /^v\d+\.\d+\.\d+/.test(text)
      ? undefined
      : `could not parse ${JSON.stringify(text)} as version`,
  text: () => undefined,
};

/** Values as the rest of the server reads them: booleans in words, whole numbers in decimal. */
function plain(kind: FlagKind, text: string): string {
  if (kind === "bool") return String(readBoolean(text));
  if (kind !== "int" && kind !== "level") return text;
  const digits = text.replace(/^[+-]/, "").replace(/^0(?=[0-7])/, "0o");
  return `${text.startsWith("-") ? "-" : ""}${BigInt(digits)}`;
}

/** Reads words into values. Throws a UsageError with upstream's text for what is no flag, and for values of another kind. */
export function readFlagValues(argv: readonly string[]): FlagValues {
  const values: FlagValues = new Map();
  const words: string[] = [];
  const set = (name: string, value: string): void => {
    const kind = FLAG_KINDS.get(name)!;
    const problem = PROBLEMS[kind](value);
    if (problem !== undefined) {
      const flag = name === "v" ? "-v, --v" : `--${name}`;
      throw new UsageError(`invalid argument ${JSON.stringify(value)} for ${JSON.stringify(flag)} flag: ${problem}`);
    }
    const list = values.get(name);
    if (list === undefined) values.set(name, [plain(kind, value)]);
    else list.push(plain(kind, value));
  };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") {
      words.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      words.push(word);
      continue;
    }
    if (!word.startsWith("--")) {
      const name = SHORTHANDS[word[1]!];
      if (name === undefined) throw new UsageError(`unknown shorthand flag: '${word[1]}' in ${word}`);
      const attached = word.slice(2).replace(/^=/, "");
      const value = attached === "" ? argv[++i] : attached;
      if (value === undefined) throw new UsageError(`flag needs an argument: '${word[1]}' in ${word}`);
      set(name, value);
      continue;
    }
    const mark = word.indexOf("=");
    // Upstream takes underscores for dashes.
    const given = word.slice(2, mark === -1 ? undefined : mark);
    const name = given.replaceAll("_", "-");
    if (given === "" || given.startsWith("-")) throw new UsageError(`bad flag syntax: ${word}`);
    const kind = FLAG_KINDS.get(name);
    if (kind === undefined) throw new UsageError(`unknown flag: --${name}`);
    if (mark !== -1) set(name, word.slice(mark + 1));
    else if (kind === "bool" || kind === "version") set(name, "true");
    else if (i + 1 < argv.length) set(name, argv[++i]!);
    else throw new UsageError(`flag needs an argument: --${name}`);
  }
  if (words.length > 0) {
    const told = words.map((word) => JSON.stringify(word)).join(" ");
    throw new UsageError(`"kube-apiserver" does not take any arguments, got [${told}]`);
  }
  return values;
}
