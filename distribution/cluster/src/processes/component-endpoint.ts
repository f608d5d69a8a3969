import { readFileSync } from "node:fs";
import type { Server } from "node:https";
import type { IncomingMessage } from "node:http";
import { hostname } from "node:os";
import { SubjectAccessReview } from "@coracle/api/authorization/v1";
import { TokenReview, type UserInfo } from "@coracle/api/authentication/v1";
import type { Clock, FlagValues, Logger, servingFlags } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { createAuthority, type CertifiedKey } from "@coracle/pki";

export interface ComponentEndpointOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly address: string;
  /** PEM files; absent: a certificate of its own, made at each start. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Asks the API server who a token is, and what its holder may see. */
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Paths that anybody may see; `*` at the end stands for all that begin so. Absent: those of health. */
  readonly allowed?: readonly string[] | undefined;
  /**
   * What the component has to say under which path, to those who may see it; what it says under `/metrics` comes before
   * the numbers of the process. Undefined: there is no such thing.
   */
  readonly pages?: Readonly<Record<string, (query: URLSearchParams) => string | undefined>> | undefined;
}

/** What a component serves of itself. */
export interface ComponentEndpoint extends AsyncDisposable {
  readonly port: number;
}

const HEALTH: ReadonlySet<string> = new Set(["/healthz", "/livez", "/readyz"]);
const YEAR_MS = 365 * 86_400_000;
const ANONYMOUS: UserInfo = { username: "system:anonymous", groups: ["system:unauthenticated"] };

/**
 * Serves /healthz, /livez and /readyz to everybody, and /metrics to those whom the API server knows by their token and
 * lets see it, with what else the component has to say. Over TLS only.
 */
export async function serveComponent(options: ComponentEndpointOptions): Promise<ComponentEndpoint> {
  const { cert, key } = keyPair(options);
  const { createServer } = await import("node:https"); // a default cluster's process does without
  const server = createServer({ cert, key }, (request, response) => {
    void answer(options, request).then(
      ({ status, body, type = "text/plain; charset=utf-8" }) => {
        response.writeHead(status, { "content-type": type, "x-content-type-options": "nosniff" });
        response.end(request.method === "HEAD" ? undefined : body);
      },
      (error: unknown) => {
        options.logger.warn("request could not be answered", { path: request.url, error });
        response.writeHead(500, { "content-type": "text/plain; charset=utf-8" });
        response.end("Internal Server Error\n");
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.address, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return { port: portOf(server), [Symbol.asyncDispose]: () => closed(server) };
}

/** Serves what the flags of a component ask for; undefined with `--secure-port=0`. */
export async function serveByFlags(
  flags: FlagValues<ReturnType<typeof servingFlags>>,
  context: Pick<ComponentEndpointOptions, "client" | "clock" | "logger" | "pages">,
): Promise<ComponentEndpoint | undefined> {
  const { securePort: port, bindAddress: address, tlsCertFile: certFile, tlsPrivateKeyFile: keyFile } = flags;
  if (port === 0) return undefined;
  return await serveComponent({
    ...context,
    port,
    address,
    certFile,
    keyFile,
    allowed: flags.authorizationAlwaysAllowPaths,
  });
}

function keyPair({ certFile, keyFile, clock }: ComponentEndpointOptions): CertifiedKey {
  if (certFile !== undefined && keyFile !== undefined)
    return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  const now = clock.now();
  const name = hostname();
  const life = { notBefore: now - 3_600_000, notAfter: now + YEAR_MS };
  const authority = createAuthority({ subject: { commonName: `${name}-ca@${Math.floor(now / 1000)}` }, ...life });
  const subject = { commonName: `${name}@${Math.floor(now / 1000)}` };
  return authority.issue({ subject, usages: ["server"], names: [name, "localhost", "127.0.0.1"], ...life });
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

async function answer(options: ComponentEndpointOptions, request: IncomingMessage): Promise<Answer> {
  const [path = "/", query = ""] = (request.url ?? "/").split("?");
  const { allowed = [...HEALTH] } = options;
  const refusal = allowed.some((each) => covers(each, path)) ? undefined : await refusalOf(options, request, path);
  if (refusal !== undefined) return refusal;
  if (HEALTH.has(path)) return { status: 200, body: "ok" };
  const page = options.pages?.[path]?.(new URLSearchParams(query));
  const type = "text/plain; version=0.0.4; charset=utf-8";
  if (path === "/metrics") return { status: 200, body: `${page ?? ""}${processMetrics()}`, type };
  if (path.startsWith("/metrics/") && page !== undefined) return { status: 200, body: page, type };
  if (page === undefined) return { status: 404, body: "404 page not found\n" };
  return { status: 200, body: page, ...(page.startsWith("{") ? { type: "application/json" } : {}) };
}

const covers = (allowed: string, path: string): boolean =>
  allowed.endsWith("*") ? path.startsWith(allowed.slice(0, -1)) : path === allowed;

/** Why whoever asks may not see the path; undefined: it is theirs to see. */
async function refusalOf(
  { client }: ComponentEndpointOptions,
  request: IncomingMessage,
  path: string,
): Promise<Answer | undefined> {
  const user = await userOf(client, request.headers.authorization);
  if (user === undefined) return { status: 401, body: "Unauthorized\n" };
  const verb = (request.method ?? "GET").toLowerCase();
  const review = await client.create(SubjectAccessReview, {
    metadata: {},
    spec: { user: user.username, groups: user.groups, uid: user.uid, nonResourceAttributes: { path, verb } },
  });
  if (review.status?.allowed === true) return undefined;
  return { status: 403, body: `forbidden: User ${JSON.stringify(user.username)} cannot ${verb} path "${path}"\n` };
}

/** Who holds the token; without one, anybody; undefined: nobody knows it. */
async function userOf(client: ApiClient, header: string | undefined): Promise<UserInfo | undefined> {
  if (header === undefined) return ANONYMOUS;
  const token = /^bearer +(\S+)$/i.exec(header)?.[1];
  if (token === undefined) return undefined;
  const review = await client.create(TokenReview, { metadata: {}, spec: { token } });
  return review.status?.authenticated === true ? review.status.user : undefined;
}

/** What Prometheus' client libraries tell of every process. */
function processMetrics(): string {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const startedAt = performance.timeOrigin / 1000;
  const lines: readonly (readonly [name: string, kind: string, help: string, value: number])[] = [
    ["process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", (user + system) / 1e6],
    ["process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", rss],
    ["process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", startedAt],
    ["nodejs_heap_size_used_bytes", "gauge", "Process heap size used from Node.js in bytes.", heapUsed],
  ];
  return lines
    .map(([name, kind, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${name} ${value}\n`)
    .join("");
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
