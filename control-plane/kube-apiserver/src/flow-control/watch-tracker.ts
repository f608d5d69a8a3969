import type { RequestInfo } from "../server/request-info.ts";

/** Counts the watches that hear of a change to an object. */
export class WatchTracker {
  /** By resource, then by `NAMESPACE/NAME` as watched. */
  readonly #watches = new Map<string, Map<string, number>>();

  /** Dispose when the watch ends. */
  register(info: RequestInfo, query: URLSearchParams): Disposable {
    // Watches of one node's pods are looked up by node: they cost other pods' changes nothing.
    if (info.resource === "pods" && /(^|,)spec\.nodeName==?[^,]/.test(query.get("fieldSelector") ?? "")) {
      return { [Symbol.dispose]() {} };
    }
    const resource = `${info.group}/${info.resource}`;
    const place = `${info.namespace}/${info.name}`;
    const places = this.#watches.get(resource) ?? new Map<string, number>();
    this.#watches.set(resource, places.set(place, (places.get(place) ?? 0) + 1));
    return {
      [Symbol.dispose]: () => {
        const left = places.get(place)! - 1;
        if (left > 0) places.set(place, left);
        else places.delete(place);
        if (places.size === 0) this.#watches.delete(resource);
      },
    };
  }

  count({ group, resource, namespace, name }: RequestInfo): number {
    const places = this.#watches.get(`${group}/${resource}`);
    if (places === undefined) return 0;
    let sum = places.get("/") ?? 0;
    if (namespace !== "") sum += places.get(`${namespace}/`) ?? 0;
    if (name !== "") sum += places.get(`${namespace}/${name}`) ?? 0;
    return sum;
  }
}
