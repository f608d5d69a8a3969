import { isObject, nameIsDns1123Subdomain } from "@coracle/apimachinery";
import type { AuthorizationAttributes } from "../authorization/authorizer.ts";
import { ConfigNode } from "../files/config-document.ts";
import { parseYamlOrJson } from "../outbound/client-identity.ts";

/** How much of a request is recorded; each has all of the ones before it. */
export type AuditLevel = "None" | "Metadata" | "Request" | "RequestResponse";
/** When in a request's life an event is made. */
export type AuditStage = "RequestReceived" | "ResponseStarted" | "ResponseComplete" | "Panic";

const LEVELS: readonly AuditLevel[] = ["None", "Metadata", "Request", "RequestResponse"];
const STAGES: readonly AuditStage[] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

/** Whether `level` records what `wanted` does. */
export const records = (level: AuditLevel, wanted: AuditLevel): boolean =>
  LEVELS.indexOf(level) >= LEVELS.indexOf(wanted);

/** How a request is recorded. */
export interface AuditVerdict {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<AuditStage>;
  readonly omitsManagedFields: boolean;
}

interface GroupResources {
  readonly group: string;
  readonly resources: readonly string[];
  readonly names: readonly string[];
}

interface Rule extends AuditVerdict {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly verbs: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly namespaces: readonly string[];
  readonly urls: readonly string[];
}

/** Decides how requests are recorded: by the first rule that fits. */
export interface AuditPolicy {
  verdict(attributes: AuthorizationAttributes): AuditVerdict;
}

const invalid = (path: string, value: string, why: string): string => `${path}: Invalid value: ${value}: ${why}`;
const quote = (text: string): string => JSON.stringify(text);

function checkStages(stages: readonly string[], path: string, problems: string[]): readonly AuditStage[] {
  for (const [i, stage] of stages.entries()) {
    if (!(STAGES as readonly string[]).includes(stage)) {
      problems.push(invalid(`${path}[${i}]`, quote(stage), `allowed stages are ${STAGES.join(",")}`));
    }
  }
  return stages as readonly AuditStage[];
}

function checkUrls(urls: readonly string[], path: string, problems: string[]): void {
  for (const [i, url] of urls.entries()) {
    if (url === "*") continue;
    const at = `${path}[${i}]`;
    if (!url.startsWith("/")) {
      problems.push(invalid(at, quote(url), "non-resource URL rules must begin with a '/' character"));
    }
    if (url.slice(0, -1).includes("*")) {
      const why = "non-resource URL wildcards '*' must be the final character of the rule";
      problems.push(invalid(at, quote(url), why));
    }
  }
}

function readRule(
  node: ConfigNode,
  path: string,
  base: { readonly stages: readonly AuditStage[]; readonly omitsManagedFields: boolean },
  problems: string[],
): Rule {
  const level = node.text("level");
  if (level === "") problems.push(`${path}.level: Required value`);
  else if (!(LEVELS as readonly string[]).includes(level)) {
    const supported = LEVELS.map(quote).join(", ");
    problems.push(`${path}.level: Unsupported value: ${quote(level)}: supported values: ${supported}`);
  }
  const urls = node.texts("nonResourceURLs");
  checkUrls(urls, `${path}.nonResourceURLs`, problems);
  const resources = node.nodes("resources").map((entry): GroupResources => {
    const [group, kinds, names] = [entry.text("group"), entry.texts("resources"), entry.texts("resourceNames")];
    entry.close();
    const faults = group === "" ? [] : nameIsDns1123Subdomain(group, false);
    if (faults.length > 0) problems.push(invalid(`${path}.resources.group`, quote(group), faults.join(",")));
    if (names.length > 0 && kinds.length === 0) {
      const shown = `[${names.map(quote).join(",")}]`;
      const why = "using resourceNames requires at least one resource";
      problems.push(invalid(`${path}.resources.resourceNames`, shown, why));
    }
    return { group, resources: kinds, names };
  });
  const namespaces = node.texts("namespaces");
  const stages = checkStages(node.texts("omitStages"), `${path}.omitStages`, problems);
  if (urls.length > 0 && (resources.length > 0 || namespaces.length > 0)) {
    const why = "rules cannot apply to both regular resources and non-resource URLs";
    problems.push(invalid(`${path}.nonResourceURLs`, `[${urls.map(quote).join(",")}]`, why));
  }
  const rule: Rule = {
    level: level as AuditLevel,
    users: node.texts("users"),
    groups: node.texts("userGroups"),
    verbs: node.texts("verbs"),
    resources,
    namespaces,
    urls,
    omitStages: new Set([...base.stages, ...stages]),
    omitsManagedFields: node.flag("omitManagedFields") ?? base.omitsManagedFields,
  };
  node.close();
  return rule;
}

