import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseYamlDocument } from "@coracle/api";
import type { ClientIdentity } from "./target.ts";

interface AuthInfo {
  readonly "client-certificate"?: string;
  readonly "client-certificate-data"?: string;
  readonly "client-key"?: string;
  readonly "client-key-data"?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly as?: string;
  readonly "as-uid"?: string;
  readonly "as-groups"?: readonly string[];
}

interface Kubeconfig {
  readonly "current-context"?: string;
  readonly users?: readonly { readonly name: string; readonly user?: AuthInfo }[];
  readonly contexts?: readonly { readonly name: string; readonly context?: { readonly user?: string } }[];
}

/** Finds how this server proves itself to a `HOST:PORT`. */
export type IdentityResolver = (hostPort: string) => ClientIdentity | undefined;

/** YAML is loaded only for what is not JSON. */
export async function parseYamlOrJson(text: string): Promise<unknown> {
  if (text.trimStart().startsWith("{")) return JSON.parse(text) as unknown;
  return await parseYamlDocument(text);
}

/**
 * The identities of a webhook kubeconfig, whose users are named after hosts: `HOST:PORT`, `*.SUFFIX:PORT`, for port 443
 * without the port too, `*` for all others, else the current context's.
 */
export async function loadIdentities(file: string): Promise<IdentityResolver> {
  const config = (await parseYamlOrJson(await readFile(file, "utf8"))) as Kubeconfig | null;
  const users = new Map((config?.users ?? []).map(({ name, user }) => [name, user ?? {}]));
  const base = dirname(file);
  const known = new Map<string, ClientIdentity>();
  const identityOf = (name: string): ClientIdentity => {
    let found = known.get(name);
    if (found === undefined) {
      found = readIdentity(users.get(name)!, base);
      known.set(name, found);
    }
    return found;
  };
  const search = (target: string): string | undefined => {
    if (users.has(target)) return target;
    const steps = target.split(".");
    for (let i = 1; i < steps.length; i++) {
      const pattern = `*.${steps.slice(i).join(".")}`;
      if (users.has(pattern)) return pattern;
    }
    return undefined;
  };
  return (hostPort) => {
    const exact = search(hostPort) ?? (hostPort.endsWith(":443") ? search(hostPort.slice(0, -4)) : undefined);
    if (exact !== undefined) return identityOf(exact);
    if (users.has("*")) return identityOf("*");
    const current = config?.contexts?.find(({ name }) => name === config["current-context"])?.context?.user;
    return current !== undefined && users.has(current) ? identityOf(current) : undefined;
  };
}

function material(data: string | undefined, path: string | undefined, base: string): Buffer | undefined {
  if (data !== undefined && data !== "") return Buffer.from(data, "base64");
  return path === undefined || path === "" ? undefined : readFileSync(resolve(base, path));
}

function readIdentity(user: AuthInfo, base: string): ClientIdentity {
  const headers: Record<string, string> = {};
  if (user.as !== undefined && user.as !== "") {
    headers["impersonate-user"] = user.as;
    if (user["as-uid"] !== undefined) headers["impersonate-uid"] = user["as-uid"];
  }
  return {
    cert: material(user["client-certificate-data"], user["client-certificate"], base),
    key: material(user["client-key-data"], user["client-key"], base),
    authorization: authorizationOf(user, base),
    headers,
  };
}

/** Tokens in files are renewed by others: they are read when they are used. */
function authorizationOf(user: AuthInfo, base: string): ClientIdentity["authorization"] {
  const { token = "", tokenFile = "", username = "", password = "" } = user;
  if (tokenFile !== "") return () => `Bearer ${readFileSync(resolve(base, tokenFile), "utf8").trim()}`;
  if (token !== "") return () => `Bearer ${token}`;
  if (username === "" && password === "") return undefined;
  return () => `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
