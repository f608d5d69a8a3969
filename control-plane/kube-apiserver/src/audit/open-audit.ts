import { readFile } from "node:fs/promises";
import { internalError } from "@coracle/apimachinery";
import type { Clock, Logger, Random } from "@coracle/base";
import type { AccessMetrics } from "../authentication/access-metrics.ts";
import { attributesOf } from "../authorization/authorizer.ts";
import { loadKubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { ApiRequest } from "../server/api-request.ts";
import { AuditedRequest } from "./audited-request.ts";
import { createDelivery, type AuditBackend, type AuditDelivery, type DeliveryDeps } from "./delivery.ts";
import { encodeEventList, type AuditEvent } from "./event.ts";
import { createAuditLog } from "./log-file.ts";
import { readAuditPolicy } from "./policy.ts";
import type { AuditSettings, AuditWebhookSettings } from "./settings.ts";

/** Records requests, as a policy says. */
export interface Audit extends AsyncDisposable {
  /** Who asks is known by now. Throws when the event had to be stored and was not. */
  begin(request: ApiRequest): void | Promise<void>;
  /** Nobody could be found who asks: the answer will say so. */
  refuse(request: ApiRequest): void;
}

export interface AuditDeps {
  readonly outbound: OutboundClient;
  readonly metrics: AccessMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const RETRY = { factor: 1.5, jitter: 0.2, steps: 5 };

async function openWebhook(settings: AuditWebhookSettings, deps: AuditDeps): Promise<AuditBackend> {
  const webhook = await loadKubeconfigWebhook({
    client: deps.outbound,
    file: settings.kubeconfigFile,
    clock: deps.clock,
    random: deps.random,
    retry: { initialMs: settings.initialBackoffMs, ...RETRY },
    ignoresAnswer: true,
  });
  return {
    name: "webhook",
    async write(events) {
      await webhook.post(JSON.parse(encodeEventList(events)));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** What a client tried to prove itself by. */
function attempts({ exchange, query }: ApiRequest): string {
  const [scheme = "", token] = (exchange.header("authorization") ?? "").trim().split(" ");
  const tried = [
    ...(scheme.toLowerCase() === "basic" ? ["basic"] : []),
    ...(scheme.toLowerCase() === "bearer" && token !== undefined ? ["bearer"] : []),
    ...((query.get("access_token") ?? "").trim() === "" ? [] : ["access_token"]),
    ...(exchange.peer.certificates.length > 0 ? ["x509"] : []),
  ];
  if (tried.length === 0) return "Authentication failed, no credentials provided";
  return `Authentication failed, attempted: ${tried.join(", ")}`;
}

/** Reads the policy and opens where events go. Undefined: they would go nowhere. Throws when a file cannot be used. */
export async function openAudit(settings: AuditSettings, deps: AuditDeps): Promise<Audit | undefined> {
  const { clock, logger, metrics } = deps;
  const { policyFile } = settings;
  const policy = await readFile(policyFile, "utf8")
    .then((text) => readAuditPolicy(text, (message) => logger.error(message)))
    .catch((error: unknown) => {
      throw new Error(`loading audit policy file: ${(error as Error).message}: from file ${policyFile}`, {
        cause: error,
      });
    });
  const delivery: DeliveryDeps = {
    clock,
    logger,
    onLost(plugin, count) {
      for (let i = 0; i < count; i++) metrics.count("apiserver_audit_error_total", { plugin });
    },
  };
  const deliveries: AuditDelivery[] = [];
  if (settings.log !== undefined) {
    deliveries.push(createDelivery(createAuditLog(settings.log, deps), settings.log.delivery, delivery));
  }
  if (settings.webhook !== undefined) {
    deliveries.push(createDelivery(await openWebhook(settings.webhook, deps), settings.webhook.delivery, delivery));
  }
  if (deliveries.length === 0) return undefined;

  const sink = (events: readonly AuditEvent[]): boolean | Promise<boolean> => {
    metrics.count("apiserver_audit_event_total");
    const results = deliveries.map((one) => one.take(events));
    if (!results.some((result) => result instanceof Promise)) return !results.includes(false);
    return Promise.all(results.map((result) => Promise.resolve(result))).then((all) => !all.includes(false));
  };
  // What blocks, blocks the last event, too: whoever has an answer can read in the log what he asked.
  const isHolding = [settings.log, settings.webhook].some((one) => one !== undefined && one.delivery.mode !== "batch");
  const underWay = new Set<Promise<void>>();
  const follow = (work: Promise<void>): void => {
    const settled = work
      .catch((error: unknown) => logger.error("a request was not recorded to its end", { error }))
      .finally(() => underWay.delete(settled));
    underWay.add(settled);
  };
  const open = (request: ApiRequest): AuditedRequest | undefined => {
    const verdict = policy.verdict(attributesOf(request.user, request.info, request.query));
    metrics.count("apiserver_audit_level_total", { level: verdict.level });
    if (verdict.level === "None") return undefined;
    return new AuditedRequest(request, verdict, sink, clock, isHolding);
  };
  const stored = (isStored: boolean): void => {
    if (isStored) return;
    metrics.count("apiserver_audit_requests_rejected_total");
    throw internalError("failed to store audit event");
  };

  return {
    begin(request) {
      const audited = open(request);
      if (audited === undefined) return undefined;
      request.audited = audited;
      audited.attach();
      request.onFinish.push(() => follow(audited.finish()));
      const result = audited.process("RequestReceived");
      if (result instanceof Promise) return result.then(stored);
      stored(result);
      return undefined;
    },
    refuse(request) {
      const audited = open(request);
      if (audited === undefined) return;
      audited.attachRefused({ message: attempts(request) });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(underWay);
      for (const one of deliveries) await one[Symbol.asyncDispose]();
    },
  };
}
