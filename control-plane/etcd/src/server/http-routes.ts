import type { HttpExchange } from "./client-listener.ts";
import { ETCD_VERSION, type EtcdContext } from "./etcd-context.ts";

/** What an etcd server answers to plain HTTP: health and version. */
export function serveHttp(context: EtcdContext, exchange: HttpExchange): void {
  exchange.body.resume();
  const path = exchange.url.split("?", 1)[0];
  const answer = (code: number, body: string, type = "application/json"): void => {
    exchange.respond(code, type).end(exchange.method === "HEAD" ? "" : body);
  };
  switch (path) {
    case "/health":
      context.store.revision().then(
        () => answer(200, '{"health":"true","reason":""}'),
        (error: unknown) => answer(503, JSON.stringify({ health: "false", reason: String(error) })),
      );
      return;
    case "/livez":
    case "/readyz":
      answer(200, "ok\n", "text/plain; charset=utf-8");
      return;
    case "/version":
      answer(200, JSON.stringify({ etcdserver: ETCD_VERSION, etcdcluster: "3.6.0", storage: "3.6.0" }));
      return;
    default:
      answer(404, "404 page not found\n", "text/plain; charset=utf-8");
  }
}
