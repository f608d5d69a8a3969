import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { HttpTransportOptions } from "../transport/http-transport.ts";

/** What a kubeconfig's current context says, ready for `createHttpTransport`. */
export interface ClientConfig extends HttpTransportOptions {
  /** The context's namespace. */
  readonly namespace: string | undefined;
}

interface Kubeconfig {
  readonly "current-context"?: string;
  readonly clusters?: readonly {
    readonly name: string;
    readonly cluster?: {
      readonly server?: string;
      readonly "certificate-authority"?: string;
      readonly "certificate-authority-data"?: string;
      readonly "insecure-skip-tls-verify"?: boolean;
      readonly "tls-server-name"?: string;
    };
  }[];
  readonly users?: readonly {
    readonly name: string;
    readonly user?: {
      readonly "client-certificate"?: string;
      readonly "client-certificate-data"?: string;
      readonly "client-key"?: string;
      readonly "client-key-data"?: string;
      readonly token?: string;
      readonly tokenFile?: string;
    };
  }[];
  readonly contexts?: readonly {
    readonly name: string;
    readonly context?: { readonly cluster?: string; readonly user?: string; readonly namespace?: string };
  }[];
}

/**
 * Reads a kubeconfig: its current context, or `context`. Files it names are relative to it. Throws an error that
 * names the file and what is missing in it.
 */
export async function loadKubeconfig(file: string, context?: string): Promise<ClientConfig> {
  const config = (await parse(await readFile(file, "utf8"))) as Kubeconfig | null;
  const fail = (what: string): never => {
    throw new Error(`kubeconfig ${file}: ${what}`);
  };
  const contextName = context ?? config?.["current-context"] ?? fail("no current-context");
  const chosen =
    config?.contexts?.find((entry) => entry.name === contextName)?.context ?? fail(`no context "${contextName}"`);
  const cluster =
    config?.clusters?.find((entry) => entry.name === chosen.cluster)?.cluster ?? fail(`no cluster "${chosen.cluster}"`);
  const user = config?.users?.find((entry) => entry.name === chosen.user)?.user ?? {};
  const material = (data: string | undefined, path: string | undefined): Buffer | undefined => {
    if (data !== undefined && data !== "") return Buffer.from(data, "base64");
    return path === undefined || path === "" ? undefined : readFileSync(resolve(dirname(file), path));
  };
  return {
    server: cluster.server ?? fail(`cluster "${chosen.cluster}" has no server`),
    ca: material(cluster["certificate-authority-data"], cluster["certificate-authority"]),
    cert: material(user["client-certificate-data"], user["client-certificate"]),
    key: material(user["client-key-data"], user["client-key"]),
    token: user.token,
    tokenFile: user.tokenFile === undefined ? undefined : resolve(dirname(file), user.tokenFile),
    serverName: cluster["tls-server-name"],
    insecureSkipTlsVerify: cluster["insecure-skip-tls-verify"],
    namespace: chosen.namespace,
  };
}

/** JSON is YAML, and ours are written as JSON: the YAML parser is loaded only for those that are not. */
async function parse(text: string): Promise<unknown> {
  if (text.trimStart().startsWith("{")) return JSON.parse(text) as unknown;
  const yaml = await import("yaml");
  return yaml.parse(text) as unknown;
}
