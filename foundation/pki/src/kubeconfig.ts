import type { CertifiedKey } from "./certificate.ts";

export interface KubeconfigRequest {
  readonly clusterName: string;
  readonly userName: string;
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  readonly client: CertifiedKey;
}

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");

/**
 * A kubeconfig with one cluster, user and context, in JSON, which is YAML too: kubectl reads it, and our own
 * programs read it without a YAML parser.
 */
export function renderKubeconfig(request: KubeconfigRequest): string {
  const { clusterName, userName, server, ca, client } = request;
  const context = `${userName}@${clusterName}`;
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: clusterName, cluster: { server, "certificate-authority-data": base64(ca) } }],
    users: [
      {
        name: userName,
        user: { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) },
      },
    ],
    contexts: [{ name: context, context: { cluster: clusterName, user: userName } }],
    "current-context": context,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
