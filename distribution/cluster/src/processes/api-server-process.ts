import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemRandom, TaskScope, type Clock, type Logger } from "@coracle/base";
import { createApiClient } from "@coracle/client";
import { createMemoryStore, createRemoteStore, openEmbeddedStore, runCompactor, type Store } from "@coracle/etcd";
import { parseApiServerFlags, readApiServerConfig, runApiServer, type ApiServerFlags } from "@coracle/kube-apiserver";
import { applyAddons } from "../addons/apply-addons.ts";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";
import { runAloneComponent, withFlags } from "./alone.ts";
import { isSupervised, runSupervised } from "./process-main.ts";

interface StoreDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The store that flags ask for: an etcd cluster, a directory, or memory when neither is named. */
function openStore(flags: ApiServerFlags, deps: StoreDeps): Promise<Store> {
  const { dataDir, etcd } = flags;
  if (etcd.servers.length > 0) {
    const read = (file: string): string | undefined => (file === "" ? undefined : readFileSync(file, "utf8"));
    const tls = { ca: read(etcd.caFile), cert: read(etcd.certFile), key: read(etcd.keyFile) };
    return Promise.resolve(createRemoteStore({ endpoints: etcd.servers, tls, clock: deps.clock }));
  }
  return dataDir === ""
    ? Promise.resolve(createMemoryStore(deps))
    : openEmbeddedStore({ dataDir, quotaBytes: etcd.quotaBytes, ...deps });
}

async function serve(
  flags: ApiServerFlags,
  deps: StoreDeps & { readonly signal: AbortSignal },
  onReady?: (transport: Parameters<typeof createApiClient>[0]["transport"]) => void,
): Promise<void> {
  // Opening the store loads native code: files are read meanwhile.
  const opening = openStore(flags, deps);
  const { config, listen } = readApiServerConfig(flags, deps.clock.now());
  await using store = await opening;
  await using upkeep = new TaskScope(deps.signal);
  const { compactionIntervalMs: intervalMs } = flags.etcd;
  if (intervalMs > 0) upkeep.run((signal) => runCompactor({ store, ...deps, signal, intervalMs }));
  await runApiServer({
    config,
    listen,
    store,
    random: systemRandom,
    ...deps,
    onReady(server) {
      onReady?.(
        server.transport({ clientCertificate: readFileSync(join(flags.clientCaFile, "../admin.crt"), "utf8") }),
      );
    },
  });
}

/** Runs the API server by itself, with upstream's flags. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = withFlags(component, () => parseApiServerFlags(args));
  return await runAloneComponent(component, flags.verbosity, async (context) => {
    if (flags.withoutEffect.length > 0) context.logger.warn("flags without effect", { flags: flags.withoutEffect });
    await serve(flags, context);
  });
}

/** The command line of a cluster's API server. */
function flagsOf(config: ClusterConfig): string[] {
  const { pki, store } = clusterPaths(config);
  const file = (name: string): string => join(pki, name);
  return [
    `--advertise-address=${config.advertiseAddress}`,
    `--secure-port=${config.securePort}`,
    `--data-dir=${config.store === "memory" ? "" : store}`,
    `--service-cluster-ip-range=${config.serviceCidr}`,
    `--service-account-issuer=https://kubernetes.default.svc.${config.clusterDomain}`,
    `--service-account-signing-key-file=${file("sa.key")}`,
    `--service-account-key-file=${file("sa.pub")}`,
    `--client-ca-file=${file("ca.crt")}`,
    `--tls-cert-file=${file("apiserver.crt")}`,
    `--tls-private-key-file=${file("apiserver.key")}`,
    "--authorization-mode=Node,RBAC",
    // The cluster's own proxies and network plugins are privileged pods in many installations.
    "--allow-privileged=true",
    "--enable-admission-plugins=NodeRestriction",
    `--requestheader-client-ca-file=${file("front-proxy-ca.crt")}`,
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${file("front-proxy-client.crt")}`,
    `--proxy-client-key-file=${file("front-proxy-client.key")}`,
    "--requestheader-uid-headers=X-Remote-Uid",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    `--kubelet-client-certificate=${file("apiserver-kubelet-client.crt")}`,
    `--kubelet-client-key=${file("apiserver-kubelet-client.key")}`,
    `--kubelet-certificate-authority=${file("ca.crt")}`,
  ];
}

if (isSupervised()) {
  void runSupervised("api-server", async ({ config, clock, logger, signal, ready }) => {
    await using work = new TaskScope(signal);
    await serve(parseApiServerFlags(flagsOf(config)), { clock, logger, signal }, (transport) => {
      ready();
      if (!config.addons && config.cloud === undefined) return;
      work.run(async () => {
        await using client = createApiClient({ transport, userAgent: "coracle-addons" });
        await applyAddons(client, config, { clock, logger, signal });
      });
    });
  });
}
