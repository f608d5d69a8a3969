import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Pod } from "@coracle/api/core/v1";
import { aborted, type Clock, type Logger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { refuseUpgrade, remoteCommandStreams, tunnelUpgrade } from "@coracle/client/streaming";
import type { KubeletConfiguration } from "../config.ts";
import type { CriClient } from "../cri/cri-client.ts";
import { criMessage } from "../cri/cri-client.ts";
import type { Machine } from "../host/machine.ts";
import type { PodManager } from "../pod/pod-manager.ts";
import type { PodWorker } from "../pod/pod-worker.ts";
import { createRequestGuard, type RequestGuard } from "./request-guard.ts";
import { serveContainerLog } from "./container-log.ts";
import { resourceMetrics, statsSummary } from "./stats.ts";

export interface KubeletTls {
  /** PEM. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** PEM of the authority whose client certificates are believed. */
  readonly clientCa: string | Buffer;
}

export interface KubeletServerDeps {
  readonly client: ApiClient;
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pods: PodManager;
  readonly configuration: KubeletConfiguration;
  readonly tls: KubeletTls;
  readonly nodeName: string;
  readonly machine: Machine;
  readonly version: string | undefined;
}

/** Serves logs, exec, attach, port-forward and figures to the API server, and health to the host, until the signal aborts. */
export async function serveKubelet(deps: KubeletServerDeps, signal: AbortSignal): Promise<void> {
  const { configuration, tls } = deps;
  const guard = createRequestGuard(deps);
  const server = createServer(
    {
      cert: tls.cert,
      key: tls.key,
      ca: tls.clientCa,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
    },
    (request, response) => void handle(deps, guard, request, response),
  );
  const sockets = new Set<Duplex>();
  server.on("secureConnection", (socket: TLSSocket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("upgrade", (request, socket, head) => {
    handleUpgrade(deps, guard, request, socket, head).catch((error: unknown) => {
      refuseUpgrade(socket, 500, "Internal Server Error", criMessage(error));
    });
  });
  await listen(server, configuration.port, configuration.address);
  const health = createHttpServer((request, response) => {
    const isHealth = request.url === "/healthz";
    response
      .writeHead(isHealth ? 200 : 404, { "content-type": "text/plain" })
      .end(isHealth ? "ok" : "404 page not found\n");
  });
  if (configuration.healthzPort > 0) await listen(health, configuration.healthzPort, configuration.healthzBindAddress);
  await aborted(signal);
  for (const socket of sockets) socket.destroy();
  server.close();
  health.close();
  health.closeAllConnections();
}

function listen(server: Server | ReturnType<typeof createHttpServer>, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** The subresource of `nodes` that stands for a path in access rules. */
export function nodeSubresource(path: string): string {
  for (const [prefix, subresource] of [
    ["/stats", "stats"],
    ["/metrics", "metrics"],
    ["/logs", "log"],
    ["/healthz", "healthz"],
    ["/pods", "pods"],
    ["/runningpods", "pods"],
    ["/configz", "configz"],
    ["/spec", "spec"],
    ["/checkpoint", "checkpoint"],
  ] as const) {
    if (path === prefix || path.startsWith(`${prefix}/`)) return subresource;
  }
  return "proxy";
}

const VERBS: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};
export const verbOf = (method: string | undefined): string => VERBS[method ?? "GET"] ?? "get";

function send(response: ServerResponse, code: number, text: string, contentType = "text/plain; charset=utf-8"): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(code, { "content-type": contentType }).end(text);
}

async function handle(
  deps: KubeletServerDeps,
  guard: RequestGuard,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(request.url ?? "/", "https://localhost");
    const verdict = await guard(request, verbOf(request.method), nodeSubresource(url.pathname));
    if (verdict !== undefined) {
      send(response, verdict.code, verdict.message);
      return;
    }
    await route(deps, url, request, response);
  } catch (error) {
    deps.logger.warn("a request to the node failed", { path: request.url, error });
    send(response, 500, criMessage(error));
  }
}

async function route(
  deps: KubeletServerDeps,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [first, ...rest] = url.pathname.split("/").slice(1).map(decodeURIComponent);
  switch (first) {
    case "healthz":
      send(response, 200, "ok");
      return;
    case "pods":
    case "runningpods":
      send(
        response,
        200,
        JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata: {}, items: deps.pods.pods().map(asItem) }),
        "application/json",
      );
      return;
    case "containerLogs": {
      const [namespace = "", name = "", container = ""] = rest;
      const worker = deps.pods.byName(namespace, name);
      if (worker === undefined) send(response, 404, `pod "${name}" does not exist\n`);
      else await serveContainerLog(worker, container, url.searchParams, response);
      return;
    }
    case "stats":
      send(response, 200, JSON.stringify(await statsSummary(deps)), "application/json");
      return;
    case "metrics":
      if (rest[0] === "resource")
        send(response, 200, await resourceMetrics(deps), "text/plain; version=0.0.4; charset=utf-8");
      else if (rest[0] === undefined)
        send(response, 200, nodeMetrics(deps), "text/plain; version=0.0.4; charset=utf-8");
      else send(response, 404, "404 page not found\n");
      return;
    case "configz":
      send(response, 200, JSON.stringify({ kubeletconfig: deps.configuration }), "application/json");
      return;
    case "exec":
    case "attach":
    case "portForward":
      send(response, 400, "Upgrade request required");
      return;
    default:
      send(response, 404, "404 page not found\n");
  }
}

