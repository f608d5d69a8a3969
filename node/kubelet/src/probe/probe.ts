import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { Container, HTTPGetAction, LifecycleHandler, Probe } from "@coracle/api/core/v1";
import { criMessage, type CriClient } from "../cri/cri-client.ts";

/** Outcome of one probe. */
export interface ProbeOutcome {
  readonly ok: boolean;
  /** Goes into the Unhealthy event. */
  readonly output: string;
}

export interface ProbeTarget {
  readonly cri: CriClient;
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
}

const MAX_BODY_BYTES = 10_240;
const MAX_REDIRECTS = 10;

/** The number behind a port given as a number or by name. */
export function portNumber(container: Container, port: number | string): number {
  if (typeof port === "number") return port;
  const named = container.ports?.find((each) => each.name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(named) || named <= 0) throw new Error(`couldn't find port: ${port}`);
  return named;
}

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** Asks once, within the probe's timeout. */
export async function runProbe(probe: Probe, target: ProbeTarget): Promise<ProbeOutcome> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.exec !== undefined) return await execProbe(probe.exec.command ?? [], target, probe.timeoutSeconds ?? 1);
    if (probe.httpGet !== undefined) return await httpProbe(probe.httpGet, target, timeoutMs, "kube-probe/1.35");
    if (probe.tcpSocket !== undefined) {
      const host = probe.tcpSocket.host || target.podIp;
      return await tcpProbe(host, portNumber(target.container, probe.tcpSocket.port), timeoutMs);
    }
    if (probe.grpc !== undefined) {
      const { grpcProbe } = await import("./grpc-probe.ts");
      return await grpcProbe(target.podIp, probe.grpc.port, probe.grpc.service ?? "", timeoutMs);
    }
    return { ok: true, output: "" };
  } catch (error) {
    return { ok: false, output: error instanceof Error ? error.message : String(error) };
  }
}

async function execProbe(command: readonly string[], target: ProbeTarget, timeout: number): Promise<ProbeOutcome> {
  try {
    const answer = await target.cri.call(
      "ExecSync",
      { containerId: target.containerId, cmd: command, timeout },
      { timeoutMs: timeout * 1000 + 10_000 },
    );
    const output = `${(answer.stdout ?? "").toString()}${(answer.stderr ?? "").toString()}`.slice(0, MAX_BODY_BYTES);
    return { ok: (answer.exitCode ?? 0) === 0, output };
  } catch (error) {
    const message = criMessage(error);
    if (/DeadlineExceeded|timed? ?out/i.test(message)) {
      return { ok: false, output: `command timed out: "${command.join(" ")}" timed out after ${timeout}s` };
    }
    throw error;
  }
}

function httpProbe(
  action: HTTPGetAction,
  target: ProbeTarget,
  timeoutMs: number,
  userAgent: string,
  method = "GET",
): Promise<ProbeOutcome> {
  const scheme = (action.scheme ?? "HTTP").toLowerCase();
  const host = action.host === undefined || action.host === "" ? target.podIp : action.host;
  const port = portNumber(target.container, action.port);
  const path = action.path === undefined || action.path === "" ? "/" : action.path;
  const url = new URL(`${scheme}://${bracketed(host)}:${port}${path.startsWith("/") ? "" : "/"}${path}`);
  const headers: Record<string, string | string[]> = { "user-agent": userAgent, accept: "*/*", connection: "close" };
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase();
    const earlier = headers[key];
    headers[key] = ["user-agent", "accept"].includes(key) || earlier === undefined ? value : [earlier, value].flat();
    if (value === "" && (key === "user-agent" || key === "accept")) delete headers[key];
  }
  return fetchProbe(url, method, headers, timeoutMs, 0);
}

function fetchProbe(
  url: URL,
  method: string,
  headers: Readonly<Record<string, string | string[]>>,
  timeoutMs: number,
  redirects: number,
): Promise<ProbeOutcome> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const abort = AbortSignal.timeout(timeoutMs);
    const fail = (message: string): void => resolve({ ok: false, output: `Get "${url.href}": ${message}` });
    const request = send(url, {
      method,
      headers: { ...headers },
      agent: false,
      rejectUnauthorized: false,
      signal: abort,
    });
    request.once("error", (error) => {
      const isLate = abort.aborted;
      fail(
        isLate ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)" : dialMessage(error, url),
      );
    });
    request.once("response", (response) => {
      const code = response.statusCode ?? 0;
      const { location } = response.headers;
      if (code >= 300 && code < 400 && location !== undefined) {
        response.destroy();
        const next = new URL(location, url);
        // Another host is somebody else's health.
        if (next.hostname !== url.hostname) resolve({ ok: true, output: "Probe terminated redirects" });
        else if (redirects >= MAX_REDIRECTS) fail("stopped after 10 redirects");
        else void fetchProbe(next, "GET", headers, timeoutMs, redirects + 1).then(resolve);
        return;
      }
      const ok = code >= 200 && code < 400;
      response.on("error", () => {});
      response.destroy();
      resolve({ ok, output: ok ? "" : `HTTP probe failed with statuscode: ${code}` });
    });
    request.end();
  });
}

function dialMessage(error: Error, url: URL): string {
  const code = (error as NodeJS.ErrnoException).code;
  const where = `${url.hostname}:${url.port || (url.protocol === "https:" ? "443" : "80")}`;
  if (code === "ECONNREFUSED") return `dial tcp ${where}: connect: connection refused`;
  if (code === "EHOSTUNREACH") return `dial tcp ${where}: connect: no route to host`;
  return code === "ECONNRESET" ? `read tcp ${where}: read: connection reset by peer` : error.message;
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (outcome: ProbeOutcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.once("connect", () => end({ ok: true, output: "" }));
    socket.once("timeout", () => end({ ok: false, output: `dial tcp ${bracketed(host)}:${port}: i/o timeout` }));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const what = error.code === "ECONNREFUSED" ? "connect: connection refused" : error.message;
      end({ ok: false, output: `dial tcp ${bracketed(host)}:${port}: ${what}` });
    });
  });
}

/** Runs a postStart or preStop hook; throws when it fails. */
export async function runHook(
  handler: LifecycleHandler,
  target: ProbeTarget,
  options: { readonly timeoutMs: number; readonly pause: (ms: number) => Promise<void> },
): Promise<void> {
  if (handler.exec !== undefined) {
    const cmd = handler.exec.command ?? [];
    const request = { containerId: target.containerId, cmd, timeout: 0 };
    const answer = await target.cri.call("ExecSync", request, { timeoutMs: options.timeoutMs });
    const exitCode = answer.exitCode ?? 0;
    if (exitCode !== 0) {
      const output = `${(answer.stdout ?? "").toString()}${(answer.stderr ?? "").toString()}`;
      throw new Error(`command '${cmd.join(" ")}' exited with ${exitCode}: ${output}`);
    }
  } else if (handler.httpGet !== undefined) {
    const outcome = await httpProbe(handler.httpGet, target, options.timeoutMs || 60_000, "kube-lifecycle/1.35");
    if (!outcome.ok && outcome.output.startsWith("Get ")) throw new Error(outcome.output);
  } else if (handler.sleep !== undefined) await options.pause(handler.sleep.seconds * 1000);
}
