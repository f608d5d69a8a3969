import type { Pod } from "@coracle/api/core/v1";
import { CONFIG_VERSION, type SchedulerConfiguration } from "../config/configuration.ts";
import { podResourceMetrics } from "../metrics/pod-resource-metrics.ts";
import { explanationText, type Explanation } from "./explain.ts";

type Explain = (namespace: string, name: string) => Explanation | undefined;

/** What a running scheduler lets others look at, by path. */
export class SchedulerDebug {
  #explain: Explain | undefined;
  #pods: () => readonly Pod[] = () => [];

  /** From now on `explain` answers (undefined for pods that are unknown or somebody else's), and `pods` all that it knows. */
  attach(explain: Explain, pods: () => readonly Pod[]): void {
    this.#explain = explain;
    this.#pods = pods;
  }

  /** `/configz`, `/metrics/resources`, and `/debug/explain?pod=NAMESPACE/NAME` (`&output=json` for programs). Undefined: there is no such thing. */
  pages(
    configuration: SchedulerConfiguration,
  ): Readonly<Record<string, (query: URLSearchParams) => string | undefined>> {
    const componentConfig = { kind: "KubeSchedulerConfiguration", apiVersion: CONFIG_VERSION, ...configuration };
    return {
      "/configz": () => JSON.stringify({ "kubescheduler.config.k8s.io": componentConfig }),
      "/metrics/resources": () => podResourceMetrics(this.#pods()),
      "/debug/explain": (query) => {
        const [first = "", second] = (query.get("pod") ?? "").split("/");
        const explanation = second === undefined ? this.#explain?.("default", first) : this.#explain?.(first, second);
        if (explanation === undefined) return undefined;
        return query.get("output") === "json" ? JSON.stringify(explanation) : explanationText(explanation);
      },
    };
  }
}
