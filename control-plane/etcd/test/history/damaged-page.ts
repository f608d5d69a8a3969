import { spawnSync } from "node:child_process";
import { closeSync, cpSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "@coracle/base";
import { StoreError } from "../../src/index.ts";
import { fillStore, openStore, wrongAnswersOf } from "./filled-store.ts";
import type { Outcome, Setting } from "./scenario.ts";

const PAGE_BYTES = 4_096;
/** Files looked at by one process: each is opened by a process of its own only if that ends badly. */
const AT_ONCE = 20;

/** A page of a store at rest is changed at random. Either that is told in one line, or every answer is right. */
export async function damagedPage({ rounds, random, dir }: Setting): Promise<Outcome> {
  const good = join(dir, "good");
  await fillStore(good);
  const others = readdirSync(good).filter((name) => /index/.test(name));
  const faults: string[] = [];
  for (let round = 0; round < rounds; round += AT_ONCE) {
    const damages = Array.from({ length: Math.min(AT_ONCE, rounds - round) }, (_, at) => {
      const copy = join(dir, `damaged-${round + at}`);
      cpSync(good, copy, { recursive: true });
      const [file = ""] = random.next() < 0.3 ? others : ["store.mdb"];
      return { copy, damage: damageOnePage(join(copy, file || "store.mdb"), random) };
    });
    const copies = damages.map(({ copy }) => copy);
    const look = (...some: readonly string[]): string => {
      const { signal, status, stdout, stderr } = spawnSync(process.execPath, [
        process.argv[1] ?? "",
        "--look",
        ...some,
      ]);
      return signal === null && status === 0
        ? stdout.toString()
        : `it ended with ${signal ?? status}: ${stderr.toString()}`;
    };
    if (look(...copies) !== "") {
      for (const { copy, damage } of damages) {
        const found = look(copy);
        if (found !== "") faults.push(`${damage}: ${found}`);
      }
    }
    for (const { copy } of damages) rmSync(copy, { recursive: true });
  }
  return { checked: rounds, faults };
}

/** In a process of its own, as a damaged file may end it: what is wrong with what the stores in these folders serve. */
export async function lookAt(folders: readonly string[]): Promise<string[]> {
  const faults: string[] = [];
  for (const folder of folders) {
    try {
      const store = await openStore(folder);
      faults.push(...(await wrongAnswersOf(store)).wrong);
      await store[Symbol.asyncDispose]();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "corrupt") faults.push(`refused with ${String(error)}`);
      else if (error.message.includes("\n")) faults.push(`refused in several lines: ${error.message}`);
    }
  }
  return faults;
}

function damageOnePage(path: string, random: Random): string {
  const pages = Math.ceil(readFileSync(path).length / PAGE_BYTES);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const file = openSync(path, "r+");
  const bytes = Buffer.alloc(PAGE_BYTES);
  const page = below(pages);
  const length = readSync(file, bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
  const kinds = {
    zeros: () => bytes.fill(0),
    "half of zeros": () => bytes.fill(0, PAGE_BYTES / 2),
    noise: () => bytes.forEach((_, at) => (bytes[at] = below(256))),
    "a changed bit": () => {
      const at = below(PAGE_BYTES);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    },
    "another page": () => readSync(file, bytes, 0, PAGE_BYTES, below(pages) * PAGE_BYTES),
  };
  const [name, damage] = Object.entries(kinds)[below(5)] ?? ["", () => {}];
  damage();
  writeSync(file, bytes, 0, length, page * PAGE_BYTES);
  closeSync(file);
  return `page ${page}: ${name}`;
}
