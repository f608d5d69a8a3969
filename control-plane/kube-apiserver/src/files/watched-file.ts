import { watch, type FSWatcher } from "node:fs";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Logger } from "@coracle/base";

export interface WatchedFileOptions {
  readonly path: string;
  readonly logger: Logger;
  /** The content as taken over last: what is equal to it is no change. */
  readonly initial: string;
  /** Takes a new content over. When it throws, the one before stays in force, and the log says why. */
  readonly onChange: (content: string) => void | Promise<void>;
  /** Told of a change that could not be read or taken over. */
  readonly onFailure?: () => void;
}

/** A file that is followed. */
export interface WatchedFile extends AsyncDisposable {
  /** Looks now, without waiting for word from the file system; settles when a change found is taken over. */
  check(): Promise<void>;
}

/**
 * Follows a file's content by word from the kernel, without looking again and again: rewritten in place, replaced by
 * rename, or exchanged through a symbolic link as volumes of secrets and config maps do.
 */
export function watchFile(options: WatchedFileOptions): WatchedFile {
  const { path, logger } = options;
  let content = options.initial;
  const watchers = new Map<string, FSWatcher>();
  let isOver = false;
  let running: Promise<void> | undefined;
  let isDirty = false;

  /** Watches the folders of the name and of what it leads to. A folder's watch outlives the file's replacement. */
  async function watchFolders(): Promise<void> {
    const real = await realpath(path).catch(() => path);
    const wanted = new Set([dirname(path), dirname(real)]);
    if (isOver) return;
    for (const [folder, watcher] of watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (watchers.has(folder)) continue;
      try {
        const isLink = real !== path;
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          // Behind a link any entry may be the one that was exchanged.
          if (isLink || name === null || name === basename(path)) void look();
        });
        watcher.on("error", (error) => logger.error("a file is not followed any longer", { file: path, error }));
        watchers.set(folder, watcher);
      } catch (error) {
        logger.error("a file cannot be followed", { file: path, error });
      }
    }
  }

  async function takeOver(): Promise<void> {
    try {
      await watchFolders();
      const found = await readFile(path, "utf8");
      if (found === content || isOver) return;
      content = found;
      await options.onChange(found);
      logger.info("a changed file was taken over", { file: path });
    } catch (error) {
      // The moment between removal and replacement, or a file half written: word of the rest comes.
      logger.error("a changed file was not taken over", { file: path, error });
      options.onFailure?.();
    }
  }

  async function run(): Promise<void> {
    while (isDirty && !isOver) {
      isDirty = false;
      await takeOver();
    }
    running = undefined;
  }

  function look(): Promise<void> {
    isDirty = true;
    return (running ??= run());
  }

  const ready = watchFolders();
  return {
    async check() {
      await ready;
      await look();
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      await ready;
      await running;
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}
