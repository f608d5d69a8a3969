import { readFile, rename, writeFile } from "node:fs/promises";

let sequence = 0;

/** Replaces a file in one step: a reader, or a process killed in between, sees the old or the new text. */
export async function writeFileAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}-${sequence++}`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}

/** A JSON file's value; undefined when it is missing or was cut short by a power failure. */
export async function readJsonFile<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
