import { readConfigDocument, type ConfigNode } from "../files/config-document.ts";

/** A key of a provider that needs nobody else. */
export interface KeyConfig {
  readonly name: string;
  readonly secret: Buffer;
}

/** How values are stored. */
export type ProviderConfig =
  | { readonly type: "identity" }
  | { readonly type: "aescbc" | "aesgcm" | "secretbox"; readonly keys: readonly KeyConfig[] }
  | {
      readonly type: "kms";
      readonly version: "v1" | "v2";
      readonly name: string;
      readonly endpoint: string;
      readonly timeoutMs: number;
    };

/** Resources that are stored alike. */
export interface ResourceEncryption {
  /** `secrets`, `deployments.apps`, `*.apps`, `*.` or `*.*`. */
  readonly resources: readonly string[];
  readonly providers: readonly ProviderConfig[];
}

const TYPES = ["aesgcm", "aescbc", "secretbox", "identity", "kms"] as const;
const KEY_SIZES = { aescbc: [16, 24, 32], aesgcm: [16, 24, 32], secretbox: [32] } as const;
const DEFAULT_TIMEOUT_MS = 3_000;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const quote = (text: string): string => JSON.stringify(text);
const required = (path: string, why: string): string => `${path}: Required value: ${why}`;
const invalid = (path: string, value: string, why: string): string => `${path}: Invalid value: ${value}: ${why}`;
const mandatory = (name: string, of: string): string => `${name} is a mandatory field for a ${of}`;

function readKeys(node: ConfigNode, sizes: readonly number[], path: string, problems: string[]): KeyConfig[] {
  const keys = node.nodes("keys").map((key, i) => {
    const at = `${path}.keys[${i}]`;
    const [name, text] = [key.text("name"), key.text("secret").replace(/[\r\n]/g, "")];
    key.close();
    if (name === "") problems.push(required(`${at}.name`, mandatory("name", "key")));
    const secret = Buffer.from(text, "base64");
    if (text === "") problems.push(required(`${at}.secret`, mandatory("secret", "key")));
    else if (!BASE64.test(text)) problems.push(invalid(`${at}.secret`, '"REDACTED"', "secrets must be base64 encoded"));
    else if (!sizes.includes(secret.length)) {
      const why = `secret is not of the expected length, got ${secret.length}, expected one of [${sizes.join(" ")}]`;
      problems.push(invalid(`${at}.secret`, '"REDACTED"', why));
    }
    return { name, secret };
  });
  if (keys.length === 0) problems.push(required(`${path}.keys`, "at least one keys is required"));
  return keys;
}

function endpointProblem(endpoint: string, path: string): string | undefined {
  if (endpoint === "") return invalid(path, '""', mandatory("endpoint", "kms"));
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(endpoint)?.[1]?.toLowerCase() ?? "";
  if (scheme === "unix") return undefined;
  return invalid(path, quote(endpoint), `unsupported scheme ${quote(scheme)} for KMS provider, only unix is supported`);
}

interface KmsContext {
  readonly names: Set<string>;
  readonly reloads: boolean;
}

function readKms(node: ConfigNode, path: string, context: KmsContext, problems: string[]): ProviderConfig {
  const version = node.optionalText("apiVersion") ?? "v1";
  const name = node.text("name");
  const endpoint = node.text("endpoint");
  const timeoutMs = node.durationMs("timeout") ?? DEFAULT_TIMEOUT_MS;
  const cacheSize = node.integer("cachesize");
  node.close();
  if (name === "") problems.push(required(`${path}.name`, mandatory("name", "provider")));
  if (version !== "v1" && name.includes(":")) {
    const why = `invalid KMS provider name ${name}, must not contain ':'`;
    problems.push(invalid(`${path}.name`, quote(name), why));
  }
  if ((context.reloads || version !== "v1") && context.names.has(name)) {
    const why = `duplicate KMS provider name ${name}, names must be unique`;
    problems.push(invalid(`${path}.name`, quote(name), why));
  }
  context.names.add(name);
  if (timeoutMs <= 0) {
    problems.push(invalid(`${path}.timeout`, quote(`${timeoutMs / 1000}s`), "timeout should be a positive value"));
  }
  const endpointFault = endpointProblem(endpoint, `${path}.endpoint`);
  if (endpointFault !== undefined) problems.push(endpointFault);
  if (version !== "v1" && cacheSize !== undefined) {
    problems.push(invalid(`${path}.cachesize`, String(cacheSize), "cachesize is not supported in v2"));
  }
  if (version === "v1" && cacheSize === 0) {
    const why = "cachesize should be a positive value, or negative to disable";
    problems.push(invalid(`${path}.cachesize`, "0", why));
  }
  if (version !== "v1" && version !== "v2") {
    const why = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported";
    problems.push(invalid(`${path}.apiVersion`, quote(version), why));
  }
  return { type: "kms", version: version === "v1" ? "v1" : "v2", name, endpoint, timeoutMs };
}