/**
 * Reads a policy of `audit.k8s.io/v1` (YAML or JSON). Throws, naming everything that is wrong. Fields that are not
 * known are passed over, as upstream does, and told to `warn`.
 */
export async function readAuditPolicy(content: string, warn: (message: string) => void): Promise<AuditPolicy> {
  const value = await parseYamlOrJson(content);
  if (!isObject(value)) throw new Error("failed decoding: expected an object");
  const [errors, problems]: [string[], string[]] = [[], []];
  const root = new ConfigNode(value, "", errors);
  const [apiVersion, kind] = [root.text("apiVersion"), root.text("kind")];
  if (kind === "") throw new Error("failed decoding: Object 'Kind' is missing");
  if (apiVersion !== "audit.k8s.io/v1" || kind !== "Policy") {
    throw new Error(`failed decoding: no kind ${quote(kind)} is registered for version ${quote(apiVersion)}`);
  }
  root.node("metadata");
  const stages = checkStages(root.texts("omitStages"), "omitStages", problems);
  const omitsManagedFields = root.flag("omitManagedFields") ?? false;
  const rules = root
    .nodes("rules")
    .map((node, i) => readRule(node, `rules[${i}]`, { stages, omitsManagedFields }, problems));
  root.close();
  const unknown = errors.filter((text) => text.startsWith("unknown field"));
  const wrong = errors.filter((text) => !text.startsWith("unknown field"));
  if (wrong.length > 0) throw new Error(`failed decoding: ${wrong.join(", ")}`);
  if (problems.length > 0) throw new Error(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
  if (rules.length === 0) throw new Error("loaded illegal policy with 0 rules");
  if (unknown.length > 0) warn(`the audit policy has fields that are not known: ${unknown.join(", ")}`);
  const otherwise: AuditVerdict = { level: "None", omitStages: new Set(stages), omitsManagedFields };
  return { verdict: (attributes) => rules.find((rule) => matches(rule, attributes)) ?? otherwise };
}

function matches(rule: Rule, attributes: AuthorizationAttributes): boolean {
  const { user } = attributes;
  if (rule.users.length > 0 && !rule.users.includes(user.name)) return false;
  if (rule.groups.length > 0 && !user.groups.some((group) => rule.groups.includes(group))) return false;
  if (rule.verbs.length > 0 && !rule.verbs.includes(attributes.verb)) return false;
  if (rule.namespaces.length > 0 || rule.resources.length > 0) return matchesResource(rule, attributes);
  if (rule.urls.length > 0) return !attributes.isResource && rule.urls.some((url) => urlMatches(url, attributes.path));
  return true;
}

function urlMatches(url: string, path: string): boolean {
  return url === "*" || url === path || (url.endsWith("*") && path.startsWith(url.replace(/\*+$/, "")));
}

function matchesResource(rule: Rule, attributes: AuthorizationAttributes): boolean {
  if (!attributes.isResource) return false;
  if (rule.namespaces.length > 0 && !rule.namespaces.includes(attributes.namespace)) return false;
  if (rule.resources.length === 0) return true;
  const { resource, subresource, name } = attributes;
  const combined = subresource === "" ? resource : `${resource}/${subresource}`;
  const fits = (pattern: string): boolean =>
    pattern === combined ||
    pattern === "*" ||
    (subresource !== "" && pattern === `*/${subresource}`) ||
    pattern === `${resource}/*`;
  return rule.resources.some(
    (entry) =>
      entry.group === attributes.group &&
      (entry.resources.length === 0 ||
        ((entry.names.length === 0 || entry.names.includes(name)) && entry.resources.some(fits))),
  );
}
