import { Connection, type Target } from "../differential/connection.ts";

/** What the API server answered. */
export interface CallerAnswer {
  readonly code: number;
  /** The body, if it is JSON. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The message of a Status, else the body. */
  readonly message: string;
}

/** Whoever asks an API server of a test, over a connection of his own. */
export class ApiCaller implements Disposable {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(target: Target): Promise<ApiCaller> {
    return new ApiCaller(await Connection.open(target));
  }

  /** Objects go as JSON. Code 0: the connection ended without an answer. */
  async send(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<CallerAnswer> {
    const answer = await this.#connection.send({
      method,
      path,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    });
    const text = answer.body.toString("utf8");
    const parsed = parse(text);
    const { message } = parsed;
    return { code: answer.code, body: parsed, message: typeof message === "string" ? message : text };
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
