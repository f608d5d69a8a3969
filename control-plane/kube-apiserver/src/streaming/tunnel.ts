import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { badRequest, statusError } from "@coracle/apimachinery";
import { onAbort } from "@coracle/base";
import type { ApiRequest } from "../server/api-request.ts";
import {
  dialErrorText,
  dialTimeout,
  forwardedHeaders,
  tlsOptions,
  type Backend,
  type ForwardedHeaders,
} from "./backend.ts";

const DIAL_TIMEOUT_MS = 30_000;
const MAX_HEAD_BYTES = 1 << 20;

/** Something between here and a backend broke: a failure without a reason of the API's own. */
const failure = (message: string): Error => statusError("", message);

/** Opens a connection, TLS included. Rejects with a StatusError. */
export function dialBackend(backend: Backend): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const { host, port } = backend;
    const socket = backend.isTls
      ? connectTls({ host, port, ALPNProtocols: ["http/1.1"], ...tlsOptions(backend) }, () => settle())
      : connectTcp({ host, port }, () => settle());
    const fail = (error: Error): void => {
      socket.destroy();
      reject(failure(`error dialing backend: ${dialErrorText(error, backend)}`));
    };
    const expire = (): void => fail(dialTimeout(backend));
    socket.once("error", fail);
    socket.setTimeout(DIAL_TIMEOUT_MS, expire);
    function settle(): void {
      socket.removeListener("error", fail);
      // Whoever uses the connection sees it closed; an error that nobody happens to wait for must not end the process.
      socket.on("error", () => {});
      socket.setTimeout(0);
      socket.removeListener("timeout", expire);
      socket.setNoDelay(true);
      resolve(socket);
    }
  });
}

/** The head of an HTTP/1.1 request as it goes over the wire. */
export function requestHead(method: string, path: string, headers: ForwardedHeaders): string {
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    for (const one of typeof value === "string" ? [value] : value) head += `${name}: ${one}\r\n`;
  }
  return `${head}\r\n`;
}

/** What a backend answered to an upgrade request: the head's bytes, and what of the new protocol came with them. */
export interface UpgradeAnswer {
  readonly status: number;
  readonly head: Buffer;
  readonly rest: Buffer;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Reads the head of the answer. Rejects when the connection ends before. */
export function readUpgradeAnswer(socket: Duplex): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const done = (action: () => void): void => {
      socket.removeListener("data", onData);
      socket.removeListener("end", onEnd);
      socket.removeListener("close", onEnd);
      socket.removeListener("error", onEnd);
      action();
    };
    const onEnd = (): void => done(() => reject(failure("unexpected EOF")));
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) {
        if (bytes.length > MAX_HEAD_BYTES) done(() => reject(failure("header size limit exceeded")));
        return;
      }
      socket.pause();
      const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
      const headers = new Map(
        lines.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      const [head, rest] = [bytes.subarray(0, end + 4), bytes.subarray(end + 4)];
      if (Number.isNaN(status)) done(() => reject(failure(`malformed HTTP response ${JSON.stringify(first)}`)));
      else done(() => resolve({ status, head, rest, headers }));
    };
    socket.on("data", onData);
    socket.once("end", onEnd);
    socket.once("close", onEnd);
    socket.once("error", onEnd);
  });
}

/** A backend that was asked to switch protocols, and what it said. */
export interface DialedUpgrade {
  readonly socket: Duplex;
  readonly answer: UpgradeAnswer;
}

/**
 * Asks a backend to switch protocols with the given request. The caller owns the connection. When the signal aborts
 * before there is an answer, nobody waits for one any longer.
 */
export async function dialUpgrade(
  backend: Backend,
  method: string,
  headers: ForwardedHeaders,
  signal?: AbortSignal,
): Promise<DialedUpgrade> {
  const socket = await dialBackend(backend);
  using _link = signal === undefined ? undefined : onAbort(signal, () => socket.destroy());
  // Names of users are UTF-8 in Latin-1 clothes already.
  socket.write(requestHead(method, backend.path, headers), "latin1");
  try {
    const answer = await readUpgradeAnswer(socket);
    if (answer.status !== 101 && answer.status < 400)
      throw failure(`invalid upgrade response: status code ${answer.status}`);
    return { socket, answer };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/**
 * Hands a backend's answer to the client as it came, and from then on every byte both ways, until both have closed.
 * `early` is what the client sent right behind its request. While the backend still speaks HTTP it gets none of the
 * client's bytes: it would read them as one more request of this server's.
 */
export async function joinUpgrade(
  { socket: client, head: early }: { readonly socket: Duplex; readonly head: Buffer },
  { socket, answer }: DialedUpgrade,
): Promise<void> {
  client.write(answer.head);
  if (answer.rest.length > 0) client.write(answer.rest);
  if (answer.status !== 101) {
    // A refusal ends with its body; its connection is of no further use.
    socket.end();
    client.resume();
    client.once("close", () => socket.destroy());
    await pipeline(socket, client).catch(() => undefined);
    client.destroy();
    return;
  }
  const { joinConnections } = await import("@coracle/client/streaming");
  if (early.length > 0) socket.write(early);
  await joinConnections(client, socket);
}

/**
 * Joins an upgrade request to the backend byte by byte: whatever protocol the two agree on, this server does not
 * look at it. Resolves when both ends have closed.
 */
export async function tunnelUpgrade(request: ApiRequest, backend: Backend): Promise<void> {
  const { upgrade, method } = request.exchange;
  if (upgrade === undefined) throw badRequest("Upgrade request required");
  const dialed = await dialUpgrade(backend, method, forwardedHeaders(request, backend), request.signal);
  await joinUpgrade(upgrade, dialed);
}
