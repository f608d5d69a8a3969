/** Fields of a log line. Objects are referred to by `{kind, namespace, name}`, never whole; secrets never. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Constant messages with fields. Two levels: `info` for an operator, `debug` for a developer; `error` where an error stops travelling. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines carry `fields` too. */
  child(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

function plain(value: unknown): unknown {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === "bigint") return value.toString();
  return value;
}

/** Writes one JSON object a line. */
export function createLogger(options: {
  readonly write: (line: string) => void;
  readonly level?: LogLevel;
  readonly fields?: LogFields;
  readonly now?: () => number;
}): Logger {
  const { write, level = "info", fields = {}, now = Date.now } = options;
  const emit = (at: LogLevel, message: string, extra: LogFields = {}): void => {
    if (ORDER[at] < ORDER[level]) return;
    const line: Record<string, unknown> = { time: new Date(now()).toISOString(), level: at, msg: message };
    for (const [key, value] of Object.entries(fields)) line[key] = plain(value);
    for (const [key, value] of Object.entries(extra)) line[key] = plain(value);
    write(`${JSON.stringify(line)}\n`);
  };
  return {
    debug: (message, extra) => emit("debug", message, extra),
    info: (message, extra) => emit("info", message, extra),
    warn: (message, extra) => emit("warn", message, extra),
    error: (message, extra) => emit("error", message, extra),
    child: (extra) => createLogger({ ...options, fields: { ...fields, ...extra } }),
  };
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
