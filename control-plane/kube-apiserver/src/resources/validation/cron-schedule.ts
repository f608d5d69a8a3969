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

function valueOf(source: string, field: (typeof FIELDS)[number]): number {
  const name = field.names?.indexOf(source.toLowerCase()) ?? -1;
  if (name >= 0) return name + field.low;
  return /^\d+$/.test(source) ? Number(source) : Number.NaN;
}

function isRange(source: string, field: (typeof FIELDS)[number]): boolean {
  const [range = "", step, extra] = source.split("/");
  if (extra !== undefined || (step !== undefined && !/^[1-9]\d*$/.test(step))) return false;
  if (range === "*" || range === "?") return true;
  const [from = "", to, more] = range.split("-");
  if (more !== undefined) return false;
  const low = valueOf(from, field);
  const high = to === undefined ? low : valueOf(to, field);
  return low >= field.low && high <= field.high && low <= high;
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
    if (!part.split(",").every((range) => isRange(range, field)))
      return `failed to parse field ${JSON.stringify(part)}`;
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
