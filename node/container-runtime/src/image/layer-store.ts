import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Transform, type Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { run, spawnChild } from "@coracle/linux";

/** Where unpacked layers live: one folder each, named so short that many fit into one mount option. */
export interface LayerStore {
  /** Folder that relative layer names start from. */
  readonly folder: string;
  has(diffId: string): boolean;
  /** Name of a layer's folder below `folder`. */
  nameOf(diffId: string): string;
  /**
   * Unpacks a layer from its (compressed) bytes. Digests of the compressed and of the unpacked bytes are checked
   * while they pass; a layer becomes visible only whole.
   */
  add(bytes: Readable, expected: { readonly blobDigest?: string | undefined; readonly diffId: string }): Promise<void>;
  /** Removes layers that are in none of these sets. */
  removeExcept(diffIds: ReadonlySet<string>): Promise<void>;
}

const NAME_LENGTH = 16;
const CHUNK_BYTES = 256 * 1024;
const nameOf = (diffId: string): string => diffId.slice("sha256:".length, "sha256:".length + NAME_LENGTH);

/** Opens the store, without the leftovers of an unpacking that was cut off. */
export async function openLayerStore(folder: string): Promise<LayerStore> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name.startsWith("tmp-")) await rm(join(folder, name), { recursive: true, force: true });
  }
  const inFlight = new Map<string, Promise<void>>();
  return {
    folder,
    has: (diffId) => existsSync(join(folder, nameOf(diffId))),
    nameOf,
    add(bytes, expected) {
      const running = inFlight.get(expected.diffId);
      if (running !== undefined) {
        // Someone unpacks this very layer: take theirs.
        bytes.destroy();
        return running;
      }
      const work = unpack(folder, bytes, expected).finally(() => inFlight.delete(expected.diffId));
      inFlight.set(expected.diffId, work);
      return work;
    },
    async removeExcept(diffIds) {
      const keep = new Set([...diffIds, ...inFlight.keys()].map(nameOf));
      for (const name of await readdir(folder)) {
        if (keep.has(name) || name.startsWith("tmp-")) continue;
        // Out of sight first: a half removed layer must never be taken for a whole one.
        const doomed = join(folder, `tmp-${name}-${randomBytes(4).toString("hex")}`);
        await rename(join(folder, name), doomed);
        await rm(doomed, { recursive: true, force: true });
      }
    },
  };
}

