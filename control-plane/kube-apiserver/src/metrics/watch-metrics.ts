import { Histogram, renderHistograms } from "./histogram.ts";

const BUCKETS = Array.from({ length: 8 }, (_, i) => 1024 * 2 ** i);

/** Counts events sent to watchers, under upstream's names. */
export class WatchMetrics {
  readonly #sizes = new Map<string, Histogram>();
  /** Watches under way. */
  readonly #active = new Map<string, number>();

  /** Where the events of a resource are counted, by their size. */
  of(type: { readonly group: string; readonly version: string; readonly plural: string }): Histogram {
    const labels = `group="${type.group}",resource="${type.plural}",version="${type.version}"`;
    let found = this.#sizes.get(labels);
    if (found === undefined) this.#sizes.set(labels, (found = new Histogram(labels, BUCKETS)));
    return found;
  }

  /** A watch begins; what is answered is to be called at its end. */
  began(
    type: { readonly group: string; readonly version: string; readonly plural: string },
    info: { readonly namespace: string; readonly name: string },
  ): () => void {
    const scope = info.name !== "" ? "resource" : info.namespace === "" ? "cluster" : "namespace";
    const what = `group="${type.group}",resource="${type.plural}",scope="${scope}",subresource=""`;
    const labels = `component="apiserver",${what},verb="WATCH",version="${type.version}"`;
    const add = (count: number): void => void this.#active.set(labels, (this.#active.get(labels) ?? 0) + count);
    add(1);
    return () => add(-1);
  }

  /** The Prometheus text format. */
  render(): string {
    const lines = ["# TYPE apiserver_watch_events_total counter"];
    for (const { labels, total } of this.#sizes.values()) {
      if (total > 0) lines.push(`apiserver_watch_events_total{${labels}} ${total}`);
    }
    renderHistograms("apiserver_watch_events_sizes", this.#sizes.values(), lines);
    lines.push("# TYPE apiserver_longrunning_requests gauge");
    for (const [labels, count] of this.#active) lines.push(`apiserver_longrunning_requests{${labels}} ${count}`);
    return lines.join("\n");
  }
}
