import type { Instant } from "@coracle/base";
import { createWallClock, type Wall, type WallClock } from "./wall-clock.ts";

/** When something is due. */
export interface Schedule {
  /** The first due time after `after`; undefined: none within five years. */
  next(after: Instant): Instant | undefined;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MINUTE: Field = { name: "minute", min: 0, max: 59 };
const HOUR: Field = { name: "hour", min: 0, max: 23 };
const DAY: Field = { name: "day of month", min: 1, max: 31 };
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTH: Field = { name: "month", min: 1, max: 12, names: MONTHS };
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WEEKDAY: Field = { name: "day of week", min: 0, max: 6, names: WEEKDAYS };
const FIELDS = [MINUTE, HOUR, DAY, MONTH, WEEKDAY] as const;

const DESCRIPTORS: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const YEARS = 5;

/**
 * Reads a schedule: five fields (lists, ranges, steps, names), a descriptor like `@hourly`, or `@every 1h30m`; before
 * it may stand `TZ=` or `CRON_TZ=`. Throws an error that says what is wrong. `timeZone` absent: the host's.
 */
export function parseSchedule(text: string, timeZone?: string): Schedule {
  let rest = text.trim();
  let zone = timeZone;
  const prefix = /^(?:CRON_)?TZ=(\S*)\s+(.*)$/s.exec(rest);
  if (prefix !== null) {
    zone = prefix[1];
    rest = prefix[2]?.trim() ?? "";
  }
  const wallClock = createWallClock(zone);
  if (rest.startsWith("@every ")) return every(rest.slice("@every ".length).trim());
  if (rest.startsWith("@")) {
    const fields = DESCRIPTORS[rest];
    if (fields === undefined) throw new Error(`unrecognized descriptor: ${rest}`);
    rest = fields;
  }
  const parts = rest.split(/\s+/);
  if (rest === "" || parts.length !== FIELDS.length)
    throw new Error(`expected exactly 5 fields, found ${rest === "" ? 0 : parts.length}: [${parts.join(" ")}]`);
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, i) => parseField(parts[i] ?? "", field)) as [
    ParsedField,
    ParsedField,
    ParsedField,
    ParsedField,
    ParsedField,
  ];
  // Two restrictions on the day widen each other, as cron has always done it.
  const isDay = (wall: Wall): boolean => {
    const [byDay, byWeekday] = [days.values.has(wall.day), weekdays.values.has(wall.weekday)];
    return days.isStar || weekdays.isStar ? byDay && byWeekday : byDay || byWeekday;
  };
  return { next: (after) => nextTime({ minutes, hours, isDay, months }, wallClock, after) };
}

interface Times {
  readonly minutes: ParsedField;
  readonly hours: ParsedField;
  readonly months: ParsedField;
  readonly isDay: (wall: Wall) => boolean;
}

/**
 * Goes forward by months, days, hours, minutes and seconds until all fit, each time from the beginning of the larger
 * unit, by the clocks on the wall: what these show at a change to or from summer time decides what is left out or
 * comes twice, step by step as upstream's parser takes them.
 */
