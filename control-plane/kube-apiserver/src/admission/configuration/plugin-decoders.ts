import { isAbsolute } from "node:path";
import { isObject, type Draft } from "@coracle/apimachinery";
import { loadIdentities } from "../../outbound/client-identity.ts";
import type { PluginConfigurations } from "../plugin-configurations.ts";
import { LEVEL_MESSAGE, parseLevel, parsePolicyVersion, VERSION_MESSAGE } from "../pod-security/policy.ts";
import { readAdmissionConfiguration } from "./admission-configuration.ts";

/** Reads what a file says to one plugin. Throws an Error that says what is wrong with it. */
type PluginDecoder = (value: Draft) => unknown;

/** Throws unless the value is of the kind, in one of the versions, and has no other members. */
function expectKind(value: Draft, versions: readonly string[], kind: string, members: readonly string[]): void {
  const { apiVersion } = value;
  if (value.kind !== kind || typeof apiVersion !== "string" || !versions.includes(apiVersion)) {
    throw new Error(
      `no kind ${JSON.stringify(value.kind ?? "")} is registered for version ${JSON.stringify(apiVersion ?? "")}`,
    );
  }
  expectMembers(value, ["apiVersion", "kind", ...members], "");
}

function expectMembers(value: Draft, members: readonly string[], path: string): void {
  const unknown = Object.keys(value).filter((member) => !members.includes(member));
  if (unknown.length === 0) return;
  throw new Error(
    `strict decoding error: ${unknown.map((name) => `unknown field ${JSON.stringify(path + name)}`).join(", ")}`,
  );
}

const objectIn = (value: Draft, member: string): Draft => (isObject(value[member]) ? value[member] : {});
const listIn = (value: Draft, member: string): unknown[] => (Array.isArray(value[member]) ? value[member] : []);

function webhookPlugin(value: Draft): Promise<unknown> {
  expectKind(
    value,
    ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1alpha1"],
    "WebhookAdmissionConfiguration",
    ["kubeConfigFile"],
  );
  // Its first version had a shorter name.
  const file = typeof value.kubeConfigFile === "string" ? value.kubeConfigFile : "";
  if (!isAbsolute(file)) {
    throw new Error(`kubeConfigFile: Invalid value: ${JSON.stringify(file)}: must be an absolute file path`);
  }
  return loadIdentities(file).then((identityFor) => ({ identityFor }));
}

const POLICY_VERSIONS = ["v1", "v1beta1", "v1alpha1"].map((one) => `pod-security.admission.config.k8s.io/${one}`);
const MODES = ["enforce", "audit", "warn"] as const;

function podSecurity(value: Draft): unknown {
  expectKind(value, POLICY_VERSIONS, "PodSecurityConfiguration", ["defaults", "exemptions"]);
  const defaults = objectIn(value, "defaults");
  expectMembers(
    defaults,
    MODES.flatMap((mode) => [mode, `${mode}-version`]),
    "defaults.",
  );
  const levels = MODES.map((mode) => {
    const levelText = (defaults[mode] as string | undefined) ?? "privileged";
    const versionText = (defaults[`${mode}-version`] as string | undefined) ?? "latest";
    const level = parseLevel(levelText);
    if (level === undefined) {
      throw new Error(`defaults.${mode}: Invalid value: ${JSON.stringify(levelText)}: ${LEVEL_MESSAGE}`);
    }
    const version = parsePolicyVersion(versionText);
    if (version === undefined) {
      throw new Error(`defaults.${mode}-version: Invalid value: ${JSON.stringify(versionText)}: ${VERSION_MESSAGE}`);
    }
    return [mode, { level, minor: version.minor }] as const;
  });
  const exemptions = objectIn(value, "exemptions");
  expectMembers(exemptions, ["usernames", "namespaces", "runtimeClasses"], "exemptions.");
  return {
    defaults: Object.fromEntries(levels),
    exemptions: {
      usernames: listIn(exemptions, "usernames"),
      namespaces: listIn(exemptions, "namespaces"),
      runtimeClasses: listIn(exemptions, "runtimeClasses"),
    },
  };
}

function resourceQuota(value: Draft): unknown {
  const versions = [
    "apiserver.config.k8s.io/v1",
    "resourcequota.admission.k8s.io/v1beta1",
    "resourcequota.admission.k8s.io/v1alpha1",
  ];
  const kind = value.apiVersion === versions[0] ? "ResourceQuotaConfiguration" : "Configuration";
  expectKind(value, versions, kind, ["limitedResources"]);
  const limitedResources = listIn(value, "limitedResources");
  for (const [i, one] of limitedResources.entries()) {
    if (isObject(one) && typeof one.resource === "string" && one.resource !== "") continue;
    throw new Error(
      `limitedResources[${i}].resource: Required value: limitedResources[${i}].resource must be specified`,
    );
  }
  return {
    limitedResources: limitedResources.map((one) => ({
      apiGroup: "",
      matchContains: [],
      matchScopes: [],
      ...(one as Draft),
    })),
  };
}

const LIMIT_TYPES = ["Server", "Namespace", "User", "SourceAndObject"];
const MAX_QPS = 1_000_000;

