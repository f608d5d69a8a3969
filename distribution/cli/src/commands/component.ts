import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { loadBundle } from "./bundle-loader.ts";
import { bundlesDir } from "./bundles.ts";

/** Upstream's program name → the bundle it lives in. */
const BUNDLE_OF: Readonly<Record<string, string>> = {
  etcd: "etcd",
  "kube-apiserver": "api-server",
  "kube-scheduler": "controllers",
  "kube-controller-manager": "controllers",
  "cloud-controller-manager": "cloud",
  kubelet: "node",
  "kube-proxy": "node",
  "cluster-dns": "node",
  "container-runtime": "runtime",
};

/** Components that run alone. */
export const COMPONENTS: readonly string[] = Object.keys(BUNDLE_OF);

/**
 * The heap may grow to twice of what is in use before it is collected, not to four times of it. A program with nothing to
 * do is collected once, not three times: that was all it did in the half minute after its start.
 */
const HEAP_FLAGS = ["--heap-growing-percent=100", "--memory-reducer-single-gc"];

/** Runs one component in this process until it ends; its flags are upstream's. */
export async function runComponent(name: string, args: readonly string[]): Promise<number> {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag);
  const bundle = loadBundle(join(bundlesDir(), `${BUNDLE_OF[name]}.cjs`)) as {
    runAlone(component: string, args: readonly string[]): Promise<number>;
  };
  return await bundle.runAlone(name, args);
}
