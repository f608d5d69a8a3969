import type { Clock, Random } from "@coracle/base";
import type { Journal, JournalEntry } from "./journal.ts";
import { MAX_KEY_BYTES } from "./log-record.ts";
import type { Engine } from "./engine.ts";
import { MvccStore } from "./mvcc-store.ts";

/** A store that is gone with the process. The same rules as the embedded engine, nothing on disk. */
export function createMemoryStore(options: { readonly clock: Clock; readonly random?: Random | undefined }): Engine {
  return new MvccStore({ journal: new NoJournal(), clock: options.clock, random: options.random });
}

/** Writes nothing; counts bytes. */
class NoJournal implements Journal {
  readonly keepsValues = false;
  readonly maxKeyBytes = MAX_KEY_BYTES;
  #bytes = 0;

  write(entry: JournalEntry): undefined {
    for (const { record, value } of entry.changes) this.#bytes += record.key.length + (value?.length ?? 0);
    for (const { record, value } of entry.dropped) this.#bytes -= record.key.length + (value?.length ?? 0);
  }

  get totalBytes(): number {
    return this.#bytes;
  }

  load(): Buffer {
    throw new Error("unreachable: every version holds its value");
  }

  async size(): Promise<{ readonly totalBytes: number; readonly usedBytes: number }> {
    return { totalBytes: this.#bytes, usedBytes: this.#bytes };
  }
}
