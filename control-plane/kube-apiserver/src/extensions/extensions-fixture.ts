import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom, type Logger } from "@coracle/base";
import type { Transport, TransportResponse } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki } from "@coracle/pki";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

/** An answer, parsed. */
export interface Reply {
  readonly status: number;
  readonly headers: TransportResponse["headers"];
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** A running watch: the events so far, and whether it has ended. */
export interface RunningWatch extends Disposable {
  readonly events: readonly { readonly type: string; readonly object: Record<string, unknown> }[];
  readonly ended: Promise<void>;
}

/** A server over a memory store, asked as its administrator without a socket. */
export interface ExtensionsFixture extends AsyncDisposable {
  readonly store: Store;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  watch(path: string): Promise<RunningWatch>;
  /** Polls until `attempt` answers something. */
  until<T>(what: string, attempt: () => Promise<T | undefined | false> | T | undefined | false): Promise<T>;
  /** Creates a definition and waits until it is established. */
  establish(crd: object): Promise<Record<string, unknown>>;
  /** Another server over the same store takes its place. */
  restart(): Promise<void>;
}

const LIMIT_MS = 60_000;
const STEP_MS = 5;
const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Whether a condition of the object is true. */
export function holds(object: Record<string, unknown>, type: string): boolean {
  const { conditions } = (object["status"] ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  return conditions?.some((one) => one.type === type && one.status === "True") === true;
}

/** Opens one. */
export async function openExtensionsFixture(logger: Logger = silentLogger): Promise<ExtensionsFixture> {
  const dir = mkdtempSync(join(tmpdir(), "cor-extensions-"));
  const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: systemClock.now() });
  const store = createMemoryStore({ clock: systemClock });
  const start = (): Promise<RunningApiServer> =>
    startApiServer({
      config: {
        serviceClusterIpRanges: ["10.0.0.0/24"],
        serviceNodePortRange: "30000-32767",
        advertiseAddress: "192.0.2.1",
        authorizationModes: ["RBAC"],
        anonymousAuth: true,
        clientCa: pki.ca.cert,
        serviceAccounts: {
          issuers: ["https://kubernetes.default.svc.cluster.local"],
          signingKey: pki.serviceAccountKey,
          extendTokenExpiration: true,
        },
        maxRequestsInflight: 400,
        maxMutatingRequestsInflight: 200,
        minRequestTimeoutSeconds: 1800,
        admission: { enable: [], disable: [] },
      },
      store,
      clock: systemClock,
      random: systemRandom,
      logger,
    });
  let server = await start();
  let admin: Transport = server.transport({ clientCertificate: pki.client("admin").cert });

  const call: ExtensionsFixture["call"] = async (method, path, body, headers = {}) => {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await admin.request({
      method,
      path,
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }), ...headers },
      body: body === undefined ? undefined : Buffer.from(text),
    });
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const whole = Buffer.concat(chunks).toString();
    let json: Record<string, unknown> = {};
    try {
      json = JSON.parse(whole) as Record<string, unknown>;
    } catch {
      // Not every answer is JSON.
    }
    return { status: answer.status, headers: answer.headers, text: whole, json };
  };

  const until: ExtensionsFixture["until"] = async (what, attempt) => {
    const end = systemClock.monotonicMs() + LIMIT_MS;
    for (;;) {
      const found = await attempt();
      if (found !== undefined && found !== false) return found;
      if (systemClock.monotonicMs() > end) throw new Error(`waited in vain: ${what}`);
      await new Promise<void>((resolve) => void systemClock.after(STEP_MS, resolve));
    }
  };

  return {
    store,
    call,
    until,
    async watch(path) {
      const stop = new AbortController();
      const answer = await admin.request({
        method: "GET",
        path,
        headers: { accept: "application/json" },
        body: undefined,
        signal: stop.signal,
      });
      const events: { type: string; object: Record<string, unknown> }[] = [];
      const ended = (async () => {
        let rest = "";
        try {
          for await (const chunk of answer.body) {
            const lines = (rest + String(chunk)).split("\n");
            rest = lines.pop() ?? "";
            for (const line of lines) events.push(JSON.parse(line) as (typeof events)[number]);
          }
        } catch (error) {
          if (!stop.signal.aborted) throw error;
        }
      })();
      return { events, ended, [Symbol.dispose]: () => stop.abort() };
    },
    async establish(crd) {
      const made = await call("POST", DEFINITIONS, crd);
      if (made.status !== 201) throw new Error(made.text);
      const { name } = made.json["metadata"] as { name: string };
      return until(`${name} is established`, async () => {
        const { json } = await call("GET", `${DEFINITIONS}/${name}`);
        return holds(json, "Established") ? json : undefined;
      });
    },
    async restart() {
      await server[Symbol.asyncDispose]();
      server = await start();
      admin = server.transport({ clientCertificate: pki.client("admin").cert });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
    },
  };
}
