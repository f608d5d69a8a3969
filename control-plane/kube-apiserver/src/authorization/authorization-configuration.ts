import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import {
  duplicate,
  invalidValue,
  isDns1123Subdomain,
  notSupported,
  required,
  tooMany,
  type FieldError,
} from "@coracle/apimachinery";
import { printDuration, readConfigDocument, type ConfigNode } from "../files/config-document.ts";
import type { AuthorizationMode } from "./settings.ts";

/** One authoriser of the chain. */
export interface AuthorizerEntry {
  readonly type: string;
  readonly name: string;
  readonly webhook?: WebhookAuthorizerEntry | undefined;
}

export interface WebhookAuthorizerEntry {
  readonly timeoutMs: number;
  readonly authorizedTtlMs: number;
  readonly cachesAuthorized: boolean;
  readonly unauthorizedTtlMs: number;
  readonly cachesUnauthorized: boolean;
  readonly version: string;
  readonly matchConditionVersion: string;
  readonly failurePolicy: string;
  readonly connectionType: string;
  readonly kubeconfigFile: string | undefined;
  /** CEL expressions about the review that would be sent. */
  readonly matchConditions: readonly string[];
}

const MODES: readonly AuthorizationMode[] = ["ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"];
const VERSIONS = ["v1", "v1beta1", "v1alpha1"];
const MAX_TIMEOUT_MS = 30_000;
const MAX_CONDITIONS = 64;

function readWebhook(node: ConfigNode): WebhookAuthorizerEntry {
  const connection = node.node("connectionInfo");
  const conditions = node.nodes("matchConditions");
  const entry = {
    authorizedTtlMs: node.durationMs("authorizedTTL") ?? 300_000,
    cachesAuthorized: node.flag("cacheAuthorizedRequests") ?? true,
    unauthorizedTtlMs: node.durationMs("unauthorizedTTL") ?? 30_000,
    cachesUnauthorized: node.flag("cacheUnauthorizedRequests") ?? true,
    timeoutMs: node.durationMs("timeout") ?? 0,
    version: node.text("subjectAccessReviewVersion"),
    matchConditionVersion: node.text("matchConditionSubjectAccessReviewVersion"),
    failurePolicy: node.text("failurePolicy"),
    connectionType: connection?.text("type") ?? "",
    kubeconfigFile: connection?.optionalText("kubeConfigFile"),
    matchConditions: conditions.map((condition) => condition.text("expression")),
  };
  for (const each of [...conditions, ...(connection === undefined ? [] : [connection]), node]) each.close();
  return entry;
}

/** Reads the file's text, without judging what it says. */
export function readAuthorizationConfiguration(content: string): Promise<readonly AuthorizerEntry[]> {
  return readConfigDocument(content, "AuthorizationConfiguration", VERSIONS, (root) =>
    root.nodes("authorizers").map((node) => {
      const webhook = node.node("webhook");
      const entry = {
        type: node.text("type"),
        name: node.text("name"),
        webhook: webhook === undefined ? undefined : readWebhook(webhook),
      };
      node.close();
      return entry;
    }),
  );
}

function durationErrors(ms: number, path: string): FieldError[] {
  if (ms === 0) return [required(path, "")];
  return ms < 0 ? [invalidValue(path, printDuration(ms), "must be > 0s")] : [];
}

function connectionErrors(webhook: WebhookAuthorizerEntry, path: string): FieldError[] {
  const { kubeconfigFile: file } = webhook;
  const at = `${path}.connectionInfo.kubeConfigFile`;
  switch (webhook.connectionType) {
    case "":
      return [required(`${path}.connectionInfo.type`, "")];
    case "InClusterConfig":
      return file === undefined ? [] : [invalidValue(at, file, "can only be set when type=KubeConfigFile")];
    case "KubeConfigFile": {
      if (file === undefined || file === "") return [required(at, "")];
      if (!isAbsolute(file)) return [invalidValue(at, file, "must be an absolute path")];
      const found = statSync(file, { throwIfNoEntry: false });
      if (found === undefined) {
        return [invalidValue(at, file, `error loading file: stat ${file}: no such file or directory`)];
      }
      return found.isFile() ? [] : [invalidValue(at, file, "must be a regular file")];
    }
    default:
      return [
        notSupported(`${path}.connectionInfo.type`, webhook.connectionType, ["InClusterConfig", "KubeConfigFile"]),
      ];
  }
}