async function unpack(
  folder: string,
  bytes: Readable,
  expected: { readonly blobDigest?: string | undefined; readonly diffId: string },
): Promise<void> {
  const name = nameOf(expected.diffId);
  const temporary = join(folder, `tmp-${name}-${randomBytes(4).toString("hex")}`);
  await mkdir(temporary);
  try {
    await extract(bytes, temporary, expected);
    await convertWhiteouts(temporary);
    const target = join(folder, name);
    if (!existsSync(target)) await rename(temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function hashing(): { readonly through: Transform; digest(): string } {
  const hash = createHash("sha256");
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  return { through, digest: () => `sha256:${hash.digest("hex")}` };
}

async function extract(
  bytes: Readable,
  target: string,
  expected: { readonly blobDigest?: string | undefined; readonly diffId: string },
): Promise<void> {
  const compressed = hashing();
  const plain = hashing();
  const source = bytes.pipe(compressed.through);
  bytes.once("error", (error) => compressed.through.destroy(error));
  bytes.once("close", () => {
    if (!bytes.readableEnded) compressed.through.destroy(new Error("unexpected EOF"));
  });
  const { stream: decompressed, settled } = await decompress(source);
  const tar = await spawnChild("tar", [
    "-x",
    "-f",
    "-",
    "-C",
    target,
    "--numeric-owner",
    "--same-owner",
    "-p",
    "--xattrs",
    "--xattrs-include=*",
    "--warning=no-timestamp",
    "--delay-directory-restore",
  ]);
  let complaint = "";
  tar.stderr.on("data", (chunk: Buffer) => (complaint += complaint.length < 2000 ? chunk.toString("utf8") : ""));
  tar.stdout.resume();
  try {
    await feed(decompressed, plain.through, tar.stdin);
    await settled;
    tar.stdin?.end();
    const code = await tar.exited;
    if (code !== 0) throw new Error(`failed to extract layer ${expected.diffId}: tar: ${complaint.trim()}`);
  } catch (error) {
    tar.kill("SIGKILL");
    await tar.exited;
    throw error;
  }
  const blobDigest = compressed.digest();
  if (expected.blobDigest !== undefined && blobDigest !== expected.blobDigest) {
    throw new Error(`unexpected commit digest ${blobDigest}, expected ${expected.blobDigest}: failed precondition`);
  }
  const diffId = plain.digest();
  if (diffId !== expected.diffId)
    throw new Error(`wrong diff id ${diffId} calculated on extraction, expected ${expected.diffId}`);
}

/** Writes a stream to a program as fast as it reads. */
async function feed(source: Readable, through: Transform, stdin: Writable | undefined): Promise<void> {
  let go: (() => void) | undefined;
  const wake = (): void => go?.();
  stdin?.on("drain", wake).on("close", wake);
  const flow = pipeline(source, through, async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      // tar stops reading at the archive's end mark; what follows belongs to the digest all the same.
      if (stdin === undefined || !stdin.writable || stdin.write(chunk)) continue;
      await new Promise<void>((resolve) => (go = resolve));
    }
  });
  await flow;
}

/** Looks at the first bytes, because media types are wrong often enough. */
async function decompress(source: Readable): Promise<{ readonly stream: Readable; readonly settled: Promise<void> }> {
  const first = await peek(source);
  if (first[0] === 0x1f && first[1] === 0x8b) {
    const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
    source.once("error", (error) => gunzip.destroy(error));
    return { stream: source.pipe(gunzip), settled: Promise.resolve() };
  }
  if (first.length >= 4 && first.readUInt32LE(0) === 0xfd2fb528) {
    const zstd = await spawnChild("zstd", ["-d", "-c", "-q"]).catch((cause: unknown) => {
      throw new Error("the layer is compressed with zstd: install the program zstd, or use an image with gzip layers", {
        cause,
      });
    });
    zstd.stderr.resume();
    const settled = zstd.exited.then((code) => {
      if (code !== 0) throw new Error(`zstd ended with exit code ${code}`);
    });
    settled.catch(() => {});
    if (zstd.stdin !== undefined) source.pipe(zstd.stdin);
    source.once("error", () => zstd.kill("SIGKILL"));
    return { stream: zstd.stdout, settled };
  }
  return { stream: source, settled: Promise.resolve() };
}

function peek(source: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const chunk = source.read() as Buffer | null;
      if (chunk === null && !source.readableEnded) return;
      cleanup();
      if (chunk !== null) source.unshift(chunk);
      resolve(chunk ?? Buffer.alloc(0));
    };
    const fail = (error: Error): void => {
      cleanup();
      reject(error);
    };
    const cleanup = (): void => {
      source.off("readable", look);
      source.off("end", look);
      source.off("error", fail);
    };
    source.on("readable", look);
    source.on("end", look);
    source.on("error", fail);
  });
}

const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";

/** Turns the archive's marks for "deleted below" into those of overlayfs. */
async function convertWhiteouts(folder: string): Promise<void> {
  const { stdout } = await run("find", [folder, "-name", `${PREFIX}*`, "-print0"]);
  const marks = stdout.split("\0").filter((path) => path !== "");
  const opaque: string[] = [];
  for (const mark of marks) {
    await rm(mark, { force: true });
    const parent = dirname(mark);
    if (basename(mark) === OPAQUE) {
      opaque.push(parent);
      continue;
    }
    if (basename(mark).startsWith(".wh..wh.")) continue; // aufs' own bookkeeping
    const target = join(parent, basename(mark).slice(PREFIX.length));
    const present = await lstat(target).catch(() => undefined);
    if (present === undefined) await run("mknod", [target, "c", "0", "0"]);
    else if (present.isDirectory()) opaque.push(target); // deleted and made anew in the same layer
  }
  for (let at = 0; at < opaque.length; at += 500) {
    await run("setfattr", ["-n", "trusted.overlay.opaque", "-v", "y", ...opaque.slice(at, at + 500)]);
  }
}