function eventRateLimit(value: Draft): unknown {
  expectKind(value, ["eventratelimit.admission.k8s.io/v1alpha1"], "Configuration", ["limits"]);
  const limits = listIn(value, "limits") as Draft[];
  if (limits.length === 0) throw new Error("limits: Invalid value: []: must not be empty");
  const seen = new Set<unknown>();
  for (const [i, limit] of limits.entries()) {
    const path = `limits[${i}]`;
    const { type, qps, burst, cacheSize = 0 } = limit as Readonly<Record<string, unknown>>;
    if (!LIMIT_TYPES.includes(type as string)) {
      const known = LIMIT_TYPES.map((one) => JSON.stringify(one)).join(", ");
      throw new Error(`${path}.type: Unsupported value: ${JSON.stringify(type ?? "")}: supported values: ${known}`);
    }
    if (seen.has(type)) throw new Error(`${path}.type: Duplicate value: ${JSON.stringify(type)}`);
    seen.add(type);
    for (const [name, number] of [
      ["burst", burst],
      ["qps", qps],
    ] as const) {
      if (typeof number !== "number" || !Number.isInteger(number) || number <= 0 || number > MAX_QPS) {
        throw new Error(`${path}.${name}: Invalid value: ${JSON.stringify(number ?? 0)}: must be positive`);
      }
    }
    if (typeof cacheSize !== "number" || cacheSize < 0) {
      throw new Error(`${path}.cacheSize: Invalid value: ${JSON.stringify(cacheSize)}: must not be negative`);
    }
  }
  return { limits };
}

function podNodeSelector(value: Draft): unknown {
  return objectIn(value, "podNodeSelectorPluginConfig");
}

function podTolerationRestriction(value: Draft): unknown {
  expectKind(value, ["podtolerationrestriction.admission.k8s.io/v1alpha1"], "Configuration", ["default", "whitelist"]);
  return {
    ...(value.default === undefined ? {} : { default: listIn(value, "default") }),
    ...(value.whitelist === undefined ? {} : { whitelist: listIn(value, "whitelist") }),
  };
}

/** Milliseconds from a number in `unit`; -1 is none, 0 what is usual. */
function bounded(value: unknown, unitMs: number, usualMs: number, [least, most]: readonly [number, number]): number {
  const number = typeof value === "number" ? value : 0;
  if (number === -1) return 0;
  if (number === 0) return usualMs;
  const ms = number * unitMs;
  if (ms >= least && ms <= most) return ms;
  throw new Error(`valid value is between ${goDuration(least)} and ${goDuration(most)}, got ${goDuration(ms)}`);
}

/** `5m0s`, `1s`, `500ms`. */
function goDuration(ms: number): string {
  if (ms === 1e-6) return "1ns";
  if (Math.abs(ms) < 1000) return `${ms}ms`;
  const minutes = Math.trunc(ms / 60_000);
  const seconds = (ms - minutes * 60_000) / 1000;
  const hours = Math.trunc(minutes / 60);
  if (hours !== 0) return `${hours}h${minutes % 60}m${seconds}s`;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}

const HALF_HOUR_MS = 1_800_000;

function imagePolicyWebhook(value: Draft): unknown {
  const policy = objectIn(value, "imagePolicy");
  return {
    kubeConfigFile: typeof policy.kubeConfigFile === "string" ? policy.kubeConfigFile : "",
    retryBackoffMs: bounded(policy.retryBackoff, 1, 500, [1e-6, 300_000]),
    allowTtlMs: bounded(policy.allowTTL, 1000, 300_000, [1000, HALF_HOUR_MS]),
    denyTtlMs: bounded(policy.denyTTL, 1000, 30_000, [1000, HALF_HOUR_MS]),
    defaultAllow: policy.defaultAllow === true,
  };
}

const DECODERS: Readonly<Record<string, PluginDecoder>> = {
  EventRateLimit: eventRateLimit,
  ImagePolicyWebhook: imagePolicyWebhook,
  MutatingAdmissionWebhook: webhookPlugin,
  PodNodeSelector: podNodeSelector,
  PodSecurity: podSecurity,
  PodTolerationRestriction: podTolerationRestriction,
  ResourceQuota: resourceQuota,
  ValidatingAdmissionWebhook: webhookPlugin,
};

/**
 * Reads `--admission-control-config-file` and what it refers to, for the plugins that are on. Throws an Error with
 * upstream's text for what cannot be read.
 */
export async function readPluginConfigurations(
  file: string,
  isOn: (plugin: string) => boolean,
): Promise<PluginConfigurations> {
  let texts: Awaited<ReturnType<typeof readAdmissionConfiguration>>;
  try {
    texts = await readAdmissionConfiguration(file);
  } catch (error) {
    throw new Error(`failed to read plugin config: ${(error as Error).message}`, { cause: error });
  }
  const out: Record<string, unknown> = {};
  for (const [plugin, text] of texts) {
    const decode = DECODERS[plugin];
    if (decode === undefined || !isOn(plugin)) continue;
    try {
      out[plugin] = await decode(text);
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(`couldn't init admission plugin ${JSON.stringify(plugin)}: ${why}`, { cause: error });
    }
  }
  return out as PluginConfigurations;
}
