import { isAscii } from "node:buffer";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { Script } from "node:vm";
import { crc32 } from "node:zlib";
import { systemClock, type Clock } from "@coracle/base";

/** What a program has used by then is what it needs to start. */
const STARTED_AFTER_MS = 5_000;
/** Checksums of the bundle and of what follows come first: the engine itself looks at the bundle's length alone. */
const HEADER_BYTES = 8;

/** What modules see of what is around them, in the order of the wrapper's parameters. */
const WRAPPER = ["(function (exports, require, module, __filename, __dirname) {", "\n})"] as const;

/**
 * Loads a bundle as `require` does. What the engine makes of its source is kept in a file beside it, if one can be written there,
 * so that the next start need not make it again; the engine refuses what another version of itself or of the bundle left.
 */
export function loadBundle(path: string, clock: Clock = systemClock): unknown {
  const require = createRequire(path);
  const bytes = readFileSync(path);
  const sum = crc32(bytes);
  const cachePath = `${path}.cache`;
  const cachedData = readKept(cachePath, sum);
  const source = WRAPPER.join(bytes.toString(isAscii(bytes) ? "latin1" : "utf8"));
  const script = new Script(source, {
    filename: path,
    // Lines are counted as in the file.
    columnOffset: -WRAPPER[0].length,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  if (cachedData === undefined || script.cachedDataRejected === true) {
    const timer = clock.after(STARTED_AFTER_MS, () => keep(script, sum, cachePath));
    timer.unref();
  }
  const module = { exports: {} };
  const run = script.runInThisContext() as (...around: unknown[]) => void;
  run.call(module.exports, module.exports, require, module, path, dirname(path));
  return module.exports;
}

function readKept(path: string, sum: number): Buffer | undefined {
  try {
    const kept = readFileSync(path);
    const data = kept.subarray(HEADER_BYTES);
    return kept.readUInt32LE(0) === sum && kept.readUInt32LE(4) === crc32(data) ? data : undefined;
  } catch {
    return undefined;
  }
}

function keep(script: Script, sum: number, path: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    const data = script.createCachedData();
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(sum);
    header.writeUInt32LE(crc32(data), 4);
    writeFileSync(draft, Buffer.concat([header, data]));
    renameSync(draft, path);
  } catch {
    // An installation that cannot be written to does without.
    rmSync(draft, { force: true });
  }
}
