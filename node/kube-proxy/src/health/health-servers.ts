import { createServer, type Server } from "node:http";
import type { Clock, Logger } from "@coracle/base";
import type { HealthCheckPort } from "../services/service-port.ts";

/** `/healthz` and `/livez` of the proxy, and the health-check ports of services with `externalTrafficPolicy: Local`. */
export interface HealthServers extends AsyncDisposable {
  /** The rules are those of this moment. */
  synced(): void;
  setHealthCheckPorts(ports: readonly HealthCheckPort[]): void;
}

export async function serveHealth(options: {
  readonly address: string;
  /** 0: off. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
}): Promise<HealthServers> {
  const { clock, logger } = options;
  let lastSync: number | undefined;
  const checks = new Map<number, { server: Server; state: HealthCheckPort }>();

  const healthz = createServer((request, response) => {
    const known = request.url === "/healthz" || request.url === "/livez";
    response.writeHead(known ? (lastSync === undefined ? 503 : 200) : 404, {
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
    });
    const iso = (time: number): string => new Date(time).toISOString();
    response.end(
      known
        ? JSON.stringify({ lastUpdated: iso(lastSync ?? 0), currentTime: iso(clock.now()), nodeEligible: true })
        : "",
    );
  });
  if (options.port !== 0) {
    await new Promise<void>((resolve, reject) =>
      healthz.once("error", reject).listen(options.port, options.address, resolve),
    );
  }

  const openCheck = (state: HealthCheckPort): void => {
    const server = createServer((_, response) => {
      const current = checks.get(state.port)?.state ?? state;
      response.writeHead(current.localEndpoints > 0 ? 200 : 503, { "content-type": "application/json" });
      const { namespace, name, localEndpoints } = current;
      response.end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy: true }));
    });
    server.on("error", (error) => logger.error("health check port cannot be served", { port: state.port, error }));
    server.listen(state.port, options.address);
    checks.set(state.port, { server, state });
  };
  const close = (server: Server): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });

  return {
    synced() {
      lastSync = clock.now();
    },
    setHealthCheckPorts(ports) {
      const wanted = new Map(ports.map((port) => [port.port, port]));
      for (const [port, { server }] of checks) {
        if (wanted.has(port)) continue;
        checks.delete(port);
        server.close();
      }
      for (const state of wanted.values()) {
        const open = checks.get(state.port);
        if (open === undefined) openCheck(state);
        else open.state = state;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([
        ...(options.port === 0 ? [] : [close(healthz)]),
        ...[...checks.values()].map(({ server }) => close(server)),
      ]);
    },
  };
}
