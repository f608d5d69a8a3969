import type { Readable, Writable } from "node:stream";
import { loadEtcdCodec, openLineTable } from "@coracle/api";
import type { EtcdMessages } from "@coracle/api/etcd";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import type { CallContext, GrpcHandler, GrpcHandlers, ServerCall } from "../grpc/grpc-server.ts";
import type { HttpExchange } from "../server/client-listener.ts";
import { toStatus } from "../server/etcd-error.ts";
import { GATEWAY_PATHS } from "./gateway-paths.ts";
import { JsonForm } from "./json-form.ts";

const JSON_TYPE = "application/json";

/** Status codes of HTTP that stand for those of gRPC; others are 500. */
const HTTP_STATUS: Readonly<Record<number, number>> = {
  [grpcCode.canceled]: 499,
  [grpcCode.invalidArgument]: 400,
  [grpcCode.deadlineExceeded]: 504,
  [grpcCode.notFound]: 404,
  [grpcCode.alreadyExists]: 409,
  [grpcCode.permissionDenied]: 403,
  [grpcCode.resourceExhausted]: 429,
  [grpcCode.failedPrecondition]: 400,
  [grpcCode.aborted]: 409,
  [grpcCode.outOfRange]: 400,
  [grpcCode.unimplemented]: 501,
  [grpcCode.unavailable]: 503,
  [grpcCode.unauthenticated]: 401,
};

type Method = readonly [request: string, requestMode: string, response: string, responseMode: string];

/** The JSON gateway: each method of the API by a POST, streams as one JSON object a line. */
export class Gateway {
  readonly #handlers: GrpcHandlers;
  readonly #maxBytes: number;
  readonly #services = openLineTable("etcd");
  readonly #form = new JsonForm();

  constructor(handlers: GrpcHandlers, maxBytes: number) {
    this.#handlers = handlers;
    this.#maxBytes = maxBytes;
  }

  async serve(path: string, exchange: HttpExchange): Promise<void> {
    const [service = "", name = ""] = (GATEWAY_PATHS[path] ?? "").split("/");
    const handler = this.#handlers.get(`/${service}/${name}`);
    if (handler === undefined) {
      exchange.body.resume();
      fail(exchange, new GrpcError(grpcCode.notFound, "Not Found"));
      return;
    }
    if (exchange.method !== "POST") {
      exchange.body.resume();
      fail(exchange, new GrpcError(grpcCode.unimplemented, "Method Not Allowed"));
      return;
    }
    const method = (this.#services.entry("services", service) as Readonly<Record<string, Method>>)[name] as Method;
    const gone = new AbortController();
    exchange.onClose(() => gone.abort(new DOMException("the call is over", "AbortError")));
    const context: CallContext = {
      headers: exchange.headers,
      signal: gone.signal,
      peer: "",
      // The certificate of a gateway's client is that of nobody in particular, as etcd has it.
      certificateUser: undefined,
    };
    try {
      if (handler.type === "unary") await this.#unary(exchange, handler, method, context);
      else this.#stream(exchange, handler, method, context);
    } catch (error) {
      fail(exchange, toStatus(error));
    }
  }

  async #unary(
    exchange: HttpExchange,
    handler: GrpcHandler & { readonly type: "unary" },
    [request, , response]: Method,
    context: CallContext,
  ): Promise<void> {
    const message = this.#encode(request, parse(await this.#read(exchange.body)));
    const answer = await handler.handle(message, context);
    exchange.respond(200, JSON_TYPE).end(JSON.stringify(this.#decode(response, answer)));
  }

  #stream(
    exchange: HttpExchange,
    handler: GrpcHandler & { readonly type: "stream" },
    [request, , response]: Method,
    context: CallContext,
  ): void {
    let body: Writable | undefined;
    let isOver = false;
    const open = (): Writable => {
      body ??= exchange.respond(200, JSON_TYPE).on("drain", () => sink.drained?.());
      return body;
    };
    const call: ServerCall = {
      ...context,
      send: (bytes) => isOver || open().write(`${JSON.stringify({ result: this.#decode(response, bytes) })}\n`),
      end(error) {
        if (isOver) return;
        isOver = true;
        if (error === undefined) open().end();
        else if (body === undefined) fail(exchange, error);
        else body.end(`${JSON.stringify({ error: errorBody(error) })}\n`);
      },
    };
    const sink = handler.handle(call);
    const lines = new JsonLines(this.#maxBytes);
    const guard = (action: () => void): void => {
      try {
        if (!isOver) action();
      } catch (error) {
        call.end(toStatus(error));
      }
    };
    exchange.body.on("data", (chunk: Buffer) =>
      guard(() => lines.push(chunk).forEach((text) => sink.message(this.#encode(request, parse(text))))),
    );
    // The client of a watch has nothing more to say, and goes on listening.
    exchange.body.once("end", () => guard(() => request !== "etcdserverpb.WatchRequest" && sink.ended()));
  }

  async #read(body: Readable): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > this.#maxBytes) throw new GrpcError(grpcCode.invalidArgument, "etcdserver: request is too large");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  }

  #encode(message: string, json: unknown): Buffer {
    const value = this.#form.fromJson(message, json);
    return loadEtcdCodec().encode(message as keyof EtcdMessages, value as EtcdMessages[keyof EtcdMessages]);
  }

  #decode(message: string, bytes: Uint8Array): object {
    return this.#form.toJson(message, loadEtcdCodec().decode(message as keyof EtcdMessages, bytes));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text === "" ? "{}" : text);
  } catch (error) {
    throw new GrpcError(grpcCode.invalidArgument, error instanceof Error ? error.message : String(error));
  }
}

const errorBody = ({ code, message }: GrpcError): object => ({ code, message });

function fail(exchange: HttpExchange, error: GrpcError): void {
  exchange.respond(HTTP_STATUS[error.code] ?? 500, JSON_TYPE).end(JSON.stringify(errorBody(error)));
}

/** Cuts a body into the JSON objects that follow one another in it. */
class JsonLines {
  readonly #maxBytes: number;
  #text = "";
  #at = 0;
  #depth = 0;
  #isInText = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): string[] {
    // All that matters to the cuts is ASCII, and bytes survive this way.
    this.#text += chunk.toString("latin1");
    const found: string[] = [];
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at];
      if (this.#isInText) {
        if (char === "\\") this.#at++;
        else if (char === '"') this.#isInText = false;
      } else if (char === '"') this.#isInText = true;
      else if (char === "{") this.#depth++;
      else if (char === "}" && --this.#depth === 0) {
        found.push(Buffer.from(this.#text.slice(0, this.#at + 1), "latin1").toString());
        this.#text = this.#text.slice(this.#at + 1);
        this.#at = -1;
      } else if (this.#depth === 0 && !/\s/.test(char ?? "")) {
        throw new GrpcError(grpcCode.invalidArgument, `invalid character '${char}' looking for beginning of value`);
      }
    }
    if (this.#text.length > this.#maxBytes)
      throw new GrpcError(grpcCode.invalidArgument, "etcdserver: request is too large");
    return found;
  }
}
