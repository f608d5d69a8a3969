import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPodNetwork } from "@coracle/cni";
import {
  createExecPodNetwork,
  importImage,
  listImages as listCriImages,
  parseContainerRuntimeFlags,
  runContainerRuntime,
  type OciRuntimeChoice,
} from "@coracle/container-runtime";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";
import { runAloneComponent, withFlags } from "./alone.ts";
import { isSupervised, runSupervised } from "./process-main.ts";

/** Runs the container runtime by itself, with CNI plugins of the host. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = withFlags(component, () => parseContainerRuntimeFlags(args));
  return await runAloneComponent(component, 0, async ({ clock, logger, signal }) => {
    await runContainerRuntime({
      ...flags,
      clock,
      logger,
      signal,
      network: createExecPodNetwork({ confDir: flags.cniConfDir, binDirs: flags.cniBinDirs }),
    });
  });
}

/** Adds an archive's images to a running runtime; answers their names. */
export const loadImage: typeof importImage = importImage;

/** What a runtime holds, in the form that the command line shows. */
export async function listImages(
  socket: string,
): Promise<{ names: readonly string[]; id: string; sizeBytes: number }[]> {
  const images = await listCriImages(socket);
  return images.map((image) => ({
    names: [...(image.repoTags ?? []), ...(image.repoDigests ?? [])],
    id: image.id ?? "",
    sizeBytes: Number(image.size ?? 0),
  }));
}

if (isSupervised()) {
  void runSupervised(
    "container-runtime",
    async ({ config, nodeName = "", clock, logger, signal, ready, supervisorIsGone }) => {
      const node = clusterPaths(config).node(nodeName);
      const network = await openPodNetwork({ dataDir: node.network, masqueradeOutside: config.podCidr });
      await runContainerRuntime({
        socketPath: node.criSocket,
        rootDir: node.containers,
        stateDir: node.containerState,
        runtime: config.runtime as OciRuntimeChoice,
        network,
        clock,
        logger,
        signal,
        onReady: ready,
      });
      if (supervisorIsGone() && config.isDetached) replaceSupervisor(config);
    },
  );
}

/** A supervisor that was killed is started again; it ends what is left of its predecessor's processes first. */
function replaceSupervisor(config: ClusterConfig): void {
  const log = openSync(join(clusterPaths(config).logs, "supervisor.log"), "a", 0o640);
  spawn(
    process.execPath,
    [fileURLToPath(new URL("cli.cjs", import.meta.url)), "supervise", "--config", clusterPaths(config).config],
    {
      detached: true,
      stdio: ["ignore", "ignore", log],
    },
  ).unref();
}
