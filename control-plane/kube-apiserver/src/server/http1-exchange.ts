import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { badRequest, requestEntityTooLarge } from "@coracle/apimachinery";
import { collectBody, type BodyWriter, type Exchange, type Peer, type ResponseHeaders } from "./exchange.ts";
import { NodeStreamBody } from "./node-stream-body.ts";
import { WebSocketBody } from "./websocket-body.ts";

/** The raw connection of a request that asks to leave HTTP. */
export interface UpgradeSocket {
  readonly protocol: string;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** An HTTP/1.1 request as an exchange. */
export class Http1Exchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer: Peer;
  readonly upgrade: UpgradeSocket | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse | undefined;
  #abort: AbortController | undefined;
  #isStarted = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse | undefined,
    peer: Peer,
    upgrade: UpgradeSocket | undefined,
  ) {
    this.#request = request;
    this.#response = response;
    this.peer = peer;
    this.upgrade = upgrade;
    this.method = request.method ?? "GET";
    // A client may ask by the whole URL, as it would ask a proxy; which host it names means nothing here.
    const url = (request.url ?? "/").replace(/^https?:\/\/[^/?]*/i, "");
    const mark = url.indexOf("?");
    this.path = mark === -1 ? url : url.slice(0, mark);
    this.query = mark === -1 ? "" : url.slice(mark + 1);
    response?.on("error", () => {}); // the client is gone; "close" follows
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const controller = (this.#abort = new AbortController());
      const end: { once(event: "close", action: () => void): unknown } = this.#response ?? this.#request.socket;
      if (this.#request.socket.destroyed) controller.abort();
      else end.once("close", () => controller.abort());
    }
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  headers(): Readonly<Record<string, string | readonly string[] | undefined>> {
    return this.#request.headers;
  }

  headerValues(name: string): readonly string[] {
    return this.#request.headersDistinct[name] ?? [];
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const body = collectBody(this.#request, limitBytes, () => requestEntityTooLarge(limitBytes));
    const response = this.#response;
    if (response === undefined || this.#request.complete) return body;
    // A request that was answered before its body came would wait for it for ever.
    return new Promise((resolve, reject) => {
      const cutOff = (): void => reject(new DOMException("the client is gone", "AbortError"));
      response.once("close", cutOff);
      void body.then(resolve, reject).finally(() => response.removeListener("close", cutOff));
    });
  }

  bodyStream(): AsyncIterable<Buffer> {
    return this.#request;
  }

  status: number | undefined = undefined;
  sentBytes: number | undefined = undefined;

  get isStarted(): boolean {
    return this.#response?.headersSent ?? this.#isStarted;
  }

  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    const response = this.#response;
    if (response === undefined || !response.headersSent) this.status = status;
    if (response === undefined) {
      this.#sendRaw(status, headers, body);
      return;
    }
    if (response.destroyed || response.headersSent) return;
    if (body !== undefined) headers["content-length"] ??= body.length;
    else if (status !== 204 && status !== 304) headers["content-length"] ??= 0;
    // An unread body would be taken for the next request.
    if (!this.#request.complete) headers["connection"] = "close";
    response.writeHead(status, headers as Record<string, string>);
    if (this.method === "HEAD" || body === undefined) {
      response.end();
      return;
    }
    this.sentBytes = body.length;
    response.end(body);
  }

  /** Refuses an upgrade: an ordinary answer on the raw socket. */
  #sendRaw(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    const socket = this.upgrade!.socket;
    this.#isStarted = true;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nconnection: close\r\ncontent-length: ${body?.length ?? 0}\r\n`;
    for (const [name, value] of Object.entries(headers)) {
      for (const one of Array.isArray(value) ? (value as readonly string[]) : [value])
        head += `${name}: ${String(one)}\r\n`;
    }
    socket.write(`${head}\r\n`);
    // Nobody reads on: a client that leaves, or never does, would not be noticed.
    socket.resume();
    socket.once("finish", () => socket.destroy());
    socket.end(body ?? Buffer.alloc(0));
  }

  stream(status: number, headers: ResponseHeaders): BodyWriter {
    const response = this.#response;
    if (response === undefined) return this.#streamMessages(headers);
    if (response.headersSent) throw new DOMException("the request was answered already", "AbortError");
    this.status = status;
    response.writeHead(status, headers as Record<string, string>);
    response.flushHeaders();
    return new NodeStreamBody(response);
  }

  /** A body for a client that asked for messages. */
  #streamMessages(headers: ResponseHeaders): BodyWriter {
    const { socket, protocol } = this.upgrade!;
    if (protocol.toLowerCase() !== "websocket") throw badRequest(`a body cannot be sent by ${protocol}`);
    const key = this.header("sec-websocket-key") ?? "";
    if (key === "") throw badRequest("the header Sec-WebSocket-Key is missing");
    this.#isStarted = true;
    const protocols = this.header("sec-websocket-protocol") ?? "";
    return new WebSocketBody({ socket, key, protocols }, String(headers["content-type"] ?? ""));
  }
}
