import { once } from "node:events";
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { systemClock } from "@coracle/base";

/** Who to talk to, and as whom. */
export interface Target {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  readonly client: { readonly cert: string; readonly key: string };
}

/** A request as it goes out. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Buffer | undefined;
}

/** What came back. Code 0: the connection ended without an answer. */
export interface Reply {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const REPLY_WITHIN_MS = 60_000;

/** HTTP/2 to one server; opened anew when the server closes it. */
export class Connection {
  readonly #target: Target;
  #session: ClientHttp2Session;

  private constructor(target: Target, session: ClientHttp2Session) {
    this.#target = target;
    this.#session = session;
  }

  static async open(target: Target): Promise<Connection> {
    return new Connection(target, await openSession(target));
  }

  async send({ method, path, headers, body }: Call): Promise<Reply> {
    if (this.#session.closed || this.#session.destroyed) this.#session = await openSession(this.#target);
    const stream = this.#session.request(
      { ":method": method, ":path": path, accept: "application/json", "user-agent": "differential/1", ...headers },
      { endStream: body === undefined },
    );
    const limit = systemClock.after(REPLY_WITHIN_MS, () => stream.close());
    if (body !== undefined) stream.end(body);
    return new Promise((resolve) => {
      let answered: IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      stream.on("response", (given) => (answered = given));
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", () => {}); // told by the code
      stream.once("close", () => {
        limit[Symbol.dispose]();
        resolve({ code: Number(answered[":status"] ?? 0), headers: answered, body: Buffer.concat(chunks) });
      });
    });
  }

  close(): void {
    this.#session.destroy();
  }
}

async function openSession(target: Target): Promise<ClientHttp2Session> {
  const session = connect(target.url, {
    ca: target.ca,
    ...target.client,
    settings: { initialWindowSize: 4 * 1024 * 1024, enablePush: false },
  });
  session.on("error", () => {}); // requests fail by themselves
  await once(session, "connect");
  session.setLocalWindowSize(16 * 1024 * 1024);
  return session;
}
