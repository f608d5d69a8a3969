import type { Pod } from "@coracle/api/core/v1";
import type { Lister } from "@coracle/client";
import { CONFIG_VERSION, type SchedulerConfiguration } from "../config/configuration.ts";
import { podResourceMetrics } from "../metrics/pod-resource-metrics.ts";
import { explanationText, type Explanation } from "./explain.ts";

type Explain = (pod: Pod) => Explanation | undefined;

/** What a running scheduler lets others look at, by path. */
export class SchedulerDebug {
  #explain: Explain | undefined;
  #pods: Pick<Lister<Pod>, "get" | "list"> | undefined;

  /** From now on `explain` answers (undefined for somebody else's pods), and `pods` are all that it knows. */
  attach(explain: Explain, pods: Pick<Lister<Pod>, "get" | "list">): void {
    this.#explain = explain;
    this.#pods = pods;
  }

  /** Where the pod could go now, though nobody may have made it yet; undefined: it is somebody else's. */
  explain(pod: Pod): Explanation | undefined {
    return this.#explain?.(pod);
  }

  /** `/configz`, `/metrics/resources`, and `/debug/explain?pod=NAMESPACE/NAME` (`&output=json` for programs). Undefined: there is no such thing. */
  pages(
    configuration: SchedulerConfiguration,
  ): Readonly<Record<string, (query: URLSearchParams) => string | undefined>> {
    const componentConfig = { kind: "KubeSchedulerConfiguration", apiVersion: CONFIG_VERSION, ...configuration };
    return {
      "/configz": () => JSON.stringify({ "kubescheduler.config.k8s.io": componentConfig }),
      "/metrics/resources": () => podResourceMetrics(this.#pods?.list() ?? []),
      "/debug/explain": (query) => {
        const [first = "", second] = (query.get("pod") ?? "").split("/");
        const pod = second === undefined ? this.#pods?.get("default", first) : this.#pods?.get(first, second);
        const explanation = pod === undefined ? undefined : this.explain(pod);
        if (explanation === undefined) return undefined;
        return query.get("output") === "json" ? JSON.stringify(explanation) : explanationText(explanation);
      },
    };
  }
}
