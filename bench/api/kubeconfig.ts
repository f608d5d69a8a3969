import type { Target } from "./connection.ts";

/** A kubeconfig for somebody with a client certificate. */
export function kubeconfigOf({ url, ca, client }: Target): object {
  const data = (text: string): string => Buffer.from(text).toString("base64");
  const user = {
    "client-certificate-data": data(client?.cert ?? ""),
    "client-key-data": data(client?.key ?? ""),
  };
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "bench", cluster: { server: url, "certificate-authority-data": data(ca) } }],
    users: [{ name: "admin", user }],
    contexts: [{ name: "bench", context: { cluster: "bench", user: "admin" } }],
    "current-context": "bench",
  };
}
