import { CelError, CelTimestamp } from "./value.ts";

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const DAY = 86_400_000_000_000n;
const MAX = 2n ** 63n - 1n;
const MIN_SECONDS = -62135596800n;
const MAX_SECONDS = 253402300799n;
export const SECOND = 1_000_000_000n;
/** The error of moments outside the years 1 to 9999. */
export const TIMESTAMP_OVERFLOW = new CelError("timestamp overflow");
export const DURATION_OVERFLOW = new CelError("integer overflow");

/** Nanoseconds of `1h2.5s` as Go writes durations, or undefined. */
export function parseGoDuration(text: string): bigint | undefined {
  const sign = /^[+-]/.exec(text)?.[0];
  const rest = sign === undefined ? text : text.slice(1);
  if (rest === "0") return 0n;
  if (rest === "") return undefined;
  let total = 0n;
  let at = 0;
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;
  while (at < rest.length) {
    part.lastIndex = at;
    const match = part.exec(rest);
    if (match === null) return undefined;
    const [all, whole = "", fraction = "", unit = ""] = match;
    if (whole === "" && fraction === "") return undefined;
    const scale = UNITS[unit]!;
    total += BigInt(whole === "" ? "0" : whole) * scale;
    if (fraction !== "") total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
    if (total > MAX + 1n) return undefined;
    at += all.length;
  }
  if (sign === "-") return -total;
  return total > MAX ? undefined : total;
}

const WORDS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  nano: 1n,
  us: 1000n,
  µs: 1000n,
  micro: 1000n,
  ms: 1000000n,
  milli: 1000000n,
  s: SECOND,
  sec: SECOND,
  m: 60n * SECOND,
  min: 60n * SECOND,
  h: 3600n * SECOND,
  hr: 3600n * SECOND,
  hour: 3600n * SECOND,
  d: DAY,
  day: DAY,
  w: 7n * DAY,
  week: 7n * DAY,
  wk: 7n * DAY,
};

/** Nanoseconds of a duration as OpenAPI's format `duration` accepts it: Go's, or `3 days`. */
export function parseStrfmtDuration(text: string): bigint | undefined {
  const plain = parseGoDuration(text);
  if (plain !== undefined) return plain;
  const matches = [...text.matchAll(/(-?\d+)\s*([A-Za-zµμ]+)/g)];
  if (matches.length === 0) return undefined;
  let total = 0n;
  for (const [, count = "0", word = ""] of matches) {
    const lower = word.toLowerCase();
    const unit = WORDS[lower] ?? WORDS[lower.replace(/s$/, "")];
    if (unit === undefined) return undefined;
    total += BigInt(count) * unit;
  }
  return total;
}

/** Seconds as a double without exponent: `1.5`. */
export function durationSeconds(nanos: bigint): string {
  const negative = nanos < 0n;
  const magnitude = negative ? -nanos : nanos;
  const fraction = (magnitude % SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = (magnitude / SECOND).toString();
  return (negative ? "-" : "") + (fraction === "" ? whole : `${whole}.${fraction}`);
}

/** A moment as RFC 3339 writes it; undefined for other text, an error outside the years 1 to 9999. */
export function parseRfc3339(text: string): CelTimestamp | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = match.map((part) => part ?? "");
  const [y, mo, d, h, mi, s] = [year, month, day, hour, minute, second].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || h > 23 || mi > 59 || s > 59) return undefined;
  const offset = zone === "Z" ? 0 : zoneMinutes(zone);
  if (offset === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(y, mo - 1, d);
  date.setUTCHours(h, mi, s, 0);
  const seconds = BigInt(date.getTime() / 1000) - BigInt(offset * 60);
  const nanos = BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return new CelTimestamp(seconds * SECOND + nanos, offset);
}

/** The moment, or the error when it is outside the years 1 to 9999. */
export function checkedTimestamp(nanos: bigint, offset = 0): CelTimestamp | CelError {
  const seconds = floorDivide(nanos, SECOND);
  return seconds < MIN_SECONDS || seconds > MAX_SECONDS ? TIMESTAMP_OVERFLOW : new CelTimestamp(nanos, offset);
}

/** The moment as RFC 3339 with as many digits of seconds as it needs. */
export function formatTimestamp({ nanos, offset }: CelTimestamp): string {
  const local = nanos + BigInt(offset * 60) * SECOND;
  const seconds = floorDivide(local, SECOND);
  const fraction = (local - seconds * SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  const iso = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const zone = offset === 0 ? "Z" : formatZone(offset);
  return `${iso}${fraction === "" ? "" : `.${fraction}`}${zone}`;
}

export function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

/** The wall clock of a moment in a zone, as a UTC date; an error message for unknown zones. */
export function wallClock(nanos: bigint, zone: string): Date | string {
  const milliseconds = Number(floorDivide(nanos, 1_000_000n));
  if (zone === "" || zone === "UTC") return new Date(milliseconds);
  const colon = zone.indexOf(":");
  if (colon === -1) return zonedDate(milliseconds, zone);
  const hours = atoi(zone.slice(0, colon));
  if (typeof hours === "string") return hours;
  const minutes = atoi(zone.slice(colon + 1));
  if (typeof minutes === "string") return minutes;
  const offset = zone.startsWith("-") ? hours * 60 - minutes : hours * 60 + minutes;
  return new Date(milliseconds + offset * 60_000);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function zonedDate(milliseconds: number, zone: string): Date | string {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    try {
      formatter = new Intl.DateTimeFormat("en-US", {
        timeZone: zone,
        calendar: "gregory",
        hourCycle: "h23",
        era: "short",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      });
    } catch {
      return `unknown time zone ${zone}`;
    }
    formatters.set(zone, formatter);
  }
  const parts: Record<string, number> = {};
  for (const { type, value } of formatter.formatToParts(milliseconds)) parts[type] = Number(value);
  const date = new Date(0);
  date.setUTCFullYear(parts["year"]!, parts["month"]! - 1, parts["day"]!);
  date.setUTCHours(parts["hour"]!, parts["minute"]!, parts["second"]!, ((milliseconds % 1000) + 1000) % 1000);
  return date;
}

function atoi(text: string): number | string {
  return /^[+-]?\d+$/.test(text) ? Number(text) : `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
}

function zoneMinutes(zone: string): number | undefined {
  const [hours = 0, minutes = 0] = zone.slice(1).split(":").map(Number);
  if (hours > 24 || minutes > 59) return undefined;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}

function formatZone(offset: number): string {
  const magnitude = Math.abs(offset);
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${offset < 0 ? "-" : "+"}${pad(Math.floor(magnitude / 60))}:${pad(magnitude % 60)}`;
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year === 0 ? 4 : year, month, 0)).getUTCDate();
}
