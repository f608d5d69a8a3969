import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { TaskScope, sleep, isAbort, type Clock, type Logger } from "@coracle/base";
import { watchFile } from "../../files/watched-file.ts";
import type { OutboundClient } from "../../outbound/outbound-client.ts";
import { serverIdHash, type AccessMetrics } from "../access-metrics.ts";
import { joinErrors, type TokenAuthenticator } from "../authenticator.ts";
import type { AuthenticationSettings } from "../settings.ts";
import {
  anonymousChanged,
  configurationOfFlags,
  hasExpressions,
  readAuthenticationConfiguration,
  validateAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from "./authentication-configuration.ts";
import { createJwtAuthenticator, type JwtAuthenticator } from "./jwt-authenticator.ts";

const ALGORITHMS = ["ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
/** How long the providers of a changed file may take to answer before the change is given up. */
const UPDATE_TIMEOUT_MS = 60_000;
/** How long requests that began before a change may still ask. */
const OLD_LIFE_MS = 60_000;

export interface OpenJwtDeps {
  /** The server's own issuers, which no provider may claim to be. */
  readonly ownIssuers: readonly string[];
  readonly client: OutboundClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AccessMetrics;
}

/** OpenID tokens, and what the configuration file says about requests without any proof. */
export interface OpenedJwt extends AsyncDisposable {
  readonly tokens: TokenAuthenticator;
  readonly anonymous: AuthenticationConfiguration["anonymous"];
}

async function check(config: AuthenticationConfiguration, ownIssuers: readonly string[]): Promise<string[]> {
  const checkExpression = hasExpressions(config) ? (await import("./expressions.ts")).checkExpression : () => undefined;
  const errors = validateAuthenticationConfiguration(config, ownIssuers, checkExpression);
  return errors.map(({ field, message }) => `${field}: ${message}`);
}

/** Opens what flags or the file configure; undefined when they configure nothing. Throws when it is misconfigured. */
export async function openJwt(settings: AuthenticationSettings, deps: OpenJwtDeps): Promise<OpenedJwt | undefined> {
  const { clock, logger, metrics } = deps;
  const { configFile, openId } = settings;
  if (configFile === undefined && openId === undefined) return undefined;
  const content = configFile === undefined ? undefined : readFileSync(configFile, "utf8");
  const load = async (text: string): Promise<AuthenticationConfiguration> => {
    try {
      return await readAuthenticationConfiguration(text);
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(`failed to load authentication configuration from file ${JSON.stringify(configFile)}: ${why}`, {
        cause: error,
      });
    }
  };
  const initial = content === undefined ? configurationOfFlags(openId!) : await load(content);
  if (initial.anonymous !== undefined && settings.anonymousIsSet === true) {
    throw new Error(
      "anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
    );
  }
  const problems = await check(initial, deps.ownIssuers);
  if (problems.length > 0) throw new Error(`invalid authentication configuration: ${joinErrors(problems).message}`);

  const algorithms = content === undefined ? openId!.signingAlgorithms : ALGORITHMS;
  const build = async (config: AuthenticationConfiguration): Promise<JwtAuthenticator[]> => {
    const expressions = hasExpressions(config) ? await import("./expressions.ts") : undefined;
    return config.jwt.map((entry) =>
      createJwtAuthenticator({ entry, algorithms, client: deps.client, clock, logger, metrics, expressions }),
    );
  };
  const disposeAll = async (list: readonly JwtAuthenticator[]): Promise<void> => {
    await Promise.all(list.map((each) => each[Symbol.asyncDispose]()));
  };

  let current = await build(initial);
  const scope = new TaskScope();

  async function update(text: string): Promise<void> {
    const config = await load(text);
    const found = await check(config, deps.ownIssuers);
    if (JSON.stringify(config.anonymous) !== JSON.stringify(initial.anonymous)) {
      const { field, message } = anonymousChanged();
      found.push(`${field}: ${message}`);
    }
    if (found.length > 0) throw joinErrors(found);
    const next = await build(config);
    try {
      await Promise.all(next.map(({ provider }) => provider.whenReady(UPDATE_TIMEOUT_MS)));
    } catch (error) {
      await disposeAll(next);
      throw error;
    }
    const old = current;
    current = next;
    scope.run(async (signal) => {
      try {
        await sleep(clock, OLD_LIFE_MS, signal);
      } catch (error) {
        if (!isAbort(error)) throw error;
      }
      await disposeAll(old);
    });
  }

  const prefix = "apiserver_authentication_config_controller";
  const labels = { apiserver_id_hash: serverIdHash() };
  const noteConfig = (text: string): void => {
    const hash = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    metrics.set(`${prefix}_last_config_info`, { ...labels, hash }, 1, true);
  };
  const noteReload = (status: "success" | "failure"): void => {
    metrics.count(`${prefix}_automatic_reloads_total`, { ...labels, status });
    const seconds = clock.now() / 1000;
    metrics.set(`${prefix}_automatic_reload_last_timestamp_seconds`, { ...labels, status }, seconds);
  };
  if (content !== undefined) noteConfig(content);
  const watched =
    configFile === undefined || content === undefined
      ? undefined
      : watchFile({
          path: configFile,
          logger,
          initial: content,
          async onChange(text) {
            await update(text);
            noteConfig(text);
            noteReload("success");
          },
          onFailure: () => noteReload("failure"),
        });

  return {
    anonymous: initial.anonymous,
    tokens: {
      async authenticateToken(token, audiences) {
        for (const each of current) {
          const verdict = await each.authenticateToken(token, audiences);
          if (verdict !== undefined) return verdict;
        }
        return undefined;
      },
    },
    async [Symbol.asyncDispose]() {
      await watched?.[Symbol.asyncDispose]();
      await scope[Symbol.asyncDispose]();
      await disposeAll(current);
    },
  };
}
