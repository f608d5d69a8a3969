/**
 * What every package stands on: time, randomness, logging, background work and its end are handed in, never global.
 */
export { aborted, isAbort, linkSignal, onAbort, sleep, type LinkedSignal } from "./abort.ts";
export { Cleanup } from "./cleanup.ts";
export { createFakeClock, systemClock, type Clock, type FakeClock, type Instant, type Timer } from "./clock.ts";
export { fileFlag, flagsWithoutEffect, refusedFlag, refusedManagerFlags, servingFlags } from "./component-flags.ts";
export { asksForHelp, flag, HelpError, parseFlags, UsageError, type Flag, type FlagValues } from "./flags.ts";
export { Counter, exponentialBuckets, Gauge, Histogram, type Count, type Instrument } from "./instruments.ts";
export { createLogger, silentLogger, type LogFields, type Logger, type LogLevel } from "./log.ts";
export { createSeededRandom, randomSuffix, secretHex, systemRandom, type Random } from "./random.ts";
export { TaskScope } from "./task-scope.ts";
