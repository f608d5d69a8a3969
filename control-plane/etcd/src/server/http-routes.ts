import type { Gateway } from "../gateway/gateway.ts";
import type { HttpExchange } from "./client-listener.ts";
import { ETCD_VERSION, type EtcdContext } from "./etcd-context.ts";
import type { Metrics } from "./metrics.ts";

const TEXT = "text/plain; charset=utf-8";

/** What the routes need beside the services' own context. */
export interface HttpServices {
  readonly context: EtcdContext;
  readonly metrics: Metrics;
  /** Made when somebody asks for it first. */
  readonly gateway: () => Gateway;
  /** Whether the port tells how things are, and nothing else. */
  readonly isForMetrics: boolean;
}

/** A check by name: resolves, or rejects with what is wrong. */
type Checks = Readonly<Record<string, () => Promise<unknown>>>;

/** What an etcd server answers to plain HTTP: health, metrics, version and the JSON gateway. */
export async function serveHttp(services: HttpServices, exchange: HttpExchange): Promise<void> {
  const { context, metrics, gateway, isForMetrics } = services;
  const { pathname, searchParams } = new URL(exchange.url, "http://etcd");
  if (pathname.startsWith("/v3/") && !isForMetrics) return gateway().serve(pathname, exchange);
  exchange.body.resume();
  const answer = (code: number, body: string, type = TEXT): void => {
    exchange.respond(code, type).end(exchange.method === "HEAD" ? "" : body);
  };
  const [, first = "", check] = pathname.split("/");
  switch (first) {
    case "health":
      return health(context, searchParams, answer);
    case "livez":
      return probe(livez(context), check, searchParams, answer);
    case "readyz":
      return probe(readyz(context), check, searchParams, answer);
    case "metrics":
      return answer(200, await metrics.text(context), "text/plain; version=0.0.4; charset=utf-8");
    case "version":
      return answer(
        200,
        JSON.stringify({ etcdserver: ETCD_VERSION, etcdcluster: "3.6.0", storage: "3.6.0" }),
        "application/json",
      );
    default:
      return answer(404, "404 page not found\n");
  }
}

type Answer = (code: number, body: string) => void;

/** An alarm is no good health, unless it is excluded. */
async function health({ store, alarms }: EtcdContext, query: URLSearchParams, answer: Answer): Promise<void> {
  const excluded = query.getAll("exclude");
  const alarm = alarms.active.find((each) => !excluded.includes(each));
  const reason = alarm === undefined ? await failureOf(() => store.revision()) : `ALARM ${alarm}`;
  answer(reason === "" ? 200 : 503, JSON.stringify({ health: String(reason === ""), reason }));
}

const livez = ({ store }: EtcdContext): Checks => ({ serializable_read: () => store.revision() });

const readyz = ({ store, alarms }: EtcdContext): Checks => ({
  async data_corruption() {
    if (alarms.active.includes("CORRUPT")) throw new Error("alarm activated: CORRUPT");
  },
  serializable_read: () => store.revision(),
  linearizable_read: () => store.range({ key: "\0", countOnly: true }),
  /** A single member learns from nobody. */
  non_learner: async () => undefined,
});

async function probe(checks: Checks, one: string | undefined, query: URLSearchParams, answer: Answer): Promise<void> {
  if (one !== undefined && !Object.hasOwn(checks, one)) return answer(404, "404 page not found\n");
  const excluded = query.getAll("exclude");
  const lines: string[] = [];
  let isFine = true;
  for (const [name, check] of Object.entries(checks)) {
    if ((one !== undefined && one !== name) || excluded.includes(name)) continue;
    // oxlint-disable-next-line no-await-in-loop
    const failure = await failureOf(check);
    isFine &&= failure === "";
    lines.push(failure === "" ? `[+]${name} ok` : `[-]${name} failed: ${failure}`);
  }
  const isTold = !isFine || query.has("verbose");
  const told = isTold ? lines.map((line) => `${line}\n`).join("") : "";
  answer(isFine ? 200 : 503, isFine ? `${told}ok\n` : told);
}

async function failureOf(check: () => Promise<unknown>): Promise<string> {
  return check().then(
    () => "",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
