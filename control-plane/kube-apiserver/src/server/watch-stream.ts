import { statusError, type JsonObject, type StatusError } from "@coracle/apimachinery";
import type { Clock, Timer } from "@coracle/base";
import type { StorageEvent, StorageWatcher } from "../storage/object-storage.ts";
import type { Histogram } from "../metrics/histogram.ts";
import type { BodyWriter } from "./exchange.ts";
import {
  bookmarkFrame,
  errorFrame,
  formKey,
  initialPieces,
  type FrameCache,
  type FrameForm,
  type WatchEventType,
} from "./watch-frames.ts";

/** Bytes that may wait for a slow watcher before it is cut off. */
export const QUEUE_LIMIT_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const BOOKMARK_INTERVAL_MS = 60_000;

/** Writes of one turn of the event loop are put together, for all watchers of a server. */
export class FlushScheduler {
  #dirty: WatchStream[] = [];

  add(stream: WatchStream): void {
    if (this.#dirty.length === 0) setImmediate(() => this.#flush());
    this.#dirty.push(stream);
  }

  #flush(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const stream of dirty) stream.flush();
  }
}

export interface WatchStreamOptions {
  readonly form: FrameForm;
  readonly frames: FrameCache;
  readonly scheduler: FlushScheduler;
  readonly clock: Clock;
  /** Where events are counted, by their size. */
  readonly sizes: Histogram;
  /** The watch ends by itself after so long. */
  readonly timeoutMs: number;
  /** Present: bookmarks are wanted; answers the version up to which everything has been delivered. */
  readonly currentVersion: (() => Promise<string>) | undefined;
  /** A bookmark marks the end of the present state. */
  readonly marksInitialEnd: boolean;
  /** The watch begins with the present state. */
  readonly hasInitialEvents: boolean;
}

/** One watcher: a bounded queue of shared buffers in front of its connection. */
export class WatchStream implements StorageWatcher {
  readonly #body: BodyWriter;
  readonly #options: WatchStreamOptions;
  readonly #key: string;
  readonly #timeout: Timer;
  #bookmark: Timer | undefined;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #isScheduled = false;
  #isBlocked = false;
  #isEnding = false;
  #isInitial: boolean;
  #needsHeader: boolean;
  #sentVersion = "";
  #source: Disposable | undefined;
  readonly #onEnd: (() => void)[] = [];

  constructor(body: BodyWriter, options: WatchStreamOptions) {
    this.#body = body;
    this.#options = options;
    this.#key = formKey(options.form.format, options.form.includeObject);
    this.#isInitial = options.hasInitialEvents;
    this.#needsHeader = options.form.format.as === "Table";
    this.#timeout = options.clock.after(options.timeoutMs, () => this.#finish());
    this.#timeout.unref();
    if (options.currentVersion !== undefined) this.#armBookmark();
    body.onClose(() => this.#stop());
  }

  /** Where the events come from; let go of when the watch ends. */
  attach(source: Disposable): void {
    if (this.#isEnding || this.#body.isClosed) source[Symbol.dispose]();
    else this.#source = source;
  }

  onEnd(action: () => void): void {
    if (this.#body.isClosed) action();
    else this.#onEnd.push(action);
  }

  event(type: WatchEventType, event: StorageEvent): void {
    if (this.#isEnding) return;
    const { form, frames } = this.#options;
    const hasHeader = this.#needsHeader;
    this.#needsHeader = false;
    if (this.#isInitial) {
      let size = 0;
      for (const piece of initialPieces(event, form, hasHeader)) {
        size += piece.length;
        this.#push(piece);
      }
      this.#options.sizes.observe(size);
      return;
    }
    const frame = frames.frame(type, event, this.#key, form, hasHeader);
    // A connection that takes what it is given has next to nothing waiting.
    const given = this.#isBlocked ? this.#body.bufferedBytes : 0;
    if (this.#queuedBytes + frame.length + given > QUEUE_LIMIT_BYTES) {
      // The client would fall further behind for ever: it lists again, or resumes where it stands.
      this.#body.abort();
      return;
    }
    this.#pushEvent(frame);
  }

  initialDone(revision: number): void {
    this.#isInitial = false;
    if (this.#options.marksInitialEnd) this.#pushEvent(bookmarkFrame(String(revision), true, this.#options.form));
  }

  closed(reason: "expired" | "shutdown"): void {
    if (reason === "expired")
      this.fail(statusError("Expired", "The resourceVersion for the provided watch is too old."));
    else this.#finish();
  }

  /** Ends the watch with an ERROR event: once a watch was accepted, failures travel in it. */
  fail(error: StatusError): void {
    this.#pushEvent(errorFrame(error.status as unknown as JsonObject, this.#options.form));
    this.#finish();
  }

  #pushEvent(frame: Buffer): void {
    this.#options.sizes.observe(frame.length);
    if (this.#body.batches !== true || this.#isBlocked || this.#queue.length > 0) this.#push(frame);
    else if (!this.#body.write(frame)) this.#block();
  }

  #push(frame: Buffer): void {
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    if (this.#isScheduled || this.#isBlocked) return;
    this.#isScheduled = true;
    this.#options.scheduler.add(this);
  }

  /** Hands what waits to the connection, as far as it takes it. */
  flush(): void {
    this.#isScheduled = false;
    // A body that is closed takes what it is given and throws it away.
    if (this.#isBlocked) return;
    const only = this.#queue.length === 1 ? this.#queue[0] : undefined;
    if (only !== undefined) {
      this.#queue = [];
      this.#queuedBytes = 0;
      if (!this.#body.write(only)) this.#block();
    } else {
      let from = 0;
      while (from < this.#queue.length && !this.#isBlocked) {
        let to = from;
        let size = 0;
        while (to < this.#queue.length && size < CHUNK_BYTES) size += this.#queue[to++]!.length;
        const mayGoOn = this.#body.write(Buffer.concat(this.#queue.slice(from, to), size));
        from = to;
        this.#queuedBytes -= size;
        if (!mayGoOn) this.#block();
      }
      this.#queue = from === this.#queue.length ? [] : this.#queue.slice(from);
    }
    if (this.#isEnding && this.#queue.length === 0) this.#body.end();
  }

  #block(): void {
    this.#isBlocked = true;
    void this.#body.drained().then(() => {
      this.#isBlocked = false;
      if (this.#queue.length > 0 || this.#isEnding) this.flush();
    });
  }

  #armBookmark(): void {
    this.#bookmark = this.#options.clock.after(BOOKMARK_INTERVAL_MS, () => {
      void this.#sendBookmark().catch(() => this.#finish());
    });
    this.#bookmark.unref();
  }

  async #sendBookmark(): Promise<void> {
    const version = await this.#options.currentVersion!();
    if (this.#isEnding) return;
    if (version !== this.#sentVersion && !this.#isInitial) {
      this.#sentVersion = version;
      this.#pushEvent(bookmarkFrame(version, false, this.#options.form));
    }
    this.#armBookmark();
  }

  /** Ends properly, after what waits. */
  #finish(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#stop();
    if (!this.#isScheduled && !this.#isBlocked) this.flush();
  }

  /** Ends the watch for good: the server stops. */
  end(): void {
    this.#finish();
  }

  #stop(): void {
    this.#isEnding = true;
    this.#timeout[Symbol.dispose]();
    this.#bookmark?.[Symbol.dispose]();
    this.#source?.[Symbol.dispose]();
    this.#source = undefined;
    for (const action of this.#onEnd.splice(0)) action();
  }
}
