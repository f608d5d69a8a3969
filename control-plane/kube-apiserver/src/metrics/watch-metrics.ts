import { Histogram, renderHistograms } from "./histogram.ts";

const BUCKETS = Array.from({ length: 8 }, (_, i) => 1024 * 2 ** i);

/** Counts events sent to watchers, under upstream's names. */
export class WatchMetrics {
  readonly #sizes = new Map<string, Histogram>();

  /** Where the events of a resource are counted, by their size. */
  of(type: { readonly group: string; readonly version: string; readonly plural: string }): Histogram {
    const labels = `group="${type.group}",resource="${type.plural}",version="${type.version}"`;
    let found = this.#sizes.get(labels);
    if (found === undefined) this.#sizes.set(labels, (found = new Histogram(labels, BUCKETS)));
    return found;
  }

  /** The Prometheus text format. */
  render(): string {
    const lines = ["# TYPE apiserver_watch_events_total counter"];
    for (const { labels, total } of this.#sizes.values()) {
      if (total > 0) lines.push(`apiserver_watch_events_total{${labels}} ${total}`);
    }
    renderHistograms("apiserver_watch_events_sizes", this.#sizes.values(), lines);
    return lines.join("\n");
  }
}
