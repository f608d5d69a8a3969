import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";

/** Who to talk to, and as whom. */
export interface Target {
  readonly url: string;
  /** PEM; `""`: whatever certificate the server shows. */
  readonly ca: string;
  readonly token?: string;
  readonly client?: { readonly cert: string; readonly key: string };
}

export interface ApiCall {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  /** Absent: JSON. */
  readonly accept?: string | undefined;
}

/** One HTTP/2 connection to an API server. */
export class ApiConnection {
  readonly #session: ClientHttp2Session;
  readonly #authorization: Readonly<Record<string, string>>;

  private constructor(session: ClientHttp2Session, target: Target) {
    this.#session = session;
    this.#authorization = target.token === undefined ? {} : { authorization: `Bearer ${target.token}` };
  }

  static async open(target: Target): Promise<ApiConnection> {
    const session = connect(target.url, {
      ca: target.ca,
      ...target.client,
      rejectUnauthorized: target.ca !== "",
      settings: { initialWindowSize: 16 * 1024 * 1024, enablePush: false },
    });
    await once(session, "connect");
    session.setLocalWindowSize(64 * 1024 * 1024);
    session.on("error", () => {}); // requests fail by themselves
    return new ApiConnection(session, target);
  }

  start({
    method,
    path,
    body,
    contentType = "application/json",
    accept = "application/json",
  }: ApiCall): ClientHttp2Stream {
    const stream = this.#session.request(
      {
        ":method": method,
        ":path": path,
        accept,
        ...this.#authorization,
        ...(body === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(body) }),
      },
      { endStream: body === undefined },
    );
    if (body !== undefined) stream.end(body);
    return stream;
  }

  /** Makes a request and throws the answer away; its status. */
  send(call: ApiCall): Promise<number> {
    const stream = this.start(call);
    return new Promise((resolve, reject) => {
      let status = 0;
      stream.on("response", (headers) => (status = headers[":status"] ?? 0));
      stream.on("data", () => {});
      stream.once("error", reject);
      stream.once("end", () => resolve(status));
    });
  }

  /** Makes a request; what was answered, success or not. */
  async answerOf(call: ApiCall): Promise<{ readonly status: number; readonly text: string }> {
    const stream = this.start(call);
    let status = 0;
    stream.on("response", (headers) => (status = headers[":status"] ?? 0));
    let text = "";
    stream.setEncoding("utf8");
    for await (const chunk of stream) text += chunk as string;
    return { status, text };
  }

  /** Makes a request; throws unless it succeeds. */
  async request(call: ApiCall): Promise<string> {
    const { status, text } = await this.answerOf(call);
    if (status >= 300) throw new Error(`${call.method} ${call.path}: ${status} ${text.slice(0, 300)}`);
    return text;
  }

  get isOpen(): boolean {
    return !this.#session.destroyed;
  }

  close(): void {
    this.#session.destroy();
  }
}
