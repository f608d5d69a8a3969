import type { Instant } from "@coracle/base";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Offsets that are remembered; hours before make room. */
const MOST_HOURS = 200;

/** What clocks on the wall show somewhere. */
export interface Wall {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  /** From Sunday, 0. */
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/** Clocks on the walls of a time zone. */
export interface WallClock {
  read(at: Instant): Wall;
  /**
   * When they show this; parts may lie beyond their ends. A time that is skipped or comes twice is taken by the offset
   * that a reader of UTC would expect there, which is how upstream's language does it.
   */
  instantOf(year: number, month: number, day: number, hour: number, minute: number, second: number): Instant;
}

/** Throws for a name that is none. Absent: the host's zone. */
export function createWallClock(timeZone: string | undefined): WallClock {
  const offsetOf = createOffsets(timeZone);
  return {
    read(at) {
      const shown = new Date(at + offsetOf(at));
      return {
        year: shown.getUTCFullYear(),
        month: shown.getUTCMonth() + 1,
        day: shown.getUTCDate(),
        weekday: shown.getUTCDay(),
        hour: shown.getUTCHours(),
        minute: shown.getUTCMinutes(),
        second: shown.getUTCSeconds(),
      };
    },
    instantOf(year, month, day, hour, minute, second) {
      const naive = Date.UTC(year, month - 1, day, hour, minute, second);
      const offset = offsetOf(naive);
      return naive - (offset === 0 ? 0 : offsetOf(naive - offset));
    },
  };
}

/** How far the zone's clocks are ahead of UTC at an instant. */
function createOffsets(timeZone: string | undefined): (at: Instant) => number {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      ...(timeZone === undefined || timeZone === "" ? {} : { timeZone }),
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
  } catch {
    throw new Error(`unknown time zone ${timeZone}`);
  }
  if (format.resolvedOptions().timeZone === "UTC") return () => 0;
  const ask = (at: Instant): number => {
    const minute = Math.floor(at / MINUTE_MS) * MINUTE_MS;
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(minute)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute: shown = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, shown) - minute;
  };
  /** By the hour; undefined: it changes within it. */
  const hours = new Map<number, number | undefined>();
  return (at) => {
    const hour = Math.floor(at / HOUR_MS);
    if (!hours.has(hour)) {
      const [first, last] = [ask(hour * HOUR_MS), ask((hour + 1) * HOUR_MS - MINUTE_MS)];
      if (hours.size >= MOST_HOURS) hours.clear();
      hours.set(hour, first === last ? first : undefined);
    }
    return hours.get(hour) ?? ask(at);
  };
}
