import { hostname } from "node:os";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import { ClientMetrics } from "@coracle/client";
import { runNodeRoutes } from "@coracle/cni";
import {
  ControllerManagerMetrics,
  defaultFlags,
  parseControllerManagerFlags,
  runControllerManager,
} from "@coracle/kube-controller-manager";
import {
  parseSchedulerFlags,
  readSchedulerSetup,
  runScheduler,
  explainFromCluster,
  explanationText,
  SchedulerDebug,
  SchedulerMetrics,
} from "@coracle/kube-scheduler";
import { cloudRoutes } from "../cloud.ts";
import { clusterPaths } from "../cluster-config.ts";
import { isNamespaced } from "../cluster-network.ts";
import { replaceSupervisor } from "../supervisor/replace-supervisor.ts";
import { anonymousTransport, clientOf, runAloneComponent, withFlags } from "./alone.ts";
import { serveByFlags } from "./component-endpoint.ts";
import { isSupervised, runSupervised } from "./process-main.ts";
import { collectWhenQuiet } from "./quiet-collection.ts";

/** Runs one of this bundle's components by itself. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const identity = `${hostname()}_${process.pid}`;
  using _collection = collectWhenQuiet(systemClock);
  if (component === "kube-scheduler") {
    const flags = withFlags(component, () => parseSchedulerFlags(args));
    return await runAloneComponent(component, flags.verbosity, async (context) => {
      const setup = await readSchedulerSetup(flags);
      if (setup === undefined) return;
      const clientMetrics = flags.securePort === 0 ? undefined : new ClientMetrics(context.clock);
      await using client = await clientOf(setup.kubeconfig, component, {
        metrics: clientMetrics,
        limit: setup.requestLimit,
      });
      if (setup.gatesWithoutEffect.length > 0)
        context.logger.warn("feature gates without effect", { gates: setup.gatesWithoutEffect });
      const metrics = new SchedulerMetrics(context.clock);
      const debug = new SchedulerDebug();
      const pages = {
        ...debug.pages(setup.configuration),
        "/metrics": () => metrics.text() + (clientMetrics?.text() ?? ""),
      };
      await using _endpoint = await serveByFlags(flags, { ...context, client, pages });
      await runScheduler({
        ...context,
        client,
        // Nobody could ask for them: then nothing is counted.
        metrics: flags.securePort === 0 ? undefined : metrics,
        debug,
        configuration: setup.configuration,
        plugins: setup.plugins,
        deviceFeatures: setup.deviceFeatures,
        maxUnschedulableMs: flags.podMaxInUnschedulablePodsDurationMs,
        leaderElection:
          setup.leaderElection === undefined
            ? undefined
            : { identity, metrics: clientMetrics, ...setup.leaderElection },
      });
    });
  }
  const flags = withFlags(component, () => parseControllerManagerFlags(args));
  return await runAloneComponent(component, flags.verbosity, async (context) => {
    const clientMetrics = flags.securePort === 0 ? undefined : new ClientMetrics(context.clock);
    await using client = await clientOf(flags.kubeconfig, component, { metrics: clientMetrics });
    const metrics = new ControllerManagerMetrics(context.clock);
    const pages = { "/metrics": () => metrics.text() + (clientMetrics?.text() ?? "") };
    await using _endpoint = await serveByFlags(flags, { ...context, client, pages });
    await using anonymous = await anonymousTransport(flags.kubeconfig ?? "", clientMetrics);
    await runControllerManager({ ...context, client, flags, anonymousTransport: anonymous, metrics, clientMetrics });
  });
}

/** A pod whose way is asked for. */
export interface TraceRequest {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly name: string;
  /** The scheduler's configuration file; absent: its defaults. */
  readonly config?: string | undefined;
  /** For programs. */
  readonly json: boolean;
}

/** Says of every node what every plugin thinks of the pod there. */
export async function tracePod({ kubeconfig, namespace, name, config, json }: TraceRequest): Promise<string> {
  const setup = await readSchedulerSetup(parseSchedulerFlags(config === undefined ? [] : [`--config=${config}`]));
  await using client = await clientOf(kubeconfig, "coracle-trace");
  const explanation = await explainFromCluster(
    { namespace, name },
    {
      client,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      signal: new AbortController().signal,
      configuration: setup?.configuration,
      plugins: setup?.plugins,
    },
  );
  return json ? `${JSON.stringify(explanation, undefined, 2)}\n` : explanationText(explanation);
}

if (isSupervised()) {
  void runSupervised(
    "controllers",
    async ({ config, clock, logger, signal, ready, apiServerIsUp, supervisorIsGone }) => {
      const paths = clusterPaths(config);
      // Here, because this process is always there, and where the supervisor was.
      signal.addEventListener("abort", () => {
        if (supervisorIsGone() && config.isDetached) replaceSupervisor(config);
      });
      await apiServerIsUp();
      // The supervisor starts one such process after another, never two: a successor need not wait for the lease to end.
      const identity = `${hostname()}_${config.name}`;
      await using schedulerClient = await clientOf(paths.kubeconfig("kube-scheduler"), "kube-scheduler");
      const managerConfig = paths.kubeconfig("kube-controller-manager");
      await using managerClient = await clientOf(managerConfig, "kube-controller-manager");
      await using anonymous = await anonymousTransport(managerConfig);
      ready();
      // The API server shares this network: it reaches pods that are asked for through it.
      const routes = async (): Promise<void> => {
        if (isNamespaced(config) && !cloudRoutes(config))
          await runNodeRoutes({ client: schedulerClient, clock, logger, signal });
      };
      await Promise.all([
        routes(),
        runScheduler({
          client: schedulerClient,
          clock,
          random: systemRandom,
          logger: logger.child({ component: "kube-scheduler" }),
          signal,
          leaderElection: { identity },
        }),
        runControllerManager({
          client: managerClient,
          clock,
          random: systemRandom,
          logger: logger.child({ component: "kube-controller-manager" }),
          signal,
          identity,
          anonymousTransport: anonymous,
          flags: {
            ...defaultFlags,
            kubeconfig: managerConfig,
            useServiceAccountCredentials: true,
            allocateNodeCidrs: true,
            clusterCidr: [config.podCidr],
            serviceClusterIpRange: [config.serviceCidr],
            rootCaFile: `${paths.pki}/ca.crt`,
            serviceAccountPrivateKeyFile: `${paths.pki}/sa.key`,
            clusterSigningCertFile: `${paths.pki}/ca.crt`,
            clusterSigningKeyFile: `${paths.pki}/ca.key`,
          },
        }),
      ]);
    },
  );
}
