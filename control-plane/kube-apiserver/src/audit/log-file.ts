import {
  chmodSync,
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Clock, Logger } from "@coracle/base";
import type { AuditBackend } from "./delivery.ts";
import { encodeEvent, legacyLine } from "./event.ts";
import type { AuditLogSettings } from "./settings.ts";

const DEFAULT_MAX_MEGABYTES = 100;
const MEGABYTE = 1024 * 1024;
const DAY_MS = 86_400_000;

/** Writes lines to standard output, or to a file that is put aside when it is full. */
export function createAuditLog(
  settings: AuditLogSettings,
  deps: { readonly clock: Clock; readonly logger: Logger },
): AuditBackend {
  const file = settings.path === "-" ? undefined : new RotatedFile(settings, deps);
  const { format } = settings;
  return {
    name: "log",
    write(events) {
      const text = events.map((event) => `${format === "json" ? encodeEvent(event) : legacyLine(event)}\n`).join("");
      if (file === undefined) process.stdout.write(text);
      else file.write(Buffer.from(text));
    },
    [Symbol.asyncDispose]: async () => file?.[Symbol.asyncDispose](),
  };
}

/** A file of bounded size; the ones before it lie beside it under the time at which they were put aside. */
class RotatedFile implements AsyncDisposable {
  readonly #settings: AuditLogSettings;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stem: string;
  readonly #extension: string;
  readonly #folder: string;
  readonly #maxBytes: number;
  #handle: number;
  #size: number;
  #tidying: Promise<void> | undefined;

  constructor(settings: AuditLogSettings, deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.#settings = settings;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#folder = dirname(settings.path);
    this.#extension = extname(settings.path);
    this.#stem = basename(settings.path, this.#extension);
    this.#maxBytes = (settings.maxSizeMegabytes === 0 ? DEFAULT_MAX_MEGABYTES : settings.maxSizeMegabytes) * MEGABYTE;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#handle = openSync(settings.path, "a", 0o600);
    this.#size = fstatSync(this.#handle).size;
    this.#tidy();
  }

  write(bytes: Buffer): void {
    if (bytes.length > this.#maxBytes) {
      throw new Error(`write length ${bytes.length} exceeds maximum file size ${this.#maxBytes}`);
    }
    if (this.#size + bytes.length > this.#maxBytes) this.#rotate();
    for (let at = 0; at < bytes.length;) at += writeSync(this.#handle, bytes, at);
    this.#size += bytes.length;
  }

  /** `audit-2026-11-23T05-00-00.000.log` */
  #backupPath(): string {
    const time = new Date(this.#clock.now()).toISOString().slice(0, -1).replaceAll(":", "-");
    return join(this.#folder, `${this.#stem}-${time}${this.#extension}`);
  }

  #rotate(): void {
    closeSync(this.#handle);
    let backup = this.#backupPath();
    for (let i = 1; existsSync(backup); i++) backup = this.#backupPath().replace(/\.\d{3}/, `$&-${i}`);
    renameSync(this.#settings.path, backup);
    this.#handle = openSync(this.#settings.path, "a", 0o600);
    this.#size = 0;
    this.#tidy();
  }

  #tidy(): void {
    const { maxBackups, maxAgeDays, compresses } = this.#settings;
    if (maxBackups === 0 && maxAgeDays === 0 && !compresses) return;
    const before = this.#tidying ?? Promise.resolve();
    this.#tidying = before
      .then(() => this.#tidyUp())
      .catch((error: unknown) => this.#logger.error("old audit logs were not tidied up", { error }));
  }

  /** The files put aside, latest first, with the times in their names. */
  #backups(): { readonly path: string; readonly at: number }[] {
    const found: { path: string; at: number }[] = [];
    for (const name of readdirSync(this.#folder)) {
      const plain = name.endsWith(".gz") ? name.slice(0, -3) : name;
      if (!plain.startsWith(`${this.#stem}-`) || !plain.endsWith(this.#extension)) continue;
      const time = plain.slice(this.#stem.length + 1, plain.length - this.#extension.length);
      const match = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})(-\d+)?$/.exec(time);
      if (match === null) continue;
      const at = Date.parse(`${match[1]!}T${match[2]!}:${match[3]!}:${match[4]!}Z`);
      found.push({ path: join(this.#folder, name), at });
    }
    return found.sort((a, b) => b.at - a.at || (a.path < b.path ? 1 : -1));
  }

  async #tidyUp(): Promise<void> {
    const { maxBackups, maxAgeDays, compresses } = this.#settings;
    let kept = this.#backups();
    const oldest = maxAgeDays === 0 ? -Infinity : this.#clock.now() - maxAgeDays * DAY_MS;
    const isKept = ({ at }: { readonly at: number }, i: number): boolean =>
      at >= oldest && (maxBackups === 0 || i < maxBackups);
    for (const [i, backup] of kept.entries()) if (!isKept(backup, i)) rmSync(backup.path, { force: true });
    kept = kept.filter(isKept);
    if (!compresses) return;
    for (const { path } of kept) {
      if (path.endsWith(".gz")) continue;
      await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz`, { mode: 0o600 }));
      chmodSync(`${path}.gz`, 0o600);
      rmSync(path, { force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tidying;
    closeSync(this.#handle);
  }
}
