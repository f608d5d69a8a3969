import { join } from "node:path";
import { loadBundle } from "./bundle-loader.ts";
import { bundlesDir } from "./bundles.ts";

/** Upstream's program name → the bundle it lives in. */
const BUNDLE_OF: Readonly<Record<string, string>> = {
  etcd: "etcd",
  "kube-apiserver": "api-server",
  "kube-scheduler": "controllers",
  "kube-controller-manager": "controllers",
  kubelet: "node",
  "kube-proxy": "node",
  "cluster-dns": "node",
  "container-runtime": "runtime",
};

/** Components that run alone. */
export const COMPONENTS: readonly string[] = Object.keys(BUNDLE_OF);

/** Runs one component in this process until it ends; its flags are upstream's. */
export async function runComponent(name: string, args: readonly string[]): Promise<number> {
  const bundle = loadBundle(join(bundlesDir(), `${BUNDLE_OF[name]}.cjs`)) as {
    runAlone(component: string, args: readonly string[]): Promise<number>;
  };
  return await bundle.runAlone(name, args);
}
