import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";

/** A value of a metric, of an object for custom ones. */
export interface ServedValue {
  readonly value: string;
  readonly of?: { readonly kind: string; readonly name: string };
}

/** An API server of other groups that knows metrics, and nothing else. */
export interface MetricsApiServer extends AsyncDisposable {
  readonly port: number;
  /** By path without its query: `/apis/GROUP/VERSION/namespaces/NAMESPACE/…`. */
  readonly values: Map<string, readonly ServedValue[]>;
  /** Who asked for what, as the front proxy said: `USER PATH`. */
  readonly asked: Set<string>;
}

export interface MetricsApiServerOptions {
  readonly cert: string;
  readonly key: string;
  /** Authority of front proxies: nobody else is answered. */
  readonly requestHeaderCa: string;
  readonly now: () => number;
}

/** Group and version, and the kind of its lists. */
const GROUPS: Readonly<Record<string, string | undefined>> = {
  "custom.metrics.k8s.io/v1beta2": "MetricValueList",
  "external.metrics.k8s.io/v1beta1": "ExternalMetricValueList",
};

/** Starts one on a free port of this host. */
export async function startMetricsApiServer(options: MetricsApiServerOptions): Promise<MetricsApiServer> {
  const values = new Map<string, readonly ServedValue[]>();
  const asked = new Set<string>();
  const { cert, key, requestHeaderCa: ca } = options;
  const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (!(request.socket as TLSSocket).authorized) return answer(401, refusal(401, "Unauthorized", "Unauthorized"));
    asked.add(`${String(request.headers["x-remote-user"])} ${path}`);
    const [, , group = "", version = "", ...rest] = path.split("/");
    const kind = GROUPS[`${group}/${version}`];
    if (kind === undefined)
      return answer(404, refusal(404, "NotFound", "the server could not find the requested resource"));
    if (rest.length === 0)
      return answer(200, {
        kind: "APIResourceList",
        apiVersion: "v1",
        groupVersion: `${group}/${version}`,
        resources: [],
      });
    const timestamp = new Date(options.now()).toISOString().replace(/\.\d+Z$/, "Z");
    const [, namespace = "", ...target] = rest;
    const metric = target.at(-1) ?? "";
    const items = (values.get(path) ?? []).map(({ value, of }) => ({
      ...(of === undefined ? { metricName: metric, metricLabels: {} } : {}),
      ...(of === undefined ? {} : { describedObject: { ...of, namespace }, metric: { name: metric } }),
      timestamp,
      value,
    }));
    if (!values.has(path)) return answer(404, refusal(404, "NotFound", `nobody measures ${metric}`));
    return answer(200, { kind, apiVersion: `${group}/${version}`, metadata: {}, items });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    values,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const refusal = (code: number, reason: string, message: string): object => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  code,
  reason,
  message,
});
