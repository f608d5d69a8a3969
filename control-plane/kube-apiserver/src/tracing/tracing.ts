import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Clock, Logger, Random } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import type { OutboundClient, OutboundHeaders, OutboundRequest } from "../outbound/outbound-client.ts";
import type { OutboundTarget } from "../outbound/target.ts";
import type { AdmissionChain } from "../registry/registry.ts";
import type { ApiRequest } from "../server/api-request.ts";
import { readTracingConfig, type TracingConfig } from "./config.ts";
import { SpanExporter } from "./exporter.ts";
import type { Span } from "./span.ts";

/** Follows requests through the server, and says where their time went. Never what they carried. */
export interface Tracing extends AsyncDisposable {
  /** The request and all that is done for it. */
  follow(request: ApiRequest, work: () => Promise<void>): Promise<void>;
  /** A part of the work for the request under way; just the work when that is not traced. */
  part<T>(name: string, attributes: Span["attributes"], work: () => T): T;
  /** A part that somebody else does: told by these headers whose part it is, where the request under way is traced. */
  call<T>(name: string, attributes: Span["attributes"], work: (headers: Readonly<Record<string, string>>) => T): T;
}

interface Position {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The W3C header `traceparent`; undefined when it is not there, or none. */
export function readTraceParent(text: string | undefined): (Position & { readonly isSampled: boolean }) | undefined {
  const match = TRACEPARENT.exec(text?.trim() ?? "");
  if (match === null || match[1] === "ff" || (match[1] === "00" && match[5] !== undefined)) return undefined;
  if (/^0+$/.test(match[2]!) || /^0+$/.test(match[3]!)) return undefined;
  return {
    traceId: Buffer.from(match[2]!, "hex"),
    spanId: Buffer.from(match[3]!, "hex"),
    isSampled: (Number.parseInt(match[4]!, 16) & 1) === 1,
  };
}

/** What a failure is called in a trace: never its message, which may quote what was sent. */
const failureOf = (error: unknown): string => (error instanceof Error ? error.name : "failed");

/** Opens tracing as a configuration file says. Throws when that cannot be used. */
export async function openTracing(
  file: string,
  deps: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
): Promise<Tracing> {
  let config: TracingConfig;
  try {
    config = await readTracingConfig(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error(`failed to read tracing config: ${(error as Error).message}`, { cause: error });
  }
  const { clock, random } = deps;
  const service = { "service.name": "kube-apiserver", "service.instance.id": randomBytes(8).toString("hex") };
  const exporter = new SpanExporter({ endpoint: config.endpoint, service, ...deps });
  const under = new AsyncLocalStorage<Position>();
  // One beginning, and from there on the clock that never jumps.
  const origin = clock.now() - clock.monotonicMs();
  const nanos = (): bigint => BigInt(Math.round((origin + clock.monotonicMs()) * 1_000)) * 1_000n;

  function begin(parent: Position | undefined): { readonly at: Position; readonly startNanos: bigint } {
    const at = { traceId: parent?.traceId ?? randomBytes(16), spanId: randomBytes(8) };
    return { at, startNanos: nanos() };
  }

  /** The work, as a part of the request under way; where there is none that is traced, the work alone. */
  function within<T>(what: Pick<Span, "name" | "attributes" | "side">, work: (at: Position | undefined) => T): T {
    const parent = under.getStore();
    if (parent === undefined) return work(undefined);
    const { at, startNanos } = begin(parent);
    const end = (failure?: string): void =>
      exporter.add({ ...at, ...what, parentId: parent.spanId, startNanos, endNanos: nanos(), failure });
    try {
      const result = under.run(at, () => work(at));
      if (result instanceof Promise) {
        result.then(
          () => end(),
          (error: unknown) => end(failureOf(error)),
        );
      } else end();
      return result;
    } catch (error) {
      end(failureOf(error));
      throw error;
    }
  }

  return {
    async follow(request, work) {
      const parent = readTraceParent(request.exchange.header("traceparent"));
      const isSampled = parent?.isSampled ?? random.next() * 1_000_000 < config.samplesPerMillion;
      if (!isSampled) return work();
      const { at, startNanos } = begin(parent);
      const { info, exchange, auditId } = request;
      try {
        await under.run(at, work);
      } finally {
        exporter.add({
          ...at,
          parentId: parent?.spanId,
          name: "KubernetesAPI",
          side: "server",
          startNanos,
          endNanos: nanos(),
          attributes: {
            "audit-id": auditId,
            "http.method": exchange.method,
            "http.target": info.path,
            verb: info.verb,
          },
          failure: request.panic === undefined ? undefined : "panic",
        });
      }
    },
    part: (name, attributes, work) => within({ name, attributes }, work),
    call: (name, attributes, work) =>
      within({ name, attributes, side: "client" }, (at) =>
        work(
          at === undefined ? {} : { traceparent: `00-${at.traceId.toString("hex")}-${at.spanId.toString("hex")}-01` },
        ),
      ),
    [Symbol.asyncDispose]: () => exporter[Symbol.asyncDispose](),
  };
}

/** Admission whose halves are parts of a trace. */
export function traceAdmission(tracing: Tracing, chain: AdmissionChain): AdmissionChain {
  return {
    ...chain,
    admit: (attributes) =>
      tracing.part("admission.mutate", { operation: attributes.operation }, () => chain.admit(attributes)),
    validate: (attributes) =>
      tracing.part("admission.validate", { operation: attributes.operation }, () => chain.validate(attributes)),
  };
}

/** Calls of others that are parts of a trace, and tell them so. */
export function traceOutbound(tracing: Tracing, client: OutboundClient): OutboundClient {
  const traced = <T>(target: OutboundTarget, request: OutboundRequest, work: (headers: OutboundHeaders) => T): T => {
    const attributes = { "http.method": request.method, "server.address": target.origin };
    return tracing.call(`HTTP ${request.method}`, attributes, (headers) => work({ ...request.headers, ...headers }));
  };
  return {
    send: (target, request) => traced(target, request, (headers) => client.send(target, { ...request, headers })),
    call: (target, request) => traced(target, request, (headers) => client.call(target, { ...request, headers })),
    upgrade: (target, request) => traced(target, request, (headers) => client.upgrade(target, { ...request, headers })),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** A store whose calls are parts of a trace. */
export function traceStore(tracing: Tracing, store: Store): Store {
  return {
    get isShared() {
      return store.isShared;
    },
    range: (request) => tracing.part("etcd.range", { key: request.key }, () => store.range(request)),
    txn: (request) => tracing.part("etcd.txn", { key: request.compare[0]?.key ?? "" }, () => store.txn(request)),
    watch: (request, sink) => store.watch(request, sink),
    revision: () => store.revision(),
    grantLease: (seconds, id) => store.grantLease(seconds, id),
    keepLeaseAlive: (lease) => store.keepLeaseAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    compact: (revision) => store.compact(revision),
    size: () => store.size(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
