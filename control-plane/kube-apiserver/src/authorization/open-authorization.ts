import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { Cleanup, type Clock, type Logger, type Random } from "@coracle/base";
import { nodeRules } from "../bootstrap/rbac-policy.ts";
import type { Features } from "../features.ts";
import { serverIdHash, type AccessMetrics } from "../authentication/access-metrics.ts";
import { joinErrors } from "../authentication/authenticator.ts";
import { watchFile } from "../files/watched-file.ts";
import { loadKubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import { createAbacAuthorizer, parsePolicyFile } from "./abac.ts";
import {
  nameProblems,
  readAuthorizationConfiguration,
  validateAuthorizers,
  type AuthorizerEntry,
  type WebhookAuthorizerEntry,
} from "./authorization-configuration.ts";
import { ALLOW, authorizerUnion, type Authorizer, type Decision } from "./authorizer.ts";
import { createNodeAuthorizer } from "./node.ts";
import { createRbacAuthorizer, type RbacAuthorizer } from "./rbac.ts";
import type { AuthorizationMode, AuthorizationSettings } from "./settings.ts";
import { createWebhookAuthorizer } from "./webhook.ts";

export interface AuthorizationDeps {
  readonly objects: RegistryReader;
  readonly registry: Registry;
  readonly outbound: OutboundClient;
  readonly features: Features;
  readonly metrics: AccessMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Who decides what users may do. */
export interface Authorization extends AsyncDisposable {
  /** Stays the same object when the configuration changes. */
  readonly authorizer: Authorizer;
  /** Undefined when roles do not count. */
  readonly rbac: RbacAuthorizer | undefined;
}

/** Members of system:masters are allowed everything. */
const mastersAuthorizer: Authorizer = {
  authorize: ({ user }) => (user.groups.includes("system:masters") ? ALLOW : { verdict: "noOpinion" }),
};

const alwaysAllow: Authorizer = {
  authorize: () => ALLOW,
  rulesFor: () => ({
    rules: [
      { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
      { verbs: ["*"], nonResourceURLs: ["*"] },
    ],
    isIncomplete: false,
    errors: [],
  }),
};

const alwaysDeny: Authorizer = {
  authorize: () => ({ verdict: "noOpinion", reason: "Everything is forbidden." }),
};

/** Counts the decisions that end the chain. */
function counted(entry: AuthorizerEntry, authorizer: Authorizer, metrics: AccessMetrics): Authorizer {
  const { name, type } = entry;
  const labels = { allow: { decision: "allowed", name, type }, deny: { decision: "denied", name, type } };
  const note = (decision: Decision): Decision => {
    const { verdict } = decision;
    if (verdict !== "noOpinion") metrics.count("apiserver_authorization_decisions_total", labels[verdict]);
    return decision;
  };
  return {
    authorize(attributes) {
      const decision = authorizer.authorize(attributes);
      return decision instanceof Promise ? decision.then(note) : note(decision);
    },
    ...(authorizer.rulesFor === undefined
      ? {}
      : { rulesFor: (user, namespace) => authorizer.rulesFor!(user, namespace) }),
  };
}

const RESULTS = {
  allowed: { result: "allowed" },
  denied: { result: "denied" },
  noOpinion: { result: "no-opinion" },
  error: { result: "error" },
};

/** Counts what became of a request. */
export function noteDecision(metrics: AccessMetrics, { verdict, error }: Decision, seconds: number): void {
  const otherwise = verdict === "deny" ? RESULTS.denied : RESULTS.noOpinion;
  const labels = verdict === "allow" ? RESULTS.allowed : error === undefined ? otherwise : RESULTS.error;
  metrics.count("authorization_attempts_total", labels);
  metrics.observe("authorization_duration_seconds", labels, seconds);
}

/** The chain that flags describe. */
function entriesOfModes(modes: readonly AuthorizationMode[], settings: AuthorizationSettings): AuthorizerEntry[] {
  return modes.map((mode) => {
    const { webhook } = settings;
    if (mode !== "Webhook" || webhook === undefined) return { type: mode, name: mode.toLowerCase() };
    const entry: WebhookAuthorizerEntry = {
      timeoutMs: 30_000,
      authorizedTtlMs: webhook.authorizedTtlMs,
      cachesAuthorized: webhook.authorizedTtlMs !== 0,
      unauthorizedTtlMs: webhook.unauthorizedTtlMs,
      cachesUnauthorized: webhook.unauthorizedTtlMs !== 0,
      version: webhook.version,
      matchConditionVersion: "",
      failurePolicy: "NoOpinion",
      connectionType: "KubeConfigFile",
      kubeconfigFile: webhook.kubeconfigFile,
      matchConditions: [],
    };
    return { type: "Webhook", name: "default", webhook: entry };
  });
}

/** Reads and judges an AuthorizationConfiguration. Throws with all that is wrong. */
async function loadChain(content: string, mustHave: ReadonlySet<string>): Promise<readonly AuthorizerEntry[]> {
  const entries = await readAuthorizationConfiguration(content).catch((error: unknown) => {
    throw new Error(`failed to load AuthorizationConfiguration from file: ${(error as Error).message}`, {
      cause: error,
    });
  });
  const hasConditions = entries.some(({ webhook }) => (webhook?.matchConditions.length ?? 0) > 0);
  const compile = hasConditions ? (await import("./match-conditions.ts")).conditionProblem : () => undefined;
  const errors = validateAuthorizers(entries, compile);
  if (errors.length > 0) throw joinErrors(errors.map(({ field, message }) => `${field}: ${message}`));
  const problems = nameProblems(entries, mustHave);
  if (problems.length > 0) throw joinErrors(problems);
  return entries;
}

/** Puts the chain of authorisers together, and again when its file changes. Throws when it is misconfigured. */
export async function openAuthorization(
  modes: readonly AuthorizationMode[],
  settings: AuthorizationSettings,
  deps: AuthorizationDeps,
): Promise<Authorization> {
  const { objects, registry, metrics, clock, logger } = deps;
  const cleanup = new Cleanup();
  const { configFile, policyFile } = settings;
  const content = configFile === undefined ? undefined : readFileSync(configFile, "utf8");
  const entries = content === undefined ? entriesOfModes(modes, settings) : await loadChain(content, new Set<string>());
  const has = (type: AuthorizationMode): boolean => entries.some((entry) => entry.type === type);

  // These stand as long as the server runs, whatever the file says later.
  const rbac = has("RBAC") ? cleanup.use(createRbacAuthorizer(registry)) : undefined;
  const node = has("Node") ? createNodeAuthorizer(objects, nodeRules(deps.features)) : undefined;
  const abac =
    has("ABAC") && policyFile !== undefined
      ? createAbacAuthorizer(parsePolicyFile(readFileSync(policyFile, "utf8"), policyFile))
      : undefined;
  const lasting: Partial<Record<string, Authorizer | undefined>> = {
    RBAC: rbac,
    Node: node,
    ABAC: abac,
    AlwaysAllow: alwaysAllow,
    AlwaysDeny: alwaysDeny,
  };

  async function openWebhook(name: string, entry: WebhookAuthorizerEntry): Promise<Authorizer> {
    const { kubeconfigFile, matchConditions } = entry;
    if (kubeconfigFile === undefined) throw new Error(`authorizer ${name}: connectionInfo needs a kubeConfigFile here`);
    if (entry.version !== "v1" && entry.version !== "v1beta1") {
      throw new Error(
        `unsupported authorization webhook version ${JSON.stringify(entry.version)}, supported versions are "v1", "v1beta1"`,
      );
    }
    const matcher =
      matchConditions.length === 0
        ? undefined
        : (await import("./match-conditions.ts")).createReviewMatcher(matchConditions);
    return createWebhookAuthorizer({
      name,
      version: entry.version,
      authorizedTtlMs: entry.cachesAuthorized ? entry.authorizedTtlMs : 0,
      unauthorizedTtlMs: entry.cachesUnauthorized ? entry.unauthorizedTtlMs : 0,
      verdictOnError: entry.failurePolicy === "Deny" ? "deny" : "noOpinion",
      matches: matcher,
      webhook: await loadKubeconfigWebhook({
        client: deps.outbound,
        file: kubeconfigFile,
        clock,
        random: deps.random,
        timeoutMs: entry.timeoutMs,
      }),
      clock,
      logger,
      metrics,
    });
  }

  async function build(chain: readonly AuthorizerEntry[]): Promise<Authorizer> {
    const authorizers: Authorizer[] = [mastersAuthorizer];
    for (const entry of chain) {
      const authorizer =
        entry.webhook === undefined ? lasting[entry.type] : await openWebhook(entry.name, entry.webhook);
      if (authorizer === undefined) {
        throw new Error(`authorizer type ${entry.type} is not allowed if it was not enabled at initial server startup`);
      }
      authorizers.push(counted(entry, authorizer, metrics));
    }
    return authorizerUnion(authorizers);
  }

  try {
    let current = await build(entries);
    if (configFile !== undefined && content !== undefined) {
      const labels = { apiserver_id_hash: serverIdHash() };
      const prefix = "apiserver_authorization_config_controller";
      const noteConfig = (text: string): void => {
        const hash = `sha256:${createHash("sha256").update(text).digest("hex")}`;
        metrics.set(`${prefix}_last_config_info`, { ...labels, hash }, 1, true);
      };
      const noteReload = (status: "success" | "failure"): void => {
        metrics.count(`${prefix}_automatic_reloads_total`, { ...labels, status });
        const seconds = clock.now() / 1000;
        metrics.set(`${prefix}_automatic_reload_last_timestamp_seconds`, { ...labels, status }, seconds);
      };
      const mustHave = new Set(entries.map(({ type }) => type).filter((type) => type !== "Webhook"));
      noteConfig(content);
      cleanup.use(
        watchFile({
          path: configFile,
          logger,
          initial: content,
          async onChange(text) {
            current = await build(await loadChain(text, mustHave));
            noteConfig(text);
            noteReload("success");
          },
          onFailure: () => noteReload("failure"),
        }),
      );
    }
    return {
      rbac,
      authorizer: {
        authorize: (attributes) => current.authorize(attributes),
        rulesFor: (user, namespace) => current.rulesFor!(user, namespace),
      },
      [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}
