/** The cron grammar that schedules are checked against: five fields, or a descriptor. */

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly { readonly low: number; readonly high: number; readonly names?: readonly string[] }[] = [
  { low: 0, high: 59 },
  { low: 0, high: 23 },
  { low: 1, high: 31 },
  { low: 1, high: 12, names: MONTHS },
  { low: 0, high: 6, names: DAYS },
];
const DESCRIPTORS = new Set(["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]);
const DURATION = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/;

type Field = (typeof FIELDS)[number];

/** A number, or why it is none. */
function numberIn(source: string): number | string {
  if (!/^[+-]?\d+$/.test(source)) {
    const quoted = JSON.stringify(source);
    return `failed to parse int from ${source}: strconv.Atoi: parsing ${quoted}: invalid syntax`;
  }
  const value = Number(source);
  return value < 0 ? `negative number (${value}) not allowed: ${source}` : value;
}

function valueOf(source: string, field: Field): number | string {
  const name = field.names?.indexOf(source.toLowerCase()) ?? -1;
  return name >= 0 ? name + field.low : numberIn(source);
}

interface Bounds {
  readonly start: number;
  readonly end: number;
}

function boundsOf(source: string, expression: string, field: Field): Bounds | string {
  const [from = "", to, ...more] = source.split("-");
  if (from === "*" || from === "?") return { start: field.low, end: field.high };
  const start = valueOf(from, field);
  if (typeof start === "string") return start;
  if (more.length > 0) return `too many hyphens: ${expression}`;
  const end = to === undefined ? start : valueOf(to, field);
  return typeof end === "string" ? end : { start, end };
}

/** What is wrong with one range of a field: `*`, `1-5`, `10/15`. */
function rangeProblem(expression: string, field: Field): string | undefined {
  const [source = "", stepText, ...more] = expression.split("/");
  const bounds = boundsOf(source, expression, field);
  if (typeof bounds === "string") return bounds;
  if (more.length > 0) return `too many slashes: ${expression}`;
  const step = stepText === undefined ? 1 : numberIn(stepText);
  if (typeof step === "string") return step;
  const { start } = bounds;
  const end = stepText === undefined || source.includes("-") ? bounds.end : field.high;
  if (start < field.low) return `beginning of range (${start}) below minimum (${field.low}): ${expression}`;
  if (end > field.high) return `end of range (${end}) above maximum (${field.high}): ${expression}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${expression}`;
  return step === 0 ? `step of range should be a positive number: ${expression}` : undefined;
}

/** What is wrong with a schedule, undefined for a good one. */
export function scheduleProblem(schedule: string): string | undefined {
  if (schedule.startsWith("@")) {
    if (DESCRIPTORS.has(schedule)) return undefined;
    if (schedule.startsWith("@every ") && DURATION.test(schedule.slice(7))) return undefined;
    return `unrecognized descriptor: ${schedule}`;
  }
  const parts = schedule.split(/\s+/).filter((p) => p !== "");
  if (parts.length !== 5) return `expected exactly 5 fields, found ${parts.length}: [${parts.join(" ")}]`;
  for (const [i, field] of FIELDS.entries()) {
    const part = parts[i] ?? "";
    for (const range of part.split(",")) {
      const problem = range === "" ? undefined : rangeProblem(range, field);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

/** Whether a name is an IANA time zone. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name) || name.includes("..")) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false; // what Intl does not know is no time zone
  }
}