function readProvider(node: ConfigNode, path: string, context: KmsContext, problems: string[]): ProviderConfig {
  const found = TYPES.map((type) => ({ type, part: node.node(type) })).filter(({ part }) => part !== undefined);
  node.close();
  if (found.length !== 1) {
    const why =
      found.length === 0
        ? "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
        : "more than one provider specified in a single element, should split into different list elements";
    problems.push(invalid(path, `{${found.map(({ type }) => type).join(" ")}}`, why));
    return { type: "identity" };
  }
  const { type, part } = found[0]!;
  if (type === "kms") return readKms(part!, `${path}.kms`, context, problems);
  if (type !== "identity") return { type, keys: readKeys(part!, KEY_SIZES[type], `${path}.${type}`, problems) };
  part!.close();
  return { type };
}

/** `secrets` → core; `deployments.apps` → apps. */
export function splitGroupResource(text: string): { readonly group: string; readonly resource: string } {
  const dot = text.indexOf(".");
  return dot === -1 ? { group: "", resource: text } : { group: text.slice(dot + 1), resource: text.slice(0, dot) };
}

const WITHOUT_REST = new Set(["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"]);

function resourceProblem(text: string): string | undefined {
  if (text.toLowerCase() !== text) return "resource name should not contain capital letters";
  if (text === "*") return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  if (WITHOUT_REST.has(text)) return "resources which do not have REST API/s cannot be encrypted";
  const { group, resource } = splitGroupResource(text);
  if (group === "events.k8s.io") {
    return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file";
  }
  if (group === "extensions") return "'extensions' group has been removed and cannot be used for encryption";
  if (group === "*" && resource !== "*") return "encrypting the same resource across groups is not supported";
  return undefined;
}

function checkResources(resources: readonly string[], path: string, problems: string[]): void {
  const shown = `[${resources.map(quote).join(",")}]`;
  if (new Set(resources).size < resources.length) {
    problems.push(invalid(path, shown, "the same resource cannot be specified multiple times"));
  }
  const split = [...new Set(resources)].map(splitGroupResource);
  const masks = split.some(
    (one) =>
      one.resource === "*" && split.some((other) => other !== one && (one.group === "*" || one.group === other.group)),
  );
  if (masks) {
    const why =
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked";
    problems.push(invalid(path, shown, why));
  }
  for (const [i, text] of resources.entries()) {
    const problem = resourceProblem(text);
    if (problem !== undefined) problems.push(invalid(`${path}[${i}]`, quote(text), problem));
  }
}

/** Reads an EncryptionConfiguration (YAML or JSON). Throws, naming everything that is wrong; never quotes a secret. */
export async function readEncryptionConfig(content: string, reloads: boolean): Promise<readonly ResourceEncryption[]> {
  const problems: string[] = [];
  const context: KmsContext = { names: new Set(), reloads };
  const config = await readConfigDocument(content, "EncryptionConfiguration", ["v1"], (root) =>
    root.nodes("resources").map((node, i): ResourceEncryption => {
      const path = `resources[${i}]`;
      const resources = node.texts("resources");
      if (resources.length === 0) {
        problems.push(required(`${path}.resources`, `at least one ${path}.resources is required`));
      }
      checkResources(resources, `${path}.resources`, problems);
      const providers = node
        .nodes("providers")
        .map((provider, j) => readProvider(provider, `${path}.providers[${j}]`, context, problems));
      if (providers.length === 0) {
        problems.push(required(`${path}.providers`, `at least one ${path}.providers is required`));
      }
      node.close();
      return { resources, providers };
    }),
  );
  if (config.length === 0) problems.push(required("resources", "at least one resources is required"));
  if (problems.length > 0) throw new Error(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
  return config;
}
