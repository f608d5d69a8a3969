import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../store/store.ts";

/** Who holds the lock. A process id comes back for another process one day; with its start time it does not. */
interface Owner {
  readonly pid: number;
  readonly startedAt: string;
  readonly bootId: string;
}

/**
 * Makes this process the only user of `dataDir`, until disposed or dead. Throws `unavailable` with the owner's process
 * id when another one, or this one, has it already.
 */
export async function lockDataDir(dataDir: string): Promise<AsyncDisposable> {
  const path = join(dataDir, "LOCK");
  const mine = JSON.stringify(await describeOwner(process.pid));
  const draft = join(dataDir, `LOCK.${process.pid}.${process.hrtime.bigint()}`);
  await writeFile(draft, mine);
  try {
    while (!(await tryLink(draft, path))) await removeStale(dataDir, path, draft);
  } finally {
    await rm(draft, { force: true });
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

async function tryLink(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Moves a dead owner's lock aside; throws when the owner lives. */
async function removeStale(dataDir: string, path: string, draft: string): Promise<void> {
  const text = await readText(path);
  if (text === undefined) return;
  const owner = parseOwner(text);
  if (owner !== undefined && (await isAlive(owner))) {
    throw new StoreError("unavailable", `data directory ${dataDir} is in use by process ${owner.pid}; stop it first`);
  }
  const aside = `${draft}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  // Somebody quicker may have replaced the stale lock between the look and the move: then it goes back.
  if ((await readText(aside)) !== text) await tryLink(aside, path);
  await rm(aside, { force: true });
}

async function describeOwner(pid: number): Promise<Owner | undefined> {
  const stat = await readText(`/proc/${pid}/stat`);
  const bootId = await readText("/proc/sys/kernel/random/boot_id");
  // The command name, in parentheses, may hold anything; field 22 counts from after it.
  const startedAt = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  if (startedAt === undefined || bootId === undefined) return undefined;
  return { pid, startedAt, bootId: bootId.trim() };
}

async function isAlive(owner: Owner): Promise<boolean> {
  const now = await describeOwner(owner.pid);
  return now !== undefined && now.startedAt === owner.startedAt && now.bootId === owner.bootId;
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, startedAt, bootId } = JSON.parse(text) as Partial<Owner>;
    if (typeof pid !== "number" || typeof startedAt !== "string" || typeof bootId !== "string") return undefined;
    return { pid, startedAt, bootId };
  } catch {
    return undefined; // written by nobody we know: nobody to wait for
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