function nextTime({ minutes, hours, months, isDay }: Times, wallClock: WallClock, after: Instant): Instant | undefined {
  let at = Math.floor(after / SECOND_MS) * SECOND_MS + SECOND_MS;
  let wall = wallClock.read(at);
  const lastYear = wall.year + YEARS;
  let isReset = false;
  const goTo = (instant: Instant): void => {
    at = instant;
    wall = wallClock.read(at);
  };
  /** The parts below the one that is stepped over begin anew, once. */
  const reset = (instant: () => Instant): void => {
    if (!isReset) goTo(instant());
    isReset = true;
  };
  wrap: while (wall.year <= lastYear) {
    while (!months.values.has(wall.month)) {
      reset(() => wallClock.instantOf(wall.year, wall.month, 1, 0, 0, 0));
      const { year, month, day, hour, minute, second } = wall;
      goTo(wallClock.instantOf(year, month + 1, day, hour, minute, second));
      if (wall.month === 1) continue wrap;
    }
    while (!isDay(wall)) {
      reset(() => wallClock.instantOf(wall.year, wall.month, wall.day, 0, 0, 0));
      const { year, month, day, hour, minute, second } = wall;
      goTo(wallClock.instantOf(year, month, day + 1, hour, minute, second));
      // Where there is no midnight the day begins at another hour.
      if (wall.hour > 12) goTo(at + (24 - wall.hour) * HOUR_MS);
      else if (wall.hour > 0) goTo(at - wall.hour * HOUR_MS);
      if (wall.day === 1) continue wrap;
    }
    while (!hours.values.has(wall.hour)) {
      reset(() => wallClock.instantOf(wall.year, wall.month, wall.day, wall.hour, 0, 0));
      goTo(at + HOUR_MS);
      if (wall.hour === 0) continue wrap;
    }
    while (!minutes.values.has(wall.minute)) {
      reset(() => Math.floor(at / MINUTE_MS) * MINUTE_MS);
      goTo(at + MINUTE_MS);
      if (wall.minute === 0) continue wrap;
    }
    if (wall.second === 0) return at;
    isReset = true;
    goTo(at + (60 - wall.second) * SECOND_MS);
  }
  return undefined;
}

interface ParsedField {
  readonly values: ReadonlySet<number>;
  readonly isStar: boolean;
}

function parseField(text: string, field: Field): ParsedField {
  const values = new Set<number>();
  let isStar = false;
  for (const part of text.split(",")) {
    const [range = "", stepText, more] = part.split("/");
    const step = stepText === undefined ? 1 : Number(stepText);
    if (more !== undefined || !Number.isInteger(step) || stepText === "")
      throw new Error(`too many slashes or bad step: ${part}`);
    if (step <= 0) throw new Error(`step of range should be a positive number: ${part}`);
    let [from, to] = [field.min, field.max];
    if (range === "*" || range === "?") isStar ||= stepText === undefined || step === 1;
    else {
      const [low = "", high, extra] = range.split("-");
      if (extra !== undefined) throw new Error(`too many hyphens: ${part}`);
      from = parseValue(low, field);
      to = high === undefined ? (stepText === undefined ? from : field.max) : parseValue(high, field);
    }
    if (from < field.min) throw new Error(`beginning of range (${from}) below minimum (${field.min}): ${part}`);
    if (to > field.max) throw new Error(`end of range (${to}) above maximum (${field.max}): ${part}`);
    if (from > to) throw new Error(`beginning of range (${from}) beyond end of range (${to}): ${part}`);
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return { values, isStar };
}

function parseValue(text: string, field: Field): number {
  const index = field.names?.indexOf(text.toLowerCase()) ?? -1;
  if (index >= 0) return index + field.min;
  if (!/^\d+$/.test(text)) throw new Error(`failed to parse int from ${text}: invalid ${field.name}`);
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: MINUTE_MS, h: HOUR_MS };

function every(text: string): Schedule {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw new Error(`failed to parse duration @every ${text}`);
  let period = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    period += Number(amount) * (UNITS[unit ?? "s"] ?? 0);
  period = Math.max(1000, Math.floor(period / 1000) * 1000);
  return { next: (after) => Math.floor(after / 1000) * 1000 + period };
}

/** An instant as clocks show it there, with their distance from UTC: RFC 3339. Absent zone: UTC. */
export function localTimestamp(at: Instant, timeZone = "UTC"): string {
  const { year, month, day, hour, minute } = createWallClock(timeZone).read(at);
  const seconds = Math.floor((at % MINUTE_MS) / 1000);
  const shown = Date.UTC(year, month - 1, day, hour, minute, seconds);
  const offset = Math.round((shown - at) / MINUTE_MS);
  const two = (value: number): string => String(value).padStart(2, "0");
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${new Date(shown).toISOString().slice(0, 19)}${offset === 0 ? "Z" : zone}`;
}
