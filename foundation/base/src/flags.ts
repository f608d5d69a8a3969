/** A command line that cannot be obeyed; the message is for the user, one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command line asks what there is to ask; the message is the answer. */
export class HelpError extends UsageError {
  constructor(names: Iterable<string>) {
    super(
      `Flags:\n${[...names]
        .toSorted()
        .map((name) => `      --${name}\n`)
        .join("")}`,
    );
  }
}

/** Whether a command line asks for help. */
export const asksForHelp = (argv: readonly string[]): boolean => argv.includes("--help") || argv.includes("-h");

/** One flag: its names on the command line (without dashes), its default, and how its text becomes a value. */
export interface Flag<T> {
  readonly names: readonly string[];
  readonly fallback: T;
  /** May stand alone, meaning true. */
  readonly isSwitch: boolean;
  /** Throws UsageError. */
  readonly parse: (text: string, name: string) => T;
}

const invalid = (text: string, name: string): never => {
  throw new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag`);
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Makers of flags, one a kind of value. The first name is the main one. */
export const flag = {
  string: <T extends string | undefined>(names: string | readonly string[], fallback: T): Flag<string | T> => ({
    names: [names].flat(),
    fallback,
    isSwitch: false,
    parse: (text) => text,
  }),
  choice: <T extends string>(names: string | readonly string[], fallback: T, choices: readonly T[]): Flag<T> => ({
    names: [names].flat(),
    fallback,
    isSwitch: false,
    parse: (text, name) => choices.find((choice) => choice === text) ?? invalid(text, name),
  }),
  list: (names: string | readonly string[], fallback: readonly string[] = []): Flag<readonly string[]> => ({
    names: [names].flat(),
    fallback,
    isSwitch: false,
    parse: (text) => (text === "" ? [] : text.split(",")),
  }),
  boolean: (names: string | readonly string[], fallback: boolean): Flag<boolean> => ({
    names: [names].flat(),
    fallback,
    isSwitch: true,
    parse: (text, name) => (/^(true|1)$/i.test(text) ? true : /^(false|0)$/i.test(text) ? false : invalid(text, name)),
  }),
  number: <T extends number | undefined>(names: string | readonly string[], fallback: T): Flag<number | T> => ({
    names: [names].flat(),
    fallback,
    isSwitch: false,
    parse: (text, name) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : invalid(text, name)),
  }),
  /** `1h30m`, `10s`, `0`: milliseconds. */
  durationMs: (names: string | readonly string[], fallback: number): Flag<number> => ({
    names: [names].flat(),
    fallback,
    isSwitch: false,
    parse(text, name) {
      if (text === "0") return 0;
      if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return invalid(text, name);
      let total = 0;
      for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
        total += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
      return total;
    },
  }),
};

/** The values of a set of flags. */
export type FlagValues<F extends Readonly<Record<string, Flag<unknown>>>> = {
  readonly [K in keyof F]: F[K]["fallback"];
};

/** Reads `--name=value`, `--name value` and switches that stand alone. The last of several counts. Throws UsageError. */
export function parseFlags<F extends Readonly<Record<string, Flag<unknown>>>>(
  flags: F,
  argv: readonly string[],
): FlagValues<F> {
  const values: Record<string, unknown> = {};
  const byName = new Map<string, readonly [string, Flag<unknown>]>();
  for (const [field, definition] of Object.entries(flags)) {
    values[field] = definition.fallback;
    for (const name of definition.names) byName.set(name, [field, definition]);
  }
  if (asksForHelp(argv)) throw new HelpError(byName.keys());
  for (let i = 0; i < argv.length; i++) {
    const match = /^--?([A-Za-z0-9-]+)(?:=(.*))?$/s.exec(argv[i] ?? "");
    if (match === null) throw new UsageError(`unexpected argument ${JSON.stringify(argv[i])}`);
    const [, name = "", attached] = match;
    const known = byName.get(name);
    if (known === undefined) throw new UsageError(`unknown flag: --${name}`);
    const [field, definition] = known;
    const text = attached ?? (definition.isSwitch ? "true" : argv[++i]);
    if (text === undefined) throw new UsageError(`flag needs an argument: --${name}`);
    values[field] = definition.parse(text, name);
  }
  return values as FlagValues<F>;
}
