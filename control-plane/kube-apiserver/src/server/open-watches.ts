import { isExpired, notAcceptable, StatusError } from "@coracle/apimachinery";
import type { Clock, Random } from "@coracle/base";
import type { CatalogResource } from "../discovery/catalog.ts";
import { WatchMetrics } from "../metrics/watch-metrics.ts";
import type { RequestContext, ResourceHandler } from "../registry/registry.ts";
import type { ApiRequest } from "./api-request.ts";
import { LateWatcher } from "./late-watcher.ts";
import { CONTENT_TYPES, type Format } from "./negotiation.ts";
import { includeObjectOf, watchQuery } from "./request-options.ts";
import { baseHeaders } from "./responder.ts";
import { FrameCache } from "./watch-frames.ts";
import { FlushScheduler, WatchStream } from "./watch-stream.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** What watches come in. */
const STREAMS = [`${CONTENT_TYPES.json};stream=watch`, `${CONTENT_TYPES.protobuf};stream=watch`] as const;

interface OpenWatchesOptions {
  readonly codecs: WireCodecs;
  readonly clock: Clock;
  readonly random: Random;
  readonly minRequestTimeoutMs: number;
}

/** The watches of a server: they share what events are encoded to, and end together. */
export class OpenWatches {
  readonly #options: OpenWatchesOptions;
  readonly #frames = new FrameCache();
  readonly #scheduler = new FlushScheduler();
  readonly #streams = new Set<WatchStream>();
  readonly #metrics = new WatchMetrics();

  constructor(options: OpenWatchesOptions) {
    this.#options = options;
  }

  /** Answers with changes, as they come. */
  serve(request: ApiRequest, resource: CatalogResource, handler: ResourceHandler, format: Format): void {
    const { codecs, clock } = this.#options;
    const { info } = request;
    if (format.media === "yaml")
      throw notAcceptable(resource.isCustom || codecs.protobuf === undefined ? [STREAMS[0]] : STREAMS);
    const query = watchQuery(request);
    const namespace = resource.namespaced && info.namespace !== "" ? info.namespace : undefined;
    const isFromPresent =
      query.resourceVersion === undefined || query.resourceVersion === "0" || query.sendInitialEvents === true;
    const type = CONTENT_TYPES[format.media];
    const headers = baseHeaders(request, format.media === "json" ? type : `${type};stream=watch`);
    // The first events come while the watch is being set up; what cannot be watched is refused before the answer begins.
    const late = new LateWatcher();
    let source: Disposable | undefined;
    let failure: unknown;
    try {
      source = handler.watch(request, namespace, query, late);
    } catch (error) {
      if (!isExpired(error)) throw error;
      failure = error;
    }
    const stream = new WatchStream(request.exchange.stream(200, headers), {
      form: { resource, format, includeObject: includeObjectOf(request), codecs, now: () => clock.now() },
      frames: this.#frames,
      scheduler: this.#scheduler,
      clock,
      sizes: this.#metrics.of(resource),
      timeoutMs: this.#secondsFor(query.timeoutSeconds) * 1000,
      hasInitialEvents: isFromPresent && query.sendInitialEvents !== false,
      marksInitialEnd: query.sendInitialEvents === true && query.allowWatchBookmarks,
      currentVersion: query.allowWatchBookmarks ? () => versionOf(request, handler, namespace) : undefined,
    });
    this.#streams.add(stream);
    const ended = this.#metrics.began(resource, info);
    stream.onEnd(() => {
      this.#streams.delete(stream);
      ended();
    });
    if (source !== undefined) stream.attach(source);
    late.handTo(stream);
    if (failure !== undefined) stream.fail(StatusError.from(failure));
  }

  /** As long as was asked for; else watches end at different times, that their clients do not all come back at once. */
  #secondsFor(asked: number | undefined): number {
    if (asked !== undefined && asked > 0) return asked;
    return (this.#options.minRequestTimeoutMs / 1000) * (1 + this.#options.random.next());
  }

  /** Ends all watches, properly. */
  endAll(): void {
    for (const stream of this.#streams) stream.end();
  }

  /** What was sent to watchers. */
  metrics(): string {
    return this.#metrics.render();
  }
}

async function versionOf(
  context: RequestContext,
  handler: ResourceHandler,
  namespace: string | undefined,
): Promise<string> {
  const list = await handler.list(context, namespace, { limit: 1, resourceVersion: "0" });
  return list.metadata.resourceVersion;
}