const asItem = (pod: Pod): Pod => ({ ...pod, apiVersion: "v1", kind: "Pod" });

function nodeMetrics(deps: KubeletServerDeps): string {
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  return [
    "# TYPE kubelet_running_pods gauge",
    `kubelet_running_pods ${deps.pods.pods().length}`,
    "# TYPE process_cpu_seconds_total counter",
    `process_cpu_seconds_total ${(cpu.user + cpu.system) / 1e6}`,
    "# TYPE process_resident_memory_bytes gauge",
    `process_resident_memory_bytes ${memory.rss}`,
    "",
  ].join("\n");
}

/** Exec, attach and port-forward: asks the runtime where, and joins the two connections. */
async function handleUpgrade(
  deps: KubeletServerDeps,
  guard: RequestGuard,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  const url = new URL(request.url ?? "/", "https://localhost");
  const verdict = await guard(request, verbOf(request.method), "proxy");
  if (verdict !== undefined) {
    refuseUpgrade(socket, verdict.code, verdict.code === 401 ? "Unauthorized" : "Forbidden", verdict.message);
    return;
  }
  const [kind, namespace = "", name = "", ...rest] = url.pathname.split("/").slice(1).map(decodeURIComponent);
  const worker = deps.pods.byName(namespace, name);
  if (worker === undefined) {
    refuseUpgrade(socket, 404, "Not Found", `pod does not exist`);
    return;
  }
  const target = await streamingUrl(deps.cri, worker, kind ?? "", rest.at(-1) ?? "", url);
  if (target === undefined) {
    refuseUpgrade(
      socket,
      404,
      "Not Found",
      kind === "portForward" ? "sandbox not found" : `container not found ("${rest.at(-1) ?? ""}")`,
    );
    return;
  }
  await tunnelUpgrade(request, socket, head, { url: new URL(target) });
}

async function streamingUrl(
  cri: CriClient,
  worker: PodWorker,
  kind: string,
  container: string,
  url: URL,
): Promise<string | undefined> {
  if (kind === "portForward") {
    const sandbox = worker.state.sandboxes.find((each) => each.isReady);
    if (sandbox === undefined) return undefined;
    const port = url.searchParams.getAll("port").map(Number);
    return (await cri.call("PortForward", { podSandboxId: sandbox.id, port })).url;
  }
  const run = worker.state.runs.get(container)?.find((each) => each.state === "running");
  if (run === undefined) return undefined;
  const streams = remoteCommandStreams(url);
  if (kind === "exec") {
    const cmd = url.searchParams.getAll("command");
    return (await cri.call("Exec", { containerId: run.id, cmd, ...streams })).url;
  }
  if (kind !== "attach") return undefined;
  return (await cri.call("Attach", { containerId: run.id, ...streams })).url;
}
