import type { KubeObject, ResourceType } from "@coracle/api";
import { isExpired, isStatusError } from "@coracle/apimachinery";
import { isAbort, sleep, type Clock, type Logger, type Random } from "@coracle/base";
import type { ApiClient, ListOptions } from "../api-client.ts";

/** What a reflector tells: the whole state at first and after every loss, single changes in between. */
export interface ReflectorSink<T> {
  replace(objects: readonly T[]): void;
  upsert(object: T): void;
  remove(object: T): void;
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: ApiClient;
  readonly type: ResourceType<T>;
  readonly scope: Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector" | "metadataOnly">;
  readonly sink: ReflectorSink<T>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const PAGE_SIZE = 500;
const MIN_WATCH_SECONDS = 300;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 10_000;
/** A watch that lives shorter than this and brings nothing counts as a failure, so that it cannot spin. */
const SHORT_WATCH_MS = 1000;

/**
 * Lists, watches from there, and resumes where it stopped; lists again only when the server no longer knows that
 * revision. Waits longer and longer, with jitter, while the server is away. Returns when `signal` aborts.
 */
export async function runReflector<T extends KubeObject>(
  options: ReflectorOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  const { client, type, scope, sink, clock, random, logger } = options;
  let resourceVersion: string | undefined;
  let listFrom = "0"; // any state will do at first; later never one older than already seen
  let backoffMs = BACKOFF_FIRST_MS;

  const pause = async (): Promise<void> => {
    await sleep(clock, backoffMs * (1 + random.next()), signal);
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  };

  async function list(): Promise<void> {
    const objects: T[] = [];
    let next: string | undefined;
    let revision: string | undefined;
    do {
      const page = await client.list(type, {
        ...scope,
        limit: PAGE_SIZE,
        // Without the match, a page from a revision means exactly that revision, which may be long gone.
        ...(next !== undefined
          ? { continue: next }
          : listFrom === ""
            ? {}
            : { resourceVersion: listFrom, resourceVersionMatch: "NotOlderThan" as const }),
        signal,
      });
      for (const item of page.items) objects.push(item);
      revision = page.metadata.resourceVersion ?? revision;
      next = page.metadata.continue === "" ? undefined : page.metadata.continue;
    } while (next !== undefined);
    sink.replace(objects);
    resourceVersion = revision ?? "";
    listFrom = resourceVersion;
  }

  async function watch(from: string): Promise<void> {
    const startedMs = clock.monotonicMs();
    let events = 0;
    const timeoutSeconds = Math.floor(MIN_WATCH_SECONDS * (1 + random.next()));
    for await (const event of client.watch(type, { ...scope, resourceVersion: from, timeoutSeconds, signal })) {
      if (events++ === 0) backoffMs = BACKOFF_FIRST_MS;
      if (event.type === "BOOKMARK") resourceVersion = event.resourceVersion;
      else if (event.type !== "ERROR") {
        resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion;
        if (event.type === "DELETED") sink.remove(event.object);
        else sink.upsert(event.object);
      }
      listFrom = resourceVersion ?? listFrom;
    }
    if (events === 0 && clock.monotonicMs() - startedMs < SHORT_WATCH_MS) await pause();
  }

  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) await list();
      else await watch(resourceVersion);
    } catch (error) {
      if (signal.aborted || isAbort(error, signal)) return;
      const wasListing = resourceVersion === undefined;
      const isLost = isStatusError(error, "ServiceUnavailable", "TooManyRequests", "Timeout", "ServerTimeout");
      logger.debug(wasListing ? "list failed" : "watch ended", {
        resource: type.plural,
        error: error instanceof Error ? error.message : error,
      });
      if (isExpired(error) || isTooLargeResourceVersion(error)) {
        if (wasListing) listFrom = "";
        resourceVersion = undefined;
        if (!wasListing) continue; // the usual way to start over; no reason to wait
      } else if (!isLost) resourceVersion = undefined;
      try {
        await pause();
      } catch {
        return; // aborted
      }
    }
  }
}

/** The store was set back behind what we saw: only a fresh list helps. */
function isTooLargeResourceVersion(error: unknown): boolean {
  return (
    isStatusError(error, "Timeout") &&
    (error.status.details?.causes?.some((cause) => cause.reason === "ResourceVersionTooLarge") === true ||
      error.message.includes("Too large resource version"))
  );
}
