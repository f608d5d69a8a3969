import { createSecureServer } from "node:http2";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createAuthority, type CertificateAuthority } from "@coracle/pki";

const DAY_MS = 86_400_000;
const VALID = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };

/** An authority for tests, one for all of them. */
export const testAuthority: CertificateAuthority = createAuthority({ subject: { commonName: "tests" }, ...VALID });

/** The authority as `caBundle` says it. */
export const testCaBundle: string = Buffer.from(testAuthority.cert).toString("base64");

/** A certificate for clients. */
export const testClient = testAuthority.issue({
  subject: { commonName: "system:apiserver-client" },
  usages: ["client"],
  ...VALID,
});

/** A request as the peer saw it. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly httpVersion: string;
  /** Common name of the client's certificate. */
  readonly client: string | undefined;
}

/** Answers with status, headers and body; or takes the response itself. */
export type PeerBehaviour = (
  seen: SeenRequest,
  response: ServerResponse,
) =>
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body: string | Buffer }
  | undefined
  | void
  | Promise<{ readonly status?: number; readonly headers?: Record<string, string>; readonly body: string | Buffer }>;

/** A real HTTPS server on loopback. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly seen: SeenRequest[];
  behave: PeerBehaviour;
  /** Connections accepted so far. */
  readonly connections: number;
}

export interface PeerOptions {
  readonly names?: readonly string[];
  readonly notAfter?: number;
  readonly authority?: CertificateAuthority;
  readonly http2?: boolean;
}

/** Starts one. */
export async function startPeer(behave: PeerBehaviour, options: PeerOptions = {}): Promise<Peer> {
  const { names = ["127.0.0.1", "localhost"], authority = testAuthority } = options;
  const { cert, key } = authority.issue({
    subject: { commonName: "peer" },
    usages: ["server"],
    names,
    notBefore: VALID.notBefore,
    notAfter: options.notAfter ?? VALID.notAfter,
  });
  const seen: SeenRequest[] = [];
  let connections = 0;
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      void (async () => {
        const socket = request.socket as unknown as { getPeerCertificate?(): { subject?: { CN?: string } } };
        const one: SeenRequest = {
          path: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(parts).toString("utf8"),
          httpVersion: request.httpVersion,
          client: socket.getPeerCertificate?.().subject?.CN,
        };
        seen.push(one);
        const answer = await peer.behave(one, response);
        if (answer === undefined) return;
        response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
        response.end(answer.body);
      })();
    });
  };
  const tls = { cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: false };
  const server: Server =
    options.http2 === true
      ? (createSecureServer({ ...tls, allowHTTP1: true }, handler as never) as unknown as Server)
      : createServer(tls, handler);
  const sockets = new Set<{ destroy(): void }>();
  server.on("secureConnection", (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const peer: Peer = {
    port,
    url: `https://127.0.0.1:${port}`,
    seen,
    behave,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return peer;
}
