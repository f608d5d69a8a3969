import { readFileSync } from "node:fs";
import { sleep, type Clock, type Random } from "@coracle/base";
import { isStatusError, type JsonObject } from "@coracle/apimachinery";
import { loadKubeconfig } from "@coracle/client";
import { OutboundError } from "./outbound-error.ts";
import type { OutboundClient } from "./outbound-client.ts";
import { postObject } from "./rest-call.ts";
import { loadIdentities } from "./client-identity.ts";
import type { OutboundTarget } from "./target.ts";

/** How often a call is repeated after failures that may pass. */
export interface RetryPolicy {
  readonly initialMs: number;
  readonly factor: number;
  /** Up to this part of a wait is added at random. */
  readonly jitter: number;
  /** Tries in all. */
  readonly steps: number;
}

/** Upstream's default: 5 tries from 500 ms on. */
export const DEFAULT_RETRY: RetryPolicy = { initialMs: 500, factor: 1.5, jitter: 0.2, steps: 5 };

/** A webhook that a kubeconfig file describes: for tokens, access reviews, audit events, images. */
export interface KubeconfigWebhook {
  /** Posts an object and resolves with the answer. Throws as `postObject` does, after its last try. */
  post(body: unknown, signal?: AbortSignal): Promise<JsonObject>;
}

export interface KubeconfigWebhookOptions {
  readonly client: OutboundClient;
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly retry?: RetryPolicy | undefined;
  /** What comes back is of no interest, and may be nothing. */
  readonly ignoresAnswer?: boolean | undefined;
  /** Of one try. Absent: 30 s. */
  readonly timeoutMs?: number | undefined;
}

const TIMEOUT_MS = 30_000;

const PASSING_REASONS: ReadonlySet<string> = new Set(["InternalError", "Timeout", "TooManyRequests"]);

/** A failure that may pass by itself. */
export function isPassing(error: unknown): boolean {
  if (error instanceof OutboundError) return error.failure === "broken";
  if (!isStatusError(error)) return false;
  const { reason, details } = error.status;
  return PASSING_REASONS.has(reason ?? "") || (details?.retryAfterSeconds ?? 0) > 0;
}

/** Reads the kubeconfig and the certificates it names once; tokens in files are read when they are used. */
export async function loadKubeconfigWebhook(options: KubeconfigWebhookOptions): Promise<KubeconfigWebhook> {
  const { client, file, clock, random, retry = DEFAULT_RETRY } = options;
  const config = await loadKubeconfig(file);
  const url = new URL(config.server);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "http:" ? 80 : 443) : Number(url.port);
  const { token, tokenFile } = config;
  const basic = (await loadIdentities(file))("")?.authorization;
  const target: OutboundTarget = {
    origin: url.origin,
    path: url.pathname.replace(/\/$/, ""),
    locate: () => ({ host, port }),
    serverName: config.serverName ?? host,
    ca: config.ca,
    insecureSkipTlsVerify: config.insecureSkipTlsVerify,
    identity: {
      cert: config.cert,
      key: config.key,
      authorization:
        tokenFile !== undefined
          ? () => `Bearer ${readFileSync(tokenFile, "utf8").trim()}`
          : token !== undefined && token !== ""
            ? () => `Bearer ${token}`
            : basic,
    },
    mayHttp2: url.protocol === "https:",
  };
  return {
    async post(body, signal) {
      let waitMs = retry.initialMs;
      for (let tries = 1; ; tries++) {
        try {
          return await postObject(client, target, {
            body,
            ignoresAnswer: options.ignoresAnswer,
            silentTimeoutMs: options.timeoutMs ?? TIMEOUT_MS,
            signal,
          });
        } catch (error) {
          if (tries >= retry.steps || !isPassing(error) || signal?.aborted === true) throw error;
        }
        await sleep(clock, waitMs * (1 + random.next() * retry.jitter), signal);
        waitMs *= retry.factor;
      }
    },
  };
}
