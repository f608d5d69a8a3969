import { notFound } from "@coracle/apimachinery";
import type { Clock, Logger, Random } from "@coracle/base";
import { createInformerFactory, type ApiClient, type ObjectKey } from "@coracle/client";
import { WaitingPods } from "../binding/waiting-pods.ts";
import { buildProfiles } from "../config/build-profiles.ts";
import type { SchedulerConfiguration } from "../config/configuration.ts";
import { defaultConfiguration } from "../config/read-configuration.ts";
import type { PluginFactory } from "../foreign/plugin-module.ts";
import { createClusterInformers } from "../informers/cluster-informers.ts";
import { isPlaced } from "../informers/follow-cluster.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { explainPod, type Explanation } from "./explain.ts";

export interface ExplainOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly configuration?: SchedulerConfiguration | undefined;
  readonly plugins?: ReadonlyMap<string, PluginFactory> | undefined;
}

/** Looks at the cluster as it is now and explains where a pod may go; a placed one as if it were not there. */
export async function explainFromCluster(key: ObjectKey, options: ExplainOptions): Promise<Explanation> {
  const { client, clock, random, logger, signal, configuration = defaultConfiguration() } = options;
  await using factory = createInformerFactory({ client, clock, random, logger });
  const informers = createClusterInformers(factory, { client, clock, signal });
  const state = new ClusterState();
  const waiting = new WaitingPods(clock);
  const profiles = buildProfiles(configuration, {
    clock,
    builtIn: (args, all) => defaultPlugins(informers.pluginDeps, args, all),
    foreign: options.plugins ?? new Map(),
    handle: { client, clock, logger, snapshot: state, waitingPods: () => waiting.list(), activate: () => undefined },
  });
  await factory.waitForSync(signal);
  const pod = informers.pods.lister.get(key.namespace, key.name);
  if (pod === undefined) throw notFound({ group: "", resource: "pods" }, key.name);
  const profile = profiles.get(pod.spec.schedulerName ?? "");
  if (profile === undefined) throw new Error(`no profile places pods of scheduler ${pod.spec.schedulerName}`);
  for (const node of informers.nodes.lister.list()) state.setNode(node);
  for (const other of informers.pods.lister.list()) {
    if (other === pod) continue;
    if (isPlaced(other)) state.setPod(other);
    else if ((other.status?.nominatedNodeName ?? "") !== "")
      state.nominate(other, other.status?.nominatedNodeName ?? "");
  }
  return explainPod(pod, profile, state);
}
