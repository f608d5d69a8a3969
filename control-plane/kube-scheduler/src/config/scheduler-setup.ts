import { writeFile } from "node:fs/promises";
import type { RequestLimit } from "@coracle/client";
import { deviceFeatures, gatesWithoutEffect, type DeviceFeatures } from "../devices/device-features.ts";
import type { SchedulerFlags } from "../flags.ts";
import { loadPluginModules, type PluginFactory } from "../foreign/plugin-module.ts";
import type { SchedulerElection } from "../run-scheduler.ts";
import type { SchedulerConfiguration } from "./configuration.ts";
import type { WrittenConfiguration } from "./defaults.ts";
import { completed, errorText, printConfiguration, readWritten } from "./read-configuration.ts";
import { durationMs } from "./strict-decoding.ts";
import { validateConfiguration } from "./validation.ts";

/** What command line and configuration file come to. */
export interface SchedulerSetup {
  readonly configuration: SchedulerConfiguration;
  readonly plugins: ReadonlyMap<string, PluginFactory>;
  readonly kubeconfig: string | undefined;
  /** By the feature gates. */
  readonly deviceFeatures: DeviceFeatures;
  /** Gates that are set otherwise than usual, which changes nothing here. */
  readonly gatesWithoutEffect: readonly string[];
  /** Of the API server; absent: none. */
  readonly requestLimit: RequestLimit | undefined;
  /** Absent: no election. */
  readonly leaderElection: Omit<SchedulerElection, "identity"> | undefined;
}

/**
 * Reads the file that `--config` names and the plugins that it names. Answers undefined when all that was asked for was
 * the configuration itself (`--write-config-to`). Throws an Error that says what is wrong.
 */
export async function readSchedulerSetup(flags: SchedulerFlags): Promise<SchedulerSetup | undefined> {
  const file = flags.config ?? "";
  const features = deviceFeatures(flags.featureGates);
  const written = file === "" ? {} : await readWritten(file);
  const complete = completed(written, features);
  const configuration: SchedulerConfiguration = {
    ...complete,
    leaderElection: withFlags(complete.leaderElection, flags),
    clientConnection: {
      ...complete.clientConnection,
      ...(file === "" ? { kubeconfig: flags.kubeconfig ?? "" } : {}),
    },
  };
  const errors = validateConfiguration(configuration, features);
  if (errors.length > 0) throw new Error(errorText(errors));
  if (flags.writeConfigTo !== undefined && flags.writeConfigTo !== "") {
    await writeFile(flags.writeConfigTo, printConfiguration(configuration));
    return undefined;
  }
  const { leaderElection, clientConnection } = configuration;
  return {
    configuration,
    deviceFeatures: features,
    gatesWithoutEffect: gatesWithoutEffect(flags.featureGates),
    plugins: await loadPluginModules(configuration, file),
    // Ours: a file that names none leaves the flag its say.
    kubeconfig: clientConnection.kubeconfig === "" ? flags.kubeconfig : clientConnection.kubeconfig,
    requestLimit: limitOf(written, clientConnection),
    leaderElection: leaderElection.leaderElect
      ? {
          namespace: leaderElection.resourceNamespace,
          name: leaderElection.resourceName,
          leaseDurationMs: durationMs(leaderElection.leaseDuration),
          renewDeadlineMs: durationMs(leaderElection.renewDeadline),
          retryPeriodMs: durationMs(leaderElection.retryPeriod),
        }
      : undefined,
  };
}

/** Ours: nobody waits who did not ask for it. Below 0 upstream does not limit either. */
function limitOf(
  { clientConnection: { qps: writtenQps = 0, burst: writtenBurst = 0 } = {} }: WrittenConfiguration,
  { qps, burst }: SchedulerConfiguration["clientConnection"],
): RequestLimit | undefined {
  return (writtenQps === 0 && writtenBurst === 0) || qps <= 0 ? undefined : { qps, burst };
}

type Election = SchedulerConfiguration["leaderElection"];

function withFlags(election: Election, flags: SchedulerFlags): Election {
  return {
    leaderElect: flags.leaderElect ?? election.leaderElect,
    leaseDuration: flags.leaderElectLeaseDuration ?? election.leaseDuration,
    renewDeadline: flags.leaderElectRenewDeadline ?? election.renewDeadline,
    retryPeriod: flags.leaderElectRetryPeriod ?? election.retryPeriod,
    resourceLock: flags.leaderElectResourceLock ?? election.resourceLock,
    resourceName: flags.leaderElectResourceName ?? election.resourceName,
    resourceNamespace: flags.leaderElectResourceNamespace ?? election.resourceNamespace,
  };
}
