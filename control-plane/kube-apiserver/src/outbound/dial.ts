import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { onAbort, type Clock } from "@coracle/base";
import { describeFailure, hostPort, OutboundError, type DialedAddress } from "./outbound-error.ts";
import type { Address } from "./service-resolver.ts";
import type { OutboundTarget } from "./target.ts";

const DIAL_TIMEOUT_MS = 30_000;

/**
 * Opens a connection to the target and verifies its certificate. Rejects with an OutboundError whose message says what
 * happened, without the request.
 */
export async function dial(
  target: OutboundTarget,
  clock: Clock,
  signal: AbortSignal | undefined,
  protocols: string[],
): Promise<Socket> {
  let at: Address;
  try {
    at = await target.locate();
  } catch (error) {
    throw new OutboundError("resolve", error instanceof Error ? error.message : String(error), { cause: error });
  }
  const dialed = { ...at, serverName: target.serverName, now: clock.now() };
  const isPlain = target.origin.startsWith("http://");
  return new Promise((resolve, reject) => {
    const socket = isPlain ? connectTcp(at.port, at.host) : connectTls(tlsOptions(target, at, protocols));
    const link =
      signal === undefined ? undefined : onAbort(signal, () => socket.destroy(signal.reason as Error | undefined));
    const timer = clock.after(DIAL_TIMEOUT_MS, () => {
      const why = `dial tcp ${hostPort(at.host, at.port)}: i/o timeout`;
      socket.destroy(new OutboundError("connect", why));
    });
    timer.unref();
    const fail = (error: Error): void => {
      timer[Symbol.dispose]();
      link?.[Symbol.dispose]();
      reject(error instanceof OutboundError ? error : describeFailure(error, dialed));
    };
    const end = (): void => fail(Object.assign(new Error("EOF"), { code: "ECONNRESET" }));
    socket.once("error", fail);
    socket.once("close", end);
    socket.once(isPlain ? "connect" : "secureConnect", () => {
      const refusal = isPlain ? undefined : refusalOf(socket as TLSSocket, target, dialed);
      if (refusal !== undefined) {
        fail(refusal);
        socket.destroy();
        return;
      }
      timer[Symbol.dispose]();
      link?.[Symbol.dispose]();
      socket.removeListener("error", fail);
      socket.removeListener("close", end);
      resolve(socket);
    });
  });
}

function tlsOptions(target: OutboundTarget, at: Address, protocols: string[]): ConnectionOptions {
  const { identity, ca } = target;
  return {
    host: at.host,
    port: at.port,
    ALPNProtocols: protocols,
    // Addresses are no server names.
    servername: isIP(target.serverName) === 0 ? target.serverName : "",
    ...(ca === undefined ? {} : { ca }),
    ...(identity?.cert === undefined ? {} : { cert: identity.cert }),
    ...(identity?.key === undefined ? {} : { key: identity.key }),
    // Verified below, where the certificate is at hand to say what is wrong with it.
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
  };
}

/** Why the peer is not the one that was meant. */
function refusalOf(socket: TLSSocket, target: OutboundTarget, at: DialedAddress): Error | undefined {
  if (target.insecureSkipTlsVerify === true) return undefined;
  const cert = socket.getPeerCertificate();
  // Upstream looks at dates, then at the authority, then at the name.
  const code = String(socket.authorizationError ?? "");
  if (code !== "" && code !== "ERR_TLS_CERT_ALTNAME_INVALID") return Object.assign(new Error(code), { code, cert });
  return checkServerIdentity(at.serverName, cert);
}