function conditionErrors(
  conditions: readonly string[],
  path: string,
  compile: (expression: string) => string | undefined,
): FieldError[] {
  const at = `${path}.matchConditions`;
  if (conditions.length > MAX_CONDITIONS) return [tooMany(at, conditions.length, MAX_CONDITIONS)];
  const seen = new Set<string>();
  return conditions.flatMap((expression, i): FieldError[] => {
    const field = `${at}[${i}].expression`;
    if (expression.trim() === "") return [required(field, "")];
    if (seen.has(expression)) return [duplicate(field, expression)];
    seen.add(expression);
    const why = compile(expression);
    return why === undefined ? [] : [invalidValue(field, expression, why)];
  });
}

function webhookErrors(
  webhook: WebhookAuthorizerEntry,
  path: string,
  compile: (expression: string) => string | undefined,
): FieldError[] {
  const errors: FieldError[] = [];
  const { timeoutMs, version, matchConditionVersion, failurePolicy } = webhook;
  if (timeoutMs === 0) errors.push(required(`${path}.timeout`, ""));
  else if (timeoutMs > MAX_TIMEOUT_MS || timeoutMs < 0) {
    errors.push(invalidValue(`${path}.timeout`, printDuration(timeoutMs), "must be > 0s and <= 30s"));
  }
  errors.push(
    ...durationErrors(webhook.authorizedTtlMs, `${path}.authorizedTTL`),
    ...durationErrors(webhook.unauthorizedTtlMs, `${path}.unauthorizedTTL`),
  );
  const versionField = `${path}.subjectAccessReviewVersion`;
  if (version === "") errors.push(required(versionField, ""));
  else if (version !== "v1" && version !== "v1beta1")
    errors.push(notSupported(versionField, version, ["v1", "v1beta1"]));
  const matchField = `${path}.matchConditionSubjectAccessReviewVersion`;
  if (matchConditionVersion === "") {
    if (webhook.matchConditions.length > 0) {
      errors.push(required(matchField, "required if match conditions are specified"));
    }
  } else if (matchConditionVersion !== "v1") errors.push(notSupported(matchField, matchConditionVersion, ["v1"]));
  if (failurePolicy === "") errors.push(required(`${path}.failurePolicy`, ""));
  else if (failurePolicy !== "NoOpinion" && failurePolicy !== "Deny") {
    errors.push(notSupported(`${path}.failurePolicy`, failurePolicy, ["NoOpinion", "Deny"]));
  }
  errors.push(...connectionErrors(webhook, path), ...conditionErrors(webhook.matchConditions, path, compile));
  return errors;
}

/** What is wrong with a chain. `compile`: why an expression is none, undefined when it is one. */
export function validateAuthorizers(
  entries: readonly AuthorizerEntry[],
  compile: (expression: string) => string | undefined,
): FieldError[] {
  if (entries.length === 0) return [required("authorizers", "at least one authorization mode must be defined")];
  const errors: FieldError[] = [];
  const [types, names] = [new Set<string>(), new Set<string>()];
  for (const [i, { type, name, webhook }] of entries.entries()) {
    const path = `authorizers[${i}]`;
    if (type === "") {
      errors.push(required(`${path}.type`, ""));
      continue;
    }
    if (!(MODES as readonly string[]).includes(type)) {
      errors.push(notSupported(`${path}.type`, type, MODES));
      continue;
    }
    if (types.has(type) && type !== "Webhook") {
      errors.push(duplicate(`${path}.type`, type));
      continue;
    }
    types.add(type);
    if (name === "") errors.push(required(`${path}.name`, ""));
    else if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
    else {
      const why = isDns1123Subdomain(name);
      if (why.length > 0) {
        errors.push(invalidValue(`${path}.name`, name, `authorizer name is invalid: ${why.join(", ")}`));
      }
    }
    names.add(name);
    if (type === "Webhook") {
      if (webhook === undefined) errors.push(required(`${path}.webhook`, "required when type=Webhook"));
      else errors.push(...webhookErrors(webhook, path, compile));
    } else if (webhook !== undefined) {
      errors.push(invalidValue(`${path}.webhook`, "non-null", "may only be specified when type=Webhook"));
    }
  }
  return errors;
}

/** What is wrong with the names, and which of the kinds that must stay are not there any longer. */
export function nameProblems(entries: readonly AuthorizerEntry[], mustHave: ReadonlySet<string>): string[] {
  const plain = entries.filter(({ type }) => type !== "Webhook");
  const problems = plain
    .filter(({ type, name }) => name !== type.toLowerCase())
    .map(({ type, name }) => `expected name ${type.toLowerCase()} for authorizer ${type} instead of ${name}`);
  const missing = [...mustHave].filter((type) => !plain.some((entry) => entry.type === type)).toSorted();
  if (missing.length > 0) problems.push(`missing required types: [${missing.join(" ")}]`);
  return problems;
}
