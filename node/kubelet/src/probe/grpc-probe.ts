import { Client, credentials, status, type ServiceError } from "@grpc/grpc-js";
import type { ProbeOutcome } from "./probe.ts";

const SERVING = 1;
const NAMES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** `HealthCheckRequest{service = 1}`. */
function healthRequest(service: string): Buffer {
  const text = Buffer.from(service);
  return text.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, text.length]), text]);
}

/** `HealthCheckResponse{status = 1}`. */
const healthStatus = (bytes: Buffer): number => (bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0);

/** Asks the standard health service of a gRPC server. */
export function grpcProbe(host: string, port: number, service: string, timeoutMs: number): Promise<ProbeOutcome> {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const client = new Client(address, credentials.createInsecure());
  return new Promise<ProbeOutcome>((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (value: string) => healthRequest(value),
      healthStatus,
      service,
      { deadline: new Date(Date.now() + timeoutMs) },
      (error: ServiceError | null, answer?: number) => {
        if (error === null) {
          const ok = answer === SERVING;
          const name = NAMES[answer ?? 0] ?? String(answer);
          resolve({ ok, output: ok ? "" : `service unhealthy (responded with "${name}")` });
        } else if (error.code === status.UNIMPLEMENTED) {
          resolve({
            ok: false,
            output: "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
          });
        } else if (error.code === status.DEADLINE_EXCEEDED) {
          resolve({ ok: false, output: `timeout: health rpc did not complete within ${timeoutMs / 1000}s` });
        } else resolve({ ok: false, output: `error: health rpc probe failed: ${error.message}` });
      },
    );
  }).finally(() => client.close());
}
